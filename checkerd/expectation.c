/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Regular expressions, at a bounded price.
 *
 * PCRE2's own limits count what one starting point costs, and count nothing
 * where a repeat runs over many characters at once: "[a-y]*z" takes half a
 * minute for 256 KiB of "a" without ever meeting one.  So we keep a meter.
 * PCRE2 is told to call us before each item of an expression
 * (PCRE2_AUTO_CALLOUT), and each such step costs a fixed price and the
 * distance that the step before it ran.  What runs without our hearing of it
 * is in the fixed price: the longest {N} of the expression, and the size of
 * what PCRE2 keeps for going back.  Searching for where a match may start at
 * all is free, being linear.  The meter needs no clock, so that the same
 * answer always comes to the same outcome.
 *
 * PCRE2's limits stay as a second fence, and the one on memory as the first.
 *
 * Left out: JIT, which needs writable code; UTF mode, which would refuse what
 * is no UTF-8; back references, whose price nobody knows beforehand; captures,
 * which nobody reads.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "expectation.h"

#include "arena.h"
#include "config_errors.h"
#include "parse.h"
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* In units of the meter: one is about what it takes to run over a character,
 * about a nanosecond: 256 KiB of the worst were seen to take 3.5 ms, most
 * bombs 2.3 ms.  Less would refuse plain expressions on bodies of that size. */
#define WORK_MAX    2500000u
#define START_PRICE 16u /* of each place where a match may start */
#define STEP_PRICE  10u
#define FRAME_RATE  32u /* bytes that are kept for one unit */
#define SCAN_RATE   16u /* bytes of what is looked at once more, for one unit */

#define MATCH_LIMIT 100000u
#define DEPTH_LIMIT 100000u
#define HEAP_KIB    1024u

struct expectation {
	const char *text;
	const char *name; /* of a header field: in the text */
	size_t name_size;
	const char *pattern; /* in the text */
	bool negated;
	uint32_t step_price;
	pcre2_code *code;
};

static void free_code(void *code)
{
	pcre2_code_free(code);
}

/* The greatest N of all {N} and {N,M}; taking other things in braces for
 * repeats makes the expression dearer than it is, which does no harm. */
static uint32_t longest_repeat(const char *pattern)
{
	unsigned long longest = 0;

	for (const char *at = pattern; (at = strchr(at, '{')) != NULL; at++) {
		unsigned long count = strtoul(at + 1, NULL, 10);

		if (count > longest)
			longest = count;
	}
	return longest < WORK_MAX ? (uint32_t) longest : WORK_MAX;
}

static int refuse(const struct expectation *expectation, const char *what,
                  size_t offset, char *problem, size_t problem_size)
{
	char quoted[CONFIG_QUOTE_SIZE];

	offset += (size_t) (expectation->pattern - expectation->text);
	snprintf(problem, problem_size,
	         "%s is no regular expression: %s at offset %zu, "
	         "allowed: PCRE2 without back references",
	         config_quote(quoted, expectation->text), what, offset);
	return -EINVAL;
}

static int compile_code(struct expectation *expectation, struct arena *arena,
                        char *problem, size_t problem_size)
{
	const uint32_t options =
		PCRE2_AUTO_CALLOUT | PCRE2_NEVER_UTF | PCRE2_NO_AUTO_CAPTURE;
	size_t frame_size = 0, offset;
	uint32_t references = 0;
	PCRE2_UCHAR what[128];
	pcre2_code *code;
	int error;

	code = pcre2_compile((PCRE2_SPTR) expectation->pattern,
	                     PCRE2_ZERO_TERMINATED, options, &error, &offset,
	                     NULL);
	if (!code && error == PCRE2_ERROR_HEAP_FAILED)
		return -ENOMEM;
	if (!code) {
		pcre2_get_error_message(error, what, sizeof(what));
		return refuse(expectation, (const char *) what, offset, problem,
		              problem_size);
	}
	if (arena_own(arena, free_code, code) < 0) {
		pcre2_code_free(code);
		return -ENOMEM;
	}
	pcre2_pattern_info(code, PCRE2_INFO_BACKREFMAX, &references);
	if (references > 0)
		return refuse(expectation, "back reference", 0, problem,
		              problem_size);
	pcre2_pattern_info(code, PCRE2_INFO_FRAMESIZE, &frame_size);
	expectation->code = code;
	expectation->step_price = STEP_PRICE +
	                          longest_repeat(expectation->pattern) +
	                          (uint32_t) (frame_size / FRAME_RATE);
	return 0;
}

