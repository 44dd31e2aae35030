/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers, whole and in pieces, sound and broken.
 */
#include "unit.h"

#include "http_reader.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

#include "fixture_answers.h"

#define ROOM 40000

/* All that an answer came to: lines, "|", the body, "|", and how it ended. */
struct reading {
	char text[ROOM * 2];
	size_t size;
	size_t body_at;
	enum http_item end;
	size_t excess;
	unsigned status;
	bool keeps;
};

static void add(struct reading *reading, const char *text, size_t size)
{
	assert_true(reading->size + size <= sizeof(reading->text));
	memcpy(reading->text + reading->size, text, size);
	reading->size += size;
}

/* Takes what there is; returns how much of it is left. */
static size_t take_all(struct http_reader *reader, const char *data,
                       size_t size, struct reading *ret)
{
	const char *text, *end = data + size;
	size_t length;

	for (;;) {
		ret->end =
			http_reader_next(reader, &data, &size, &text, &length);
		assert_ptr_equal(data + size, end);
		if (ret->end != HTTP_LINE && ret->end != HTTP_BODY)
			return size;
		assert_true(length > 0);
		if (ret->end == HTTP_BODY && ret->body_at == 0)
			ret->body_at = ret->size;
		add(ret, text, length);
	}
}

/* `cuts[i]`: the text up to byte i arrives before the rest. */
static void read_pieces(const char *text, size_t size, const bool *cuts,
                        bool bodiless, struct reading *ret)
{
	struct http_reader reader = { .bodiless = bodiless };
	char pending[ROOM];
	size_t pending_size = 0, begin = 0, i, left;

	memset(ret, 0, sizeof(*ret));
	ret->end = HTTP_MORE;
	for (i = 0; i < size && ret->end == HTTP_MORE; i++) {
		if (i + 1 < size && !cuts[i + 1])
			continue;
		memcpy(pending + pending_size, text + begin, i + 1 - begin);
		pending_size += i + 1 - begin;
		begin = i + 1;
		left = take_all(&reader, pending, pending_size, ret);
		assert_true(ret->end != HTTP_MORE || left <= HTTP_LINE_MAX);
		memmove(pending, pending + pending_size - left, left);
		pending_size = left;
	}
	ret->excess = ret->end == HTTP_END ? pending_size + size - begin : 0;
	ret->keeps = ret->end == HTTP_END && http_reader_keeps(&reader);
	if (ret->end == HTTP_MORE)
		ret->end = http_reader_close(&reader);
	/* a line that is odd may be known as such before it is whole */
	ret->status = ret->end == HTTP_ODD ? 0 : reader.status;
}

static void read_whole(const char *text, size_t size, struct reading *ret)
{
	static const bool no_cuts[ROOM];

	read_pieces(text, size, no_cuts, false, ret);
}

static void expect_same(const char *name, const struct reading *a,
                        const struct reading *b)
{
	if (a->size != b->size || memcmp(a->text, b->text, a->size) != 0 ||
	    a->end != b->end || a->status != b->status ||
	    a->keeps != b->keeps || a->excess != b->excess)
		fail_msg("%s: in pieces it is read otherwise", name);
}

static void test_understood(void **state)
{
	static const struct {
		const char *name;
		unsigned status;
		const char *body;
		enum http_item end;
		bool keeps;
	} rows[] = {
		{ "a length", 200, "ok", HTTP_END, true },
		{ "a length of nothing", 200, "", HTTP_END, true },
		{ "until the close", 200, "ok", HTTP_END, false },
		{ "chunks", 200, "ok0123456789", HTTP_END, true },
		{ "no body", 204, "", HTTP_END, true },
		{ "not modified", 304, "", HTTP_END, true },
		{ "no reason", 200, "", HTTP_END, true },
		{ "an empty reason", 200, "", HTTP_END, true },
		{ "bare line feeds", 404, "ok", HTTP_END, true },
		{ "interim answers", 500, "", HTTP_END, true },
		{ "HTTP/1.0", 200, "ok", HTTP_END, false },
		{ "HTTP/1.0, kept", 200, "ok", HTTP_END, true },
		{ "about to close", 200, "ok", HTTP_END, false },
		{ "more than its length", 200, "ok", HTTP_END, true },
		{ "less than its length", 200, "ok", HTTP_MORE, false },
		{ "a chunk cut short", 200, "ok", HTTP_MORE, false },
		{ "chunks without the last", 200, "ok", HTTP_MORE, false },
		{ "chunks without their end", 200, "ok", HTTP_MORE, false },
		{ "a chunk size cut short", 200, "", HTTP_MORE, false },
		{ "a body of zeroes", 200, NULL, HTTP_END, true },
		{ "status 600", 600, "", HTTP_END, true },
		{ "nothing", 0, "", HTTP_MORE, false },
	};
	static struct reading reading;
	const struct answer *answer;
	size_t i, body_size;

	(void) state;
	_Static_assert(ARRAY_SIZE(rows) == ARRAY_SIZE(plain_answers),
	               "a row for each");
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		answer = &plain_answers[i];
		assert_string_equal(rows[i].name, answer->name);
		read_whole(answer->text, answer->size, &reading);
		body_size = reading.body_at > 0 ? reading.size - reading.body_at
		                                : 0;
		if (reading.end != rows[i].end ||
		    reading.status != rows[i].status ||
		    reading.keeps != rows[i].keeps ||
		    (rows[i].body != NULL &&
		     (body_size != strlen(rows[i].body) ||
		      memcmp(reading.text + reading.body_at, rows[i].body,
		             body_size) != 0)))
			fail_msg("%s: %d %u \"%.*s\"%s", rows[i].name,
			         (int) reading.end, reading.status,
			         (int) body_size,
			         reading.text + reading.body_at,
			         reading.keeps ? " keeps" : "");
		assert_int_equal(
			reading.excess,
			strcmp(answer->name, "more than its length") == 0 ? 2
									  : 0);
	}
}

