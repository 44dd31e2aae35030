/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What answers are expected to look like, and what hostile ones cost.
 */
#include "unit.h"

#include "arena.h"
#include "expectation.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int setup(void **state)
{
	*state = arena_new(NULL);
	return *state == NULL;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

static const struct expectation *compile(struct arena *arena, const char *text,
                                         enum expectation_form form)
{
	const struct expectation *expectation;
	char problem[200];

	assert_int_equal(expectation_compile(&expectation, text, form, arena,
	                                     problem, sizeof(problem)), 0);
	return expectation;
}

static void mistakes_name_the_offset(void **state)
{
	static const struct {
		const char *text;
		enum expectation_form form;
		const char *problem;
	} rows[] = {
		{ "ab[c", EXPECT_PLAIN, "at offset 4" },
		{ "!ab[c", EXPECT_NEGATABLE, "at offset 5" },
		{ "Name: a)", EXPECT_HEADER, "at offset 7" },
		{ "(?<n>a)\\k<n>", EXPECT_PLAIN, "back reference" },
		{ "(a)\\1", EXPECT_PLAIN, "at offset" },
		{ "(*UTF)a", EXPECT_PLAIN, "at offset" },
		{ "((a{1000}){1000}){1000}", EXPECT_PLAIN, "too large" },
		{ "!a", EXPECT_PLAIN, "negates" },
		{ "!a", EXPECT_NONE_OF, "negates" },
		{ "!: a", EXPECT_HEADER, "names no header" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct expectation *expectation;
		char problem[300] = "";

		assert_int_equal(expectation_compile(&expectation, rows[i].text,
		                                     rows[i].form, *state,
		                                     problem, sizeof(problem)),
		                 -EINVAL);
		assert_non_null(strstr(problem, rows[i].problem));
	}
}

/* Lines of an answer, with | between them, and what becomes of it. */
static void headers(void **state)
{
	static const struct {
		const char *expected, *lines, *message; /* NULL: none */
	} rows[] = {
		{ "A: ^b$", "HTTP/1.1 200 OK|A: b|", NULL },
		{ "A: ^b$", "HTTP/1.1 200 OK|a:b \t|", NULL },
		{ "A: ^b$", "A: c|A: b|A: c|", NULL },
		{ "A: ^b$", "A: c|A: bb|", "header A does not match \"^b$\"" },
		{ "A: ^b$", "AA: b|X-A: b|A|", "no header A" },
		{ "A: b", "HTTP/1.1 103 Hints|A: b|HTTP/1.1 200 OK|C: d|",
		  "no header A" },
		{ "!A: b", "A: c|A: b|", "header A matches \"b\"" },
		{ "!A: b", "A: c|", NULL },
		{ "!A: b", "", NULL },
		{ "A", "A:|", NULL },
		{ "A", "B:|", "no header A" },
		{ "! A", "A: b|", "header A matches \"\"" },
		{ "!A:", "B:|", NULL },
		{ "A: b:c", "A: b:c|", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct expectation *const list[] = {
			compile(*state, rows[i].expected, EXPECT_HEADER), NULL
		};
		const struct expectations expectations = { .headers = list };
		struct expectation_progress progress = { 0 };
		char message[HEALTH_MESSAGE_SIZE] = "";
		const char *line = rows[i].lines, *end;

		for (; (end = strchr(line, '|')); line = end + 1) {
			char text[100];

			snprintf(text, sizeof(text), "%.*s\r\n",
			         (int) (end - line), line);
			expectation_header(&expectations, &progress, text,
			                   strlen(text));
		}
		assert_int_equal(expectation_headers(&expectations, &progress,
		                                     message, sizeof(message)),
		                 rows[i].message ? HEALTH_L7HDR : HEALTH_NONE);
		assert_string_equal(message,
		                    rows[i].message ? rows[i].message : "");
	}
}

static void the_first_header_to_fail_is_named(void **state)
{
	const struct expectation *const list[] = {
		compile(*state, "A: 1", EXPECT_HEADER),
		compile(*state, "B: 2", EXPECT_HEADER),
		compile(*state, "C: 3", EXPECT_HEADER), NULL
	};
	const struct expectations expectations = { .headers = list };
	struct expectation_progress progress = { 0 };
	char message[HEALTH_MESSAGE_SIZE];

	expectation_header(&expectations, &progress, "A: 1", 4);
	expectation_header(&expectations, &progress, "B: 3", 4);
	assert_int_equal(expectation_headers(&expectations, &progress, message,
	                                     sizeof(message)), HEALTH_L7HDR);
	assert_string_equal(message, "header B does not match \"2\"");
}

static void bodies(void **state)
{
	static const struct {
		const char *expect, *fail, *body;
		size_t size;
		const char *message;
	} rows[] = {
		{ "ok", NULL, "it is ok", 8, NULL },
		{ "ok", NULL, "it is not", 9, "body does not match \"ok\"" },
		{ "ok", NULL, "", 0, "body does not match \"ok\"" },
		{ "!bad", NULL, "ok", 2, NULL },
		{ "!bad", NULL, "bad", 3, "body matches \"bad\"" },
		{ NULL, "bad", "ok", 2, NULL },
		{ NULL, "bad", "bad", 3, "body matches \"bad\"" },
		{ "ok", "bad", "ok, bad", 7, "body matches \"bad\"" },
		{ "\\!ok", NULL, "!ok", 3, NULL },
		{ "(?i)OK$", NULL, "ok\n", 3, NULL },
		/* bytes are bytes */
		{ "^a.c$", NULL, "a\0c", 3, NULL },
		{ "\\x00ok", NULL, "\0ok", 3, NULL },
		{ "^.{3}$", NULL, "\xff\xfe\xc3", 3, NULL },
		{ "gr\xc3\xbcn", NULL, "gr\xc3\xbcn", 5, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct expectations expectations = { 0 };
		char message[HEALTH_MESSAGE_SIZE] = "";

		if (rows[i].expect)
			expectations.body = compile(*state, rows[i].expect,
			                            EXPECT_NEGATABLE);
		if (rows[i].fail)
			expectations.fail_body = compile(*state, rows[i].fail,
			                                 EXPECT_NONE_OF);
		assert_int_equal(expectation_body(&expectations, rows[i].body,
		                                  rows[i].size, message,
		                                  sizeof(message)),
		                 rows[i].message ? HEALTH_L7BODY : HEALTH_NONE);
		assert_string_equal(message,
		                    rows[i].message ? rows[i].message : "");
	}
}

static void an_answer_comes_in_pieces(void **state)
{
	const struct expectations expectations = {
		.answer = compile(*state, "^\\+PONG\r?", EXPECT_PLAIN),
	};
	const struct expectations none = { 0 };
	struct expectation_progress progress = { 0 };
	char message[HEALTH_MESSAGE_SIZE] = "";

	for (size_t size = 0; size < 5; size++)
		assert_int_equal(expectation_answer(&expectations, &progress,
		                                    "+PONG\r\n", size, false,
		                                    message, sizeof(message)),
		                 HEALTH_NONE);
	assert_int_equal(expectation_answer(&expectations, &progress,
	                                    "+PONG\r\n", 5, false, message,
	                                    sizeof(message)), HEALTH_L7OK);
	assert_int_equal(expectation_answer(&expectations, &progress, "-ERR", 4,
	                                    true, message, sizeof(message)),
	                 HEALTH_L7BODY);
	assert_string_equal(message,
	                    "answer does not match \"^\\+PONG\r?\"");
	assert_int_equal(expectation_answer(&none, &progress, "x", 1, true,
	                                    message, sizeof(message)),
	                 HEALTH_NONE);
}

static void a_long_expression_is_cut(void **state)
{
	char text[2000], message[40];
	struct expectations expectations = { 0 };

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	expectations.body = compile(*state, text, EXPECT_NEGATABLE);
	assert_int_equal(expectation_body(&expectations, "", 0, message,
	                                  sizeof(message)), HEALTH_L7BODY);
	assert_int_equal(strlen(message), sizeof(message) - 1);
}

static uint64_t cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

/* Without limits, each of these would take from seconds to centuries.  They
 * take a millisecond or two; the bound leaves room for sanitizers. */
static void bombs_meet_the_limit(void **state)
{
	static const struct {
		const char *pattern;
		const char *unit; /* that the body repeats */
	} rows[] = {
		{ "(a+)+$", "ab" },
		{ "(a|aa)+$", "a" },
		{ "[a-y]*z\\b|[a-y]*!", "a" },
		{ "[a-y]*+(z|!)", "a" },
		{ "(?>[a-y]*)(z|!)", "a" },
		{ "[a-y]{60000}(z|!)", "a" },
		{ "(?:[a-y]{200}){200}(z|!)", "a" },
		{ "(?=[a-y]*(z|!))", "a" },
		{ "^(.|\\n)*(z|!)", "a\n" },
		{ "^(([a-z])+.)+[A-Z]([a-z])+$", "a" },
		{ "(?:a(?R)?)(z|!)", "a" },
		{ "(?s).*.*.*(z|!)", "a" },
		{ "(?<a>a)(?<b>a)*(?<c>a)*(z|!)", "a" },
		{ "\\X*(z|!)", "a" },
		{ "(*LIMIT_MATCH=4000000000)(a+)+(z|!)", "a" },
		{ "(*NO_START_OPT)q", "a" },
	};
	static char body[256 * 1024];
	char message[HEALTH_MESSAGE_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct expectations expectations = {
			.body = compile(*state, rows[i].pattern,
			                EXPECT_NEGATABLE),
		};
		const struct expectations negated = {
			.fail_body = compile(*state, rows[i].pattern,
			                     EXPECT_NONE_OF),
		};
		size_t unit_size = strlen(rows[i].unit);
		uint64_t before;

		for (size_t at = 0; at < sizeof(body); at++)
			body[at] = rows[i].unit[at % unit_size];
		before = cpu_us();
		assert_int_equal(expectation_body(&expectations, body,
		                                  sizeof(body), message,
		                                  sizeof(message)),
		                 HEALTH_L7BODY);
		assert_true(cpu_us() - before < 100000);
		assert_memory_equal(message, "match limit: body, ", 19);
		/* what may be there is not absent */
		assert_int_equal(expectation_body(&negated, body, sizeof(body),
		                                  message, sizeof(message)),
		                 HEALTH_L7BODY);
		assert_memory_equal(message, "match limit", 11);
	}
}

/* The same bomb in a thousand fields costs no more than in one. */
static void headers_share_one_meter(void **state)
{
	const struct expectation *const list[] = {
		compile(*state, "A: (a|aa)+$", EXPECT_HEADER), NULL
	};
	const struct expectations expectations = { .headers = list };
	struct expectation_progress progress = { 0 };
	char line[64], message[HEALTH_MESSAGE_SIZE];
	uint64_t before = cpu_us();

	memset(line, 'a', sizeof(line));
	line[0] = 'A';
	line[1] = ':';
	line[sizeof(line) - 1] = '!';
	for (unsigned i = 0; i < 1000; i++)
		expectation_header(&expectations, &progress, line,
		                   sizeof(line));
	assert_int_equal(expectation_headers(&expectations, &progress, message,
	                                     sizeof(message)), HEALTH_L7HDR);
	assert_string_equal(message, "match limit: header A, \"(a|aa)+$\"");
	assert_true(cpu_us() - before < 100000);
}

/* A server that answers byte by byte is looked at again for each. */
static void dribble_meets_the_limit(void **state)
{
	const struct expectations expectations = {
		.answer = compile(*state, "never", EXPECT_PLAIN),
	};
	struct expectation_progress progress = { 0 };
	static char data[256 * 1024];
	char message[HEALTH_MESSAGE_SIZE];
	uint64_t before = cpu_us();
	size_t size = 0;

	memset(data, 'n', sizeof(data));
	while (expectation_answer(&expectations, &progress, data, size, false,
	                          message, sizeof(message)) == HEALTH_NONE)
		size++;
	assert_memory_equal(message, "match limit: answer", 19);
	assert_true(size > 256); /* but a patient one may say something */
	assert_true(cpu_us() - before < 500000);
}

/* What people write about long pages is not mistaken for a bomb. */
static void plain_expressions_go_through_long_bodies(void **state)
{
	static const char *const patterns[] = {
		"never there", "(?i)error", "\\bdown\\b", "\"state\":\\s*\"down\"",
		"^failed: ", "(?m)^failed: ", "[0-9]{3} errors", "a{2}!",
	};
	static const char line[] = "{ \"service\": \"web\", \"alive\": true },\n";
	static char body[256 * 1024];
	char message[HEALTH_MESSAGE_SIZE] = "";

	for (size_t at = 0; at < sizeof(body); at++)
		body[at] = line[at % (sizeof(line) - 1)];
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		const struct expectations expectations = {
			.fail_body = compile(*state, patterns[i],
			                     EXPECT_NONE_OF),
		};

		expectation_body(&expectations, body, sizeof(body), message,
		                 sizeof(message));
		assert_string_equal(message, "");
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(mistakes_name_the_offset),
		TEST(headers),
		TEST(the_first_header_to_fail_is_named),
		TEST(bodies),
		TEST(an_answer_comes_in_pieces),
		TEST(a_long_expression_is_cut),
		TEST(bombs_meet_the_limit),
		TEST(headers_share_one_meter),
		TEST(dribble_meets_the_limit),
		TEST(plain_expressions_go_through_long_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