static int split_header(struct expectation *expectation, char *problem,
                        size_t problem_size)
{
	const char *name = expectation->pattern;
	char quoted[CONFIG_QUOTE_SIZE];

	expectation->name = name;
	expectation->name_size = strcspn(name, ":");
	if (!text_is_token(name, expectation->name_size)) {
		snprintf(problem, problem_size,
		         "%s names no header, allowed: Name: REGEX or "
		         "!Name: REGEX",
		         config_quote(quoted, expectation->text));
		return -EINVAL;
	}
	expectation->pattern += expectation->name_size;
	if (*expectation->pattern == ':')
		expectation->pattern++;
	expectation->pattern += strspn(expectation->pattern, " \t");
	return 0;
}

int expectation_compile(const struct expectation **ret, const char *text,
                        enum expectation_form form, struct arena *arena,
                        char *problem, size_t problem_size)
{
	static const char *const advice[] = {
		[EXPECT_PLAIN] = "what is not there cannot be waited for",
		[EXPECT_NONE_OF] = "this key negates already, see expect_body",
	};
	struct expectation *expectation =
		arena_alloc(arena, 1, sizeof(*expectation));
	bool plain = form == EXPECT_PLAIN || form == EXPECT_NONE_OF;
	int error = 0;

	if (!expectation)
		return -ENOMEM;
	expectation->text = expectation->pattern = text;
	expectation->negated = form == EXPECT_NONE_OF;
	if (*text == '!' && plain) {
		snprintf(problem, problem_size,
		         "a ! at the start negates, and %s, allowed: REGEX; "
		         "\\! is the character",
		         advice[form]);
		return -EINVAL;
	}
	if (*text == '!') {
		expectation->negated = true;
		expectation->pattern += 1 + strspn(text + 1, " \t");
	}
	if (form == EXPECT_HEADER)
		error = split_header(expectation, problem, problem_size);
	if (error == 0)
		error = compile_code(expectation, arena, problem, problem_size);
	*ret = expectation;
	return error;
}

const char *expectation_text(const struct expectation *expectation)
{
	return expectation->text;
}

/* --- matching ----------------------------------------------------------- */

enum match { MATCH_NO, MATCH_YES, MATCH_LIMITED, MATCH_NO_MEMORY };

struct meter {
	uint32_t *work;
	uint32_t step_price;
	size_t start, last; /* offsets into the subject */
};

static int on_step(pcre2_callout_block *block, void *userdata)
{
	struct meter *meter = userdata;
	size_t current = block->current_position;

	*meter->work += meter->step_price;
	if (block->start_match != meter->start)
		*meter->work += START_PRICE;
	else if (current > meter->last)
		*meter->work += (uint32_t) (current - meter->last);
	meter->start = block->start_match;
	meter->last = current;
	return *meter->work > WORK_MAX ? PCRE2_ERROR_CALLOUT : 0;
}

static void free_data(pcre2_match_data **data)
{
	pcre2_match_data_free(*data);
}

static void free_context(pcre2_match_context **context)
{
	pcre2_match_context_free(*context);
}

/* Sums of work stay far from 2^32: nothing that is longer than 16 MiB is
 * matched, and nothing is matched once there is too much of it. */
static enum match match(const struct expectation *expectation,
                        const char *subject, size_t size, uint32_t *work)
{
	CLEANUP(free_context) pcre2_match_context *context = NULL;
	CLEANUP(free_data) pcre2_match_data *data = NULL;
	struct meter meter = {
		.work = work,
		.step_price = expectation->step_price,
		.start = SIZE_MAX,
	};
	int count;

	if (*work > WORK_MAX)
		return MATCH_LIMITED;
	context = pcre2_match_context_create(NULL);
	data = pcre2_match_data_create(1, NULL);
	if (!context || !data)
		return MATCH_NO_MEMORY;
	pcre2_set_match_limit(context, MATCH_LIMIT);
	pcre2_set_depth_limit(context, DEPTH_LIMIT);
	pcre2_set_heap_limit(context, HEAP_KIB);
	pcre2_set_callout(context, on_step, &meter);
	count = pcre2_match(expectation->code, (PCRE2_SPTR) subject, size, 0, 0,
	                    data, context);
	if (count >= 0)
		return MATCH_YES;
	switch (count) {
	case PCRE2_ERROR_NOMATCH:
		return MATCH_NO;
	case PCRE2_ERROR_NOMEMORY:
		return MATCH_NO_MEMORY;
	default:
		return MATCH_LIMITED;
	}
}

/* --- header fields ------------------------------------------------------ */

static const struct expectation *header_at(const struct expectations *of,
                                           size_t i)
{
	return of->headers ? of->headers[i] : NULL;
}

