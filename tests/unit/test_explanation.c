/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Every way into a state, and the rule that `why` names for it.
 */
#include "unit.h"

#include "explanation.h"
#include "util.h"

#define RISE 2
#define FALL 3

struct story {
	enum health_verdict verdict;
	enum health_admin admin;
	enum health_agent agent;
	bool checking;
	bool panic;
	uint32_t failcount;
	uint32_t passcount;
	uint64_t probes;
	uint64_t failures;
	enum health_outcome outcome;
	const char *says; /* must be part of it */
};

static const struct story stories[] = {
	/* never checked */
	{ .says = "initial = up: takes traffic until checks have decided" },
	{ .checking = true,
	  .says =
	      "initial = checking: takes no traffic before its first pass" },
	{ .failcount = 1,
	  .probes = 1,
	  .failures = 1,
	  .outcome = HEALTH_L4CON,
	  .says = "; 1 consecutive failure, fall = 3" },
	{ HEALTH_DOWN, .says = "initial = down" },
	/* up */
	{ HEALTH_UP, .passcount = 1, .probes = 1, .outcome = HEALTH_L7OK,
	  .says = "the first pass brings an unknown host up" },
	{ HEALTH_UP, .passcount = 2, .probes = 5, .failures = 3,
	  .outcome = HEALTH_L7OK,
	  .says = "2 consecutive passes reached rise = 2" },
	{ HEALTH_UP, .failcount = 2, .probes = 9, .failures = 2,
	  .outcome = HEALTH_L7STS,
	  .says = "still up: 2 consecutive failures, fall = 3" },
	{ HEALTH_UP, .passcount = 1, .probes = 9, .failures = 2,
	  .outcome = HEALTH_L7OK,
	  .says = "the failures before the last 1 pass did not reach" },
	{ HEALTH_UP, .outcome = HEALTH_ADMIN, .says = "a person marked it up" },
	{ HEALTH_UP, .says = "up from before" },
	/* down */
	{ HEALTH_DOWN, .failcount = 3, .probes = 3, .failures = 3,
	  .outcome = HEALTH_L7STS,
	  .says = "3 consecutive failures reached fall = 3" },
	{ HEALTH_DOWN, .passcount = 1, .probes = 4, .failures = 3,
	  .outcome = HEALTH_L7OK,
	  .says = "still down: 1 consecutive pass, rise = 2" },
	{ HEALTH_DOWN, .failcount = 1, .probes = 4, .failures = 1,
	  .outcome = HEALTH_PASSIVE, .says = "on_error = down" },
	{ HEALTH_DOWN, .failcount = 1, .probes = 4, .failures = 1,
	  .outcome = HEALTH_L4CON, .says = "down from before" },
	/* orders outrank all of it */
	{ HEALTH_UP, HEALTH_ADMIN_DOWN, .passcount = 7, .probes = 7,
	  .outcome = HEALTH_L7OK,
	  .says = "ordered down, which no check undoes; checks say up" },
	{ HEALTH_DOWN, HEALTH_ADMIN_DRAIN, .failcount = 3, .probes = 7,
	  .failures = 3, .outcome = HEALTH_L7STS,
	  .says = "ordered drain, which no check undoes; checks say down" },
	{ HEALTH_UP, .agent = HEALTH_AGENT_MAINT, .passcount = 7, .probes = 7,
	  .outcome = HEALTH_L7OK,
	  .says = "its agent says maint, which no check undoes; checks say up" },
	{ HEALTH_UP, HEALTH_ADMIN_DOWN, HEALTH_AGENT_DRAIN, .passcount = 7,
	  .probes = 7, .outcome = HEALTH_L7OK, .says = "ordered down" },
	/* and panic is said on top */
	{ HEALTH_DOWN, .panic = true, .failcount = 3, .probes = 3,
	  .failures = 3, .outcome = HEALTH_L7STS,
	  .says = "takes traffic all the same" },
};

static const char *explain(const struct story *story, char *buffer)
{
	const struct health_detail detail = {
		.passcount = story->passcount,
		.probes = story->probes,
		.failures = story->failures,
		.rise = RISE,
		.fall = FALL,
	};
	uint64_t word = health_word_make(
	    story->verdict, story->admin, story->panic, story->checking,
	    HEALTH_WEIGHT_UNIT, story->failcount, story->outcome);

	word |= (uint64_t) story->agent << HEALTH_WORD_AGENT_SHIFT;
	return explanation(word, &detail, story->panic, buffer);
}

static void test_each_state_names_its_rule(void **state)
{
	char buffer[EXPLANATION_SIZE];
	size_t i;

	(void) state;
	for (i = 0; i < ARRAY_SIZE(stories); i++)
		if (strstr(explain(&stories[i], buffer), stories[i].says) ==
		    NULL)
			fail_msg("story %zu: \"%s\" lacks \"%s\"", i, buffer,
				 stories[i].says);
}

/* A damaged segment can hold any word and any counters. */
static void test_no_word_breaks_it(void **state)
{
	struct health_detail detail;
	char buffer[EXPLANATION_SIZE];
	uint64_t word;
	unsigned bits;

	(void) state;
	for (bits = 0; bits < 256; bits++)
		for (unsigned fill = 0; fill < 2; fill++) {
			memset(&detail, fill ? 0xff : 0, sizeof(detail));
			word = (uint64_t) bits | (fill ? ~UINT64_C(255) : 0);
			explanation(word, &detail, true, buffer);
			assert_true(strlen(buffer) > 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_state_names_its_rule),
		cmocka_unit_test(test_no_word_breaks_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
