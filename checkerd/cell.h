/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One cell of a table in the making: text that can be shown as it is, built
 * from pieces of ours and from bytes from outside, cut when full.
 */
#ifndef CHECKERD_CELL_H
#define CHECKERD_CELL_H

#include "terminal.h"
#include "util.h"

#include "../include/health_shm.h"

/* The longest: a reason and what is said around it. */
#define CELL_SIZE (TERMINAL_ESCAPED_SIZE(HEALTH_REASON_SIZE) + 128)

struct cell {
	char text[CELL_SIZE];
	size_t used;
};

static inline void cell_clear(struct cell *cell)
{
	cell->text[0] = '\0';
	cell->used = 0;
}

/* Appends text of ours. */
void cell_print(struct cell *cell, const char *format, ...) PRINTF_LIKE(2, 3);

/* Appends bytes from outside, escaped. */
void cell_escape(struct cell *cell, const char *data, size_t size);
void cell_escape_text(struct cell *cell, struct health_text text);

/* How long ago that was; "-" for never. */
void cell_age(struct cell *cell, uint64_t at_us);

/* What a probe saw: "L7STS 503 1.25ms".  `record` may be NULL. */
void cell_outcome(struct cell *cell, unsigned outcome,
                  const struct health_record *record);

#endif
