/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What an agent says: one line, in the words of HAProxy's agent-check, and
 * what holds of all that it ever said.
 *
 *	75%                      of the configured weight; above 100%: 100%
 *	up                       takes back a down
 *	down fail stopped        as if the checks had failed
 *	drain maint              no new requests; taken out
 *	ready                    takes back drain and maint
 *	maxconn:N                understood, and without effect
 *
 * Words are in any case, with blanks, tabs or commas between them; of those
 * about the same thing the last counts, and those that nobody knows count for
 * nothing.  A # begins words for people.  The line comes from anybody: no byte
 * of it is trusted.
 */
#ifndef CHECKERD_AGENT_LINE_H
#define CHECKERD_AGENT_LINE_H

#include "../include/health_shm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What comes later in a line is not looked at. */
#define AGENT_LINE_MAX 1024

#define AGENT_TEXT_SIZE HEALTH_MESSAGE_SIZE

/* What holds of a host by its agent's word. */
struct agent_state {
	uint8_t percent; /* of the configured weight */
	uint8_t order;   /* enum health_agent: none, drain or maint */
	bool down;
};

/* Of a host whose agent has said nothing yet. */
extern const struct agent_state agent_state_neutral;

/* What was said at once; starts as zeroes. */
struct agent_advice {
	struct agent_state state; /* as far as it is spoken of */
	bool of_percent;
	bool of_order;
	bool of_down;
	bool understood; /* at least one word */
	/* the line as it was, of printable ASCII and cut to fit */
	char text[AGENT_TEXT_SIZE];
};

/* The line ends with a CR, an LF, a NUL or `size`.  Further lines add to what
 * the ones before said. */
void agent_line_parse(struct agent_advice *advice, const char *line,
                      size_t size);

/* What was not spoken of stays as it is `now`. */
struct agent_state agent_state_next(struct agent_state now,
                                    const struct agent_advice *advice);

/* What it comes to. */
enum health_agent agent_state_order(struct agent_state state);

#endif