static bool has_name(const struct expectation *expectation, const char *line,
                     size_t size)
{
	return size > expectation->name_size &&
	       line[expectation->name_size] == ':' &&
	       strncasecmp(line, expectation->name, expectation->name_size) ==
	               0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void expectation_header(const struct expectations *expectations,
                        struct expectation_progress *progress, const char *line,
                        size_t size)
{
	const struct expectation *header;

	if (size >= 5 && memcmp(line, "HTTP/", 5) == 0)
		progress->present = progress->matched = 0;
	while (size > 0 && is_blank(line[size - 1]))
		size--;
	for (size_t i = 0; (header = header_at(expectations, i)); i++) {
		uint64_t bit = UINT64_C(1) << i;
		size_t at;

		if ((progress->matched & bit) || !has_name(header, line, size))
			continue;
		progress->present |= bit;
		at = header->name_size + 1;
		while (at < size && is_blank(line[at]))
			at++;
		switch (match(header, line + at, size - at, &progress->work)) {
		case MATCH_YES:
			progress->matched |= bit;
			break;
		case MATCH_LIMITED:
			progress->limited |= bit;
			break;
		case MATCH_NO_MEMORY:
			progress->no_memory = true;
			break;
		case MATCH_NO:
			break;
		}
	}
}

enum health_outcome
expectation_headers(const struct expectations *expectations,
                    const struct expectation_progress *progress, char *message,
                    size_t message_size)
{
	const struct expectation *header;

	if (progress->no_memory) {
		snprintf(message, message_size, "no memory to match headers");
		return HEALTH_INCONCL;
	}
	for (size_t i = 0; (header = header_at(expectations, i)); i++) {
		bool matched = progress->matched >> i & 1;
		bool present = progress->present >> i & 1;
		int name_size = (int) header->name_size;

		/* of what was not matched, a part may not have been tried */
		if (!matched && (progress->limited >> i & 1))
			snprintf(message, message_size,
			         "match limit: header %.*s, \"%s\"", name_size,
			         header->name, header->pattern);
		else if (matched == !header->negated)
			continue;
		else if (matched)
			snprintf(message, message_size,
			         "header %.*s matches \"%s\"", name_size,
			         header->name, header->pattern);
		else if (present)
			snprintf(message, message_size,
			         "header %.*s does not match \"%s\"", name_size,
			         header->name, header->pattern);
		else
			snprintf(message, message_size, "no header %.*s",
			         name_size, header->name);
		return HEALTH_L7HDR;
	}
	return HEALTH_NONE;
}

/* --- bodies and answers ------------------------------------------------- */

static enum health_outcome check_body(const struct expectation *expectation,
                                      const char *data, size_t size,
                                      char *message, size_t message_size)
{
	enum match found;
	uint32_t work = 0;

	if (!expectation)
		return HEALTH_NONE;
	found = match(expectation, data, size, &work);
	if (found == (expectation->negated ? MATCH_NO : MATCH_YES))
		return HEALTH_NONE;
	if (found == MATCH_NO_MEMORY) {
		snprintf(message, message_size, "no memory to match the body");
		return HEALTH_INCONCL;
	}
	if (found == MATCH_LIMITED)
		snprintf(message, message_size, "match limit: body, \"%s\"",
		         expectation->pattern);
	else
		snprintf(message, message_size, "body %s \"%s\"",
		         found == MATCH_YES ? "matches" : "does not match",
		         expectation->pattern);
	return HEALTH_L7BODY;
}

enum health_outcome expectation_body(const struct expectations *expectations,
                                     const char *data, size_t size,
                                     char *message, size_t message_size)
{
	enum health_outcome outcome = check_body(expectations->fail_body, data,
	                                         size, message, message_size);

	return outcome != HEALTH_NONE ? outcome
	                              : check_body(expectations->body, data,
	                                           size, message, message_size);
}

enum health_outcome expectation_answer(const struct expectations *expectations,
                                       struct expectation_progress *progress,
                                       const char *data, size_t size,
                                       bool complete, char *message,
                                       size_t message_size)
{
	const struct expectation *answer = expectations->answer;

	if (!answer)
		return HEALTH_NONE;
	progress->work += START_PRICE + (uint32_t) (size / SCAN_RATE);
	switch (match(answer, data, size, &progress->work)) {
	case MATCH_YES:
		return HEALTH_L7OK;
	case MATCH_NO:
		if (!complete)
			return HEALTH_NONE;
		snprintf(message, message_size, "answer does not match \"%s\"",
		         answer->pattern);
		return HEALTH_L7BODY;
	case MATCH_NO_MEMORY:
		snprintf(message, message_size,
		         "no memory to match the answer");
		return HEALTH_INCONCL;
	case MATCH_LIMITED:
		break;
	}
	snprintf(message, message_size, "match limit: answer, \"%s\"",
	         answer->pattern);
	return HEALTH_L7BODY;
}
