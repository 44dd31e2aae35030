/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The answer of a web server to a check: read as it comes in, and held against
 * what is expected of it.  Whoever the server is, it must make no difference
 * in which pieces the network hands over what it says.
 */
#include "fuzz.h"

#include "arena.h"
#include "expectation.h"
#include "http_reader.h"

#define BODY_MAX 1024

struct transcript {
	char *lines, *body;
	size_t lines_size, body_size;
	unsigned line_count;
	enum http_item end;
	unsigned status;
	bool keeps;
	struct expectation_progress progress;
};

static struct expectations expectations;

static const struct expectation *compile(struct arena *arena, const char *text,
                                         enum expectation_form form)
{
	const struct expectation *expectation;
	char problem[256];

	HOLDS(expectation_compile(&expectation, text, form, arena, problem,
	                          sizeof(problem)) == 0);
	return expectation;
}

/* Once, and for good. */
static void prepare(void)
{
	static const struct expectation *headers[3];
	static struct arena *arena;

	if (arena)
		return;
	arena = arena_new(NULL);
	HOLDS(arena);
	headers[0] = compile(arena, "X-State: ^(ready|ok)$", EXPECT_HEADER);
	headers[1] = compile(arena, "!X-State: maint", EXPECT_HEADER);
	expectations = (struct expectations) {
		.headers = headers,
		.body = compile(arena, "(a+)+b|ok", EXPECT_NEGATABLE),
		.fail_body = compile(arena, "error", EXPECT_NONE_OF),
	};
}

static void take(struct transcript *transcript, FILE *lines, FILE *body,
                 enum http_item item, const char *text, size_t size)
{
	HOLDS(size > 0);
	if (item == HTTP_LINE) {
		HOLDS(size <= HTTP_LINE_MAX + 2);
		transcript->line_count++;
		fwrite(text, 1, size, lines);
		expectation_header(&expectations, &transcript->progress, text,
		                   size);
	} else {
		fwrite(text, 1, size, body);
	}
}

/* Hands over `step` bytes at a time, from memory of exactly that size. */
static void read_answer(struct transcript *transcript, const uint8_t *data,
                        size_t size, size_t step, bool bodiless)
{
	struct http_reader reader = { .bodiless = bodiless };
	enum http_item item = HTTP_MORE;
	size_t begin = 0, end = 0;
	FILE *lines, *body;

	memset(transcript, 0, sizeof(*transcript));
	lines = open_memstream(&transcript->lines, &transcript->lines_size);
	body = open_memstream(&transcript->body, &transcript->body_size);
	HOLDS(lines && body);
	while (item == HTTP_MORE && end < size) {
		size_t count, before, text_size = 0;
		const char *window, *at, *text = NULL;
		char *copy;

		end = size - end > step ? end + step : size;
		count = end - begin;
		copy = fuzz_text(data + begin, count);
		window = at = copy;
		do {
			before = count;
			item = http_reader_next(&reader, &at, &count, &text,
			                        &text_size);
			HOLDS(count <= before && at >= window);
			if (item == HTTP_LINE || item == HTTP_BODY)
				take(transcript, lines, body, item, text,
				     text_size);
		} while (item == HTTP_LINE || item == HTTP_BODY);
		HOLDS(item != HTTP_MORE || count <= HTTP_LINE_MAX);
		begin = end - count;
		free(copy);
	}
	if (item == HTTP_MORE && begin == size)
		item = http_reader_close(&reader);
	transcript->end = item;
	transcript->status = reader.status;
	transcript->keeps = item == HTTP_END && http_reader_keeps(&reader);
	fclose(lines);
	fclose(body);
}

static void judge(struct transcript *transcript)
{
	char message[HEALTH_MESSAGE_SIZE];
	size_t size = transcript->body_size < BODY_MAX ? transcript->body_size
	                                               : BODY_MAX;

	HOLDS(expectation_headers(&expectations, &transcript->progress, message,
	                          sizeof(message)) < HEALTH_OUTCOME_COUNT);
	HOLDS(expectation_body(&expectations, transcript->body, size, message,
	                       sizeof(message)) < HEALTH_OUTCOME_COUNT);
}

static void clear(struct transcript *transcript)
{
	free(transcript->lines);
	free(transcript->body);
}

static void compare(const uint8_t *data, size_t size, bool bodiless)
{
	static const size_t steps[] = { 1, 7, 1000 };
	struct transcript whole, pieces;

	read_answer(&whole, data, size, size, bodiless);
	judge(&whole);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		if (size / steps[i] > 300) /* it takes too long */
			continue;
		read_answer(&pieces, data, size, steps[i], bodiless);
		HOLDS(pieces.end == whole.end);
		HOLDS(pieces.status == whole.status);
		HOLDS(pieces.keeps == whole.keeps);
		HOLDS(pieces.line_count == whole.line_count);
		HOLDS(pieces.lines_size == whole.lines_size &&
		      memcmp(pieces.lines, whole.lines, whole.lines_size) == 0);
		HOLDS(pieces.body_size == whole.body_size &&
		      memcmp(pieces.body, whole.body, whole.body_size) == 0);
		HOLDS(memcmp(&pieces.progress, &whole.progress,
		             sizeof(whole.progress)) == 0);
		clear(&pieces);
	}
	clear(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	prepare();
	compare(data, size, false);
	compare(data, size, true);
	return 0;
}
