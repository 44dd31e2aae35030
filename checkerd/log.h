/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Log lines: to the journal with fields when systemd listens, else to
 * standard error as "checkerd: text".
 */
#ifndef CHECKERD_LOG_H
#define CHECKERD_LOG_H

#include "util.h"

#include <syslog.h>

/* Reads $JOURNAL_STREAM once.  Before it is called, lines go to stderr. */
void log_open(void);

void log_set_level(int level); /* LOG_ERR .. LOG_DEBUG; default LOG_INFO */

void log_print(int level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_error(...)   log_print(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_print(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)  log_print(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)    log_print(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_print(LOG_DEBUG, __VA_ARGS__)

/* One journal field, "NAME=value"; see log_fields(). */
struct log_field {
	const char *name;
	const char *value;
};

/* A line with a MESSAGE_ID (32 hex digits) and fields of its own. */
void log_fields(int level, const char *message_id,
                const struct log_field *fields, unsigned field_count,
                const char *format, ...) PRINTF_LIKE(5, 6);

#endif
