/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lines of an agent, those that agents say and those that nobody should, and
 * what they come to one after the other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent_line.h"
#include "util.h"

#include <stdio.h>
#include <stdlib.h>

/* "50 maint down": what is spoken of, in that order; - for nothing. */
static const char *picture(const struct agent_advice *advice)
{
	static char text[64];
	int used = 0;

	text[0] = '\0';
	if (advice->of_percent)
		used += sprintf(text + used, " %u", advice->state.percent);
	if (advice->of_order)
		used += sprintf(text + used, " %s",
		                advice->state.order == HEALTH_AGENT_NONE
		                        ? "ready"
		                        : health_agent_name(
		                                  advice->state.order));
	if (advice->of_down)
		used += sprintf(text + used, advice->state.down ? " down"
		                                                : " up");
	if (used == 0)
		return advice->understood ? "nothing" : "-";
	assert_true(advice->understood);
	return text + 1;
}

static const struct {
	const char *line;
	const char *says;
	const char *text;
} lines[] = {
	{ "75%\n", "75", "75%" },
	{ "0%", "0", "0%" },
	{ "100%\r\n", "100", "100%" },
	{ "000000000000000000007%", "7", "000000000000000000007%" },
	{ "250%", "100", "250%" },
	{ "99999999999999999999999999%", "100",
	  "99999999999999999999999999%" },
	{ "up", "up", "up" },
	{ "UP", "up", "UP" },
	{ "down", "down", "down" },
	{ "fail\n", "down", "fail" },
	{ "Stopped", "down", "Stopped" },
	{ "drain", "drain", "drain" },
	{ "maint", "maint", "maint" },
	{ "ready", "ready", "ready" },
	{ "up ready 30%", "30 ready up", "up ready 30%" },
	{ "up,ready,,30%", "30 ready up", "up,ready,,30%" },
	{ " \t, drain\t50% ,\n", "50 drain", "drain\t50%" },
	{ "10% 20% 30%", "30", "10% 20% 30%" },
	{ "drain maint ready", "ready", "drain maint ready" },
	{ "down up", "up", "down up" },
	{ "down#now", "-", "down#now" },
	{ "down #now, up", "down", "down #now, up" },
	{ "# up", "-", "# up" },
	{ "maxconn:30", "nothing", "maxconn:30" },
	{ "up maxconn:30 50%", "50 up", "up maxconn:30 50%" },
	{ "up please", "up", "up please" },
	/* nobody said these */
	{ "", "-", "" },
	{ "\n", "-", "" },
	{ "\nup", "-", "" },
	{ "up\ndown", "up", "up" },
	{ "up\rdown", "up", "up" },
	{ "75", "-", "75" },
	{ "%", "-", "%" },
	{ "75%%", "-", "75%%" },
	{ "7 5%", "5", "7 5%" },
	{ "-5%", "-", "-5%" },
	{ "+5%", "-", "+5%" },
	{ "5.5%", "-", "5.5%" },
	{ "0x5%", "-", "0x5%" },
	{ "upp", "-", "upp" },
	{ "u", "-", "u" },
	{ "HTTP/1.1 200 OK\r\n", "-", "HTTP/1.1 200 OK" },
	{ "220 mail.example ESMTP\r\n", "-", "220 mail.example ESMTP" },
	{ "\x01\x7f\xff up\n", "up", "??? up" },
};

static void test_lines(void **state)
{
	(void) state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct agent_advice advice = { 0 };
		char expected[AGENT_TEXT_SIZE];

		agent_line_parse(&advice, lines[i].line, strlen(lines[i].line));
		snprintf(expected, sizeof(expected), "%s", lines[i].text);
		for (char *at = expected; *at != '\0'; at++)
			if (*at == '\t')
				*at = '?';
		if (strcmp(picture(&advice), lines[i].says) != 0 ||
		    strcmp(advice.text, expected) != 0)
			fail_msg("\"%s\" says %s (\"%s\")", lines[i].line,
			         picture(&advice), advice.text);
	}
}

static void test_a_nul_ends_the_line(void **state)
{
	struct agent_advice advice = { 0 };

	(void) state;
	agent_line_parse(&advice, "up\0down", 7);
	assert_string_equal(picture(&advice), "up");
}

