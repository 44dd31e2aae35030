/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Text from outside on its way to a person: made harmless, measured and cut.
 *
 * Names, addresses and messages in a segment come from configuration,
 * backends and other programs.  What would move a cursor, set a title or
 * turn the line around (control characters, escapes, bidirectional marks,
 * bytes that are not UTF-8) is shown as \xNN.
 */
#ifndef CHECKERD_TERMINAL_H
#define CHECKERD_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Room for `size` bytes from outside, escaped and terminated. */
#define TERMINAL_ESCAPED_SIZE(size) (4 * (size) + 1)

struct terminal {
	bool tty;
	bool draws;   /* knows escape sequences: TERM says so */
	bool colours; /* and nobody set NO_COLOR */
	unsigned columns; /* 0: not a terminal, nothing is cut */
	unsigned rows;
};

void terminal_measure(struct terminal *ret, int fd);

/* Escapes as much of `data` as fits into `buffer`, which it returns.  What
 * can be shown besides ASCII is up to the locale (LC_CTYPE). */
char *terminal_escape(char *buffer, size_t buffer_size, const char *data,
                      size_t size);

/* Prints all of `data` so. */
void terminal_print(FILE *out, const char *data, size_t size);

/* The columns that escaped text takes. */
unsigned terminal_columns(const char *escaped);

/* Cuts escaped text to `columns`, with an ellipsis if it was longer.  The
 * ellipsis may take two bytes more than what it replaces: `buffer_size` is
 * the size of the whole buffer. */
void terminal_cut(char *escaped, size_t buffer_size, unsigned columns);

#endif