static void test_odd(void **state)
{
	static struct reading reading;
	size_t i;

	(void) state;
	for (i = 0; i < ARRAY_SIZE(odd_answers); i++) {
		read_whole(odd_answers[i].text, odd_answers[i].size, &reading);
		if (reading.end != HTTP_ODD)
			fail_msg("%s: %d", odd_answers[i].name,
			         (int) reading.end);
	}
}

static void test_no_body_after_HEAD(void **state)
{
	static const bool no_cuts[ROOM];
	static struct reading reading;
	const char *const heads[] = { HEAD_1_1 "Content-Length: 9\r\n\r\n",
		                      CHUNKED, HEAD_1_1 "\r\n" };
	size_t i;

	(void) state;
	for (i = 0; i < ARRAY_SIZE(heads); i++) {
		read_pieces(heads[i], strlen(heads[i]), no_cuts, true,
		            &reading);
		assert_int_equal(reading.end, HTTP_END);
		assert_true(reading.keeps);
		assert_int_equal(reading.size, strlen(heads[i]));
	}
}

static void test_long_lines_are_odd(void **state)
{
	static struct reading reading;
	static char text[ROOM] = HEAD_1_1 "A: ";
	size_t begin = strlen(HEAD_1_1), size;

	(void) state;
	memset(text + begin + 3, 'a', ROOM - begin - 3);
	for (size = HTTP_LINE_MAX; size <= HTTP_LINE_MAX + 1; size++) {
		text[begin + size - 1] = '\n';
		read_whole(text, begin + size, &reading);
		assert_int_equal(reading.end, HTTP_ODD); /* no end of it */
		assert_int_equal(reading.size,
		                 size == HTTP_LINE_MAX ? begin + size : begin);
		text[begin + size - 1] = 'a';
	}
	/* known as soon as it is too long */
	read_whole(text, begin + HTTP_LINE_MAX + 1, &reading);
	assert_int_equal(reading.size, begin);
}

/* --- in pieces ------------------------------------------------------------ */

static void expect_any_split(const char *name, const char *text, size_t size,
                             unsigned *seed)
{
	static struct reading whole, pieces;
	bool cuts[512] = { false };
	size_t i, turn;

	assert_true(size < ARRAY_SIZE(cuts));
	read_whole(text, size, &whole);
	for (i = 1; i < size; i++) {
		cuts[i] = true;
		read_pieces(text, size, cuts, false, &pieces);
		expect_same(name, &whole, &pieces);
		cuts[i] = false;
	}
	for (turn = 0; turn < 8; turn++) {
		for (i = 0; i < size; i++)
			cuts[i] = turn == 0 || next_random(seed) % turn == 0;
		read_pieces(text, size, cuts, false, &pieces);
		expect_same(name, &whole, &pieces);
	}
}

static void for_each_answer(void (*do_it)(const struct answer *answer,
                                          unsigned *seed))
{
	unsigned seed = 1;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(plain_answers); i++)
		do_it(&plain_answers[i], &seed);
	for (i = 0; i < ARRAY_SIZE(odd_answers); i++)
		do_it(&odd_answers[i], &seed);
}

static void split(const struct answer *answer, unsigned *seed)
{
	expect_any_split(answer->name, answer->text, answer->size, seed);
}

static void split_mutants(const struct answer *answer, unsigned *seed)
{
	size_t size = answer->size, i;
	char text[300];

	assert_true(size <= sizeof(text));
	for (i = 0; i < 40; i++) {
		memcpy(text, answer->text, size);
		expect_any_split(answer->name, text,
		                 mutate(text, size, sizeof(text), seed), seed);
	}
}

static void test_pieces_make_no_difference(void **state)
{
	(void) state;
	for_each_answer(split);
}

static void test_broken_answers(void **state)
{
	(void) state;
	for_each_answer(split_mutants);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_understood),
		cmocka_unit_test(test_odd),
		cmocka_unit_test(test_no_body_after_HEAD),
		cmocka_unit_test(test_long_lines_are_odd),
		cmocka_unit_test(test_pieces_make_no_difference),
		cmocka_unit_test(test_broken_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
