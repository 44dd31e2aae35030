/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What an agent says, in one piece and in two: whoever listens on the agent's
 * port, or answers a check with a field of that name, may say anything.
 */
#include "fuzz.h"

#include "agent_line.h"
#include "parse.h"

#include <ctype.h>

static void check(const struct agent_advice *advice)
{
	const struct agent_state now = { .percent = 40,
		                         .order = HEALTH_AGENT_MAINT,
		                         .down = true };
	struct agent_state next = agent_state_next(now, advice);
	size_t size = strnlen(advice->text, sizeof(advice->text));

	HOLDS(size < sizeof(advice->text));
	for (size_t i = 0; i < size; i++)
		HOLDS(advice->text[i] >= ' ' && advice->text[i] <= '~');
	HOLDS(advice->state.percent <= 100);
	HOLDS(advice->understood ||
	      (!advice->of_percent && !advice->of_order && !advice->of_down));
	HOLDS(advice->of_percent || next.percent == now.percent);
	HOLDS(advice->of_order || next.order == now.order);
	HOLDS(advice->of_down || next.down == now.down);
	HOLDS(agent_state_order(next) < HEALTH_AGENT_COUNT);
	HOLDS(agent_state_order(agent_state_next(agent_state_neutral, advice)) <
	      HEALTH_AGENT_COUNT);
}

static bool same(const struct agent_advice *a, const struct agent_advice *b)
{
	return memcmp(&a->state, &b->state, sizeof(a->state)) == 0 &&
	       a->of_percent == b->of_percent && a->of_order == b->of_order &&
	       a->of_down == b->of_down && a->understood == b->understood;
}

/* Case means nothing. */
static void check_upper(const struct agent_advice *advice, const char *line,
                        size_t size)
{
	struct agent_advice upper = { 0 };
	char *copy = fuzz_text((const uint8_t *) line, size);

	for (size_t i = 0; i < size; i++)
		if ((unsigned char) copy[i] < 0x80)
			copy[i] = (char) toupper(copy[i]);
	agent_line_parse(&upper, copy, size);
	HOLDS(same(advice, &upper));
	free(copy);
}

/* What is shown of a line says what the line said, if all of it is shown. */
static void check_shown(const struct agent_advice *advice, const char *line,
                        size_t size)
{
	struct agent_advice again = { 0 };

	if (memchr(line, '\t', size) ||
	    strlen(advice->text) + 1 == sizeof(advice->text))
		return;
	agent_line_parse(&again, advice->text, strlen(advice->text));
	HOLDS(same(advice, &again));
	HOLDS(strcmp(advice->text, again.text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct agent_advice advice = { 0 }, further = { 0 };
	const char *line = (const char *) data;

	if (size == 0)
		return 0;
	agent_line_parse(&advice, line, size);
	check(&advice);
	check_upper(&advice, line, size);
	check_shown(&advice, line, size);

	/* as two fields of one head */
	agent_line_parse(&further, line, size / 2);
	agent_line_parse(&further, line + size / 2, size - size / 2);
	check(&further);
	return 0;
}
