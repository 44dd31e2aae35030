/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is wrong with a configuration: every mistake of a run, one line each,
 * as "FILE:LINE: [SECTION] KEY: what is wrong, what is allowed".
 */
#ifndef CHECKERD_CONFIG_ERRORS_H
#define CHECKERD_CONFIG_ERRORS_H

#include "util.h"

#include <stddef.h>
#include <stdio.h>

/* More are only counted. */
#define CONFIG_ERRORS_MAX 1000

struct config_errors {
	char *texts[CONFIG_ERRORS_MAX];
	char *sections[CONFIG_ERRORS_MAX]; /* where they are; NULL: nowhere */
	size_t kept;  /* entries of both */
	size_t count; /* all of them */
	/* of the first: its key, what is wrong; or NULL */
	char *key, *what;
};

/* Where something was written.  A place borrows its texts. */
struct config_place {
	const char *file;
	unsigned line;       /* 0: the file as a whole */
	const char *section; /* NULL: none */
};

/* `key` may be NULL. */
void config_errors_add(struct config_errors *errors,
                       const struct config_place *place, const char *key,
                       const char *format, ...) PRINTF_LIKE(4, 5);

/* One line each, and a last one for those that were not kept. */
void config_errors_print(const struct config_errors *errors, FILE *stream);

/* Leaves it empty and ready for use. */
void config_errors_clear(struct config_errors *errors);

/* Outside bytes, fit for a message: quoted, cut, with ? for what cannot be
 * printed.  `buffer` has CONFIG_QUOTE_SIZE bytes. */
#define CONFIG_QUOTE_SIZE 72
const char *config_quote(char *buffer, const char *text);

#endif
