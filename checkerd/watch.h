/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `checkerctl watch`: the table of `status`, again every second.
 */
#ifndef CHECKERD_WATCH_H
#define CHECKERD_WATCH_H

#include <stdbool.h>

/* Until a signal ends it.  `name` is POOL[/HOST], or NULL for all.  Returns 0,
 * or a negative errno if standard output takes no more. */
int watch(const char *path, const char *name, bool json);

/* Gives the terminal back, if watch() has it; safe in a signal handler. */
void watch_restore(void);

#endif