static void test_lines_add_up(void **state)
{
	struct agent_advice advice = { 0 };

	(void) state;
	agent_line_parse(&advice, " 50%\r\n", 6);
	agent_line_parse(&advice, " drain\r\n", 8);
	assert_string_equal(picture(&advice), "50 drain");
	assert_string_equal(advice.text, "50%, drain");
}

/* Each line after the one before, from nothing: percentage and order. */
static void test_what_it_comes_to(void **state)
{
	static const struct {
		const char *line;
		unsigned percent;
		enum health_agent order;
	} story[] = {
		{ "50%", 50, HEALTH_AGENT_NONE },
		{ "drain", 50, HEALTH_AGENT_DRAIN },
		{ "up", 50, HEALTH_AGENT_DRAIN },
		{ "down", 50, HEALTH_AGENT_DRAIN },
		{ "ready", 50, HEALTH_AGENT_DOWN },
		{ "maint 10%", 10, HEALTH_AGENT_MAINT },
		{ "ready", 10, HEALTH_AGENT_DOWN },
		{ "who knows", 10, HEALTH_AGENT_DOWN },
		{ "up", 10, HEALTH_AGENT_NONE },
		{ "0%", 0, HEALTH_AGENT_DRAIN },
		{ "ready", 0, HEALTH_AGENT_DRAIN },
		{ "100%", 100, HEALTH_AGENT_NONE },
	};
	struct agent_state now = agent_state_neutral;

	(void) state;
	assert_int_equal(agent_state_order(now), HEALTH_AGENT_NONE);
	for (size_t i = 0; i < ARRAY_SIZE(story); i++) {
		struct agent_advice advice = { 0 };

		agent_line_parse(&advice, story[i].line, strlen(story[i].line));
		now = agent_state_next(now, &advice);
		if (now.percent != story[i].percent ||
		    agent_state_order(now) != story[i].order)
			fail_msg("after %s: %u%% and %s", story[i].line,
			         now.percent,
			         health_agent_name(agent_state_order(now)));
	}
}

/* Any bytes, in a block of just that size for the sanitizers to guard: the
 * outcome is a state that one can be in, and the text is one to print. */
static void test_any_bytes(void **state)
{
	static const char *const bricks[] = { "up",  "down", "drain", "maint",
		                              "%",   "50%",  "ready", " ",
		                              ",",   "#",    "\t",    "\n",
		                              "9",   "max",  "conn:", "\xff",
		                              "fail" };
	unsigned seed = 1;

	(void) state;
	for (unsigned round = 0; round < 50000; round++) {
		struct agent_advice advice = { 0 };
		struct agent_state now;
		char built[4096];
		size_t size = 0, bytes = (size_t) rand_r(&seed) % 40;
		char *line;

		if (round % 100 == 0)
			bytes = sizeof(built) / 8;
		for (size_t i = 0; i < bytes; i++) {
			const char *brick =
				bricks[(unsigned) rand_r(&seed) %
			               ARRAY_SIZE(bricks)];

			if (rand_r(&seed) % 3 == 0) {
				built[size++] = (char) rand_r(&seed);
				continue;
			}
			memcpy(built + size, brick, strlen(brick));
			size += strlen(brick);
		}
		line = malloc(size > 0 ? size : 1);
		memcpy(line, built, size);
		agent_line_parse(&advice, line, size);
		free(line);

		now = agent_state_next(agent_state_neutral, &advice);
		assert_in_range(now.percent, 0, 100);
		assert_true(now.order == HEALTH_AGENT_NONE ||
		            now.order == HEALTH_AGENT_DRAIN ||
		            now.order == HEALTH_AGENT_MAINT);
		if (!advice.understood)
			assert_memory_equal(&now, &agent_state_neutral,
			                    sizeof(now));
		assert_true(strlen(advice.text) < sizeof(advice.text));
		for (const char *at = advice.text; *at != '\0'; at++)
			assert_in_range(*at, ' ', '~');
	}
}

static void test_a_line_without_an_end_is_cut(void **state)
{
	struct agent_advice advice = { 0 };
	static char line[AGENT_LINE_MAX + 8];

	(void) state;
	memset(line, ' ', sizeof(line));
	memcpy(line, "up", 2);
	memcpy(line + AGENT_LINE_MAX, "down", 4);
	agent_line_parse(&advice, line, sizeof(line));
	assert_string_equal(picture(&advice), "up");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_a_nul_ends_the_line),
		cmocka_unit_test(test_lines_add_up),
		cmocka_unit_test(test_what_it_comes_to),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_a_line_without_an_end_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
