/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "verdict.h"

#include <string.h>

static enum health_outcome_class class_of(char letter)
{
	return letter == 'P'   ? HEALTH_CLASS_PASS
	       : letter == 'F' ? HEALTH_CLASS_FAIL
	                       : HEALTH_CLASS_NEUTRAL;
}

static char letter_of(struct verdict now)
{
	return "?UD"[now.verdict];
}

static void stories_read_as_expected(void **state)
{
	static const struct {
		const char *start, *seen;
		unsigned rise, fall;
		const char *verdicts;
	} rows[] = {
		/* P passes, F fails, I is inconclusive */
		{ "?", "PFFFPP", 2, 3, "UUUDDU" },
		{ "?", "FFFPP", 2, 3, "??DDU" },
		{ "?", "FFP", 4, 3, "??U" },
		{ "U", "FFPFFPFFF", 2, 3, "UUUUUUUUD" },
		{ "U", "FIFIF", 2, 3, "UUUUD" },
		{ "D", "PFPFPP", 2, 1, "DDDDDU" },
		{ "D", "PIP", 2, 3, "DDU" },
		{ "U", "F", 1, 1, "D" },
		{ "D", "P", 1, 1, "U" },
		{ "?", "III", 1, 1, "???" },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct verdict now = { .verdict = (uint8_t) (
			strchr("?UD", rows[i].start[0]) - "?UD") };

		for (size_t at = 0; rows[i].seen[at]; at++) {
			now = verdict_next(now, class_of(rows[i].seen[at]),
			                   rows[i].rise, rows[i].fall);
			assert_int_equal(letter_of(now), rows[i].verdicts[at]);
		}
	}
}

/* The naive model knows no counters: it looks at what the story ends in. */
struct story {
	char text[16]; /* what was conclusive */
	size_t length;
	unsigned rise, fall;
	unsigned long count;
};

static int ends_in(const struct story *story, char letter, size_t times)
{
	for (size_t i = 0; i < times; i++)
		if (i >= story->length ||
		    story->text[story->length - 1 - i] != letter)
			return 0;
	return 1;
}

static size_t streak(const struct story *story, char letter)
{
	size_t times = 0;

	while (ends_in(story, letter, times + 1))
		times++;
	return times;
}

static void tell(struct story *story, struct verdict now, char model, int left)
{
	story->count++;
	if (letter_of(now) != model ||
	    now.failcount != streak(story, 'F') ||
	    now.passcount != streak(story, 'P'))
		fail_msg("%.*s rise=%u fall=%u: %c, not %c",
		         (int) story->length, story->text, story->rise,
		         story->fall, letter_of(now), model);
	if (!left)
		return;
	for (const char *letter = "PFI"; *letter; letter++) {
		size_t length = story->length;
		char next = model;

		if (*letter != 'I')
			story->text[story->length++] = *letter;
		if (ends_in(story, 'F', story->fall))
			next = 'D';
		if (ends_in(story, 'P', model == '?' ? 1 : story->rise))
			next = 'U';
		tell(story,
		     verdict_next(now, class_of(*letter), story->rise,
		                  story->fall),
		     next, left - 1);
		story->length = length;
	}
}

static void every_story_ends_as_the_naive_model_says(void **state)
{
	struct story story = { .count = 0 };

	(void) state;
	for (story.rise = 1; story.rise <= 4; story.rise++)
		for (story.fall = 1; story.fall <= 4; story.fall++)
			for (uint8_t start = 0; start < 3; start++)
				tell(&story, (struct verdict) { .verdict = start },
				     "?UD"[start], 12);
	assert_true(story.count > 38000000);
}

static void counts_saturate(void **state)
{
	struct verdict now = { .verdict = HEALTH_UP };

	(void) state;
	for (int i = 0; i < 70000; i++)
		now = verdict_next(now, HEALTH_CLASS_FAIL, 2, 3);
	assert_int_equal(now.failcount, 65535);
	assert_int_equal(now.verdict, HEALTH_DOWN);
	for (int i = 0; i < 70000; i++)
		now = verdict_next(now, HEALTH_CLASS_PASS, 2, 3);
	assert_int_equal(now.passcount, 65535);
	assert_int_equal(now.verdict, HEALTH_UP);
}

static void a_streak_that_may_turn_the_verdict_is_undecided(void **state)
{
	static const struct {
		struct verdict now;
		int undecided;
	} rows[] = {
		{ { HEALTH_UP, 0, 9 }, 0 },   { { HEALTH_UP, 1, 0 }, 1 },
		{ { HEALTH_UP, 2, 0 }, 1 },   { { HEALTH_DOWN, 3, 0 }, 0 },
		{ { HEALTH_DOWN, 0, 1 }, 1 }, { { HEALTH_UNKNOWN, 1, 0 }, 1 },
		{ { HEALTH_UNKNOWN, 0, 0 }, 0 },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(verdict_undecided(rows[i].now, 2, 3),
		                 rows[i].undecided);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stories_read_as_expected),
		cmocka_unit_test(every_story_ends_as_the_naive_model_says),
		cmocka_unit_test(counts_saturate),
		cmocka_unit_test(a_streak_that_may_turn_the_verdict_is_undecided),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
