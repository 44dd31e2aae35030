/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The changes at runtime on disk: DIR/changes.json, written whole under
 * another name, flushed and renamed, so that it is always an old or a new one.
 *
 *	{"version": 1, "changes": [...]}		rows as in changes.h
 */
#ifndef CHECKERD_CONFIG_STATE_H
#define CHECKERD_CONFIG_STATE_H

#include <jansson.h>
#include <limits.h>

/* Both may block: disks do. */

#define CONFIG_STATE_PROBLEM_SIZE 512

/* Returns 0, with an empty array if there is no file; -EINVAL for a file that
 * is damaged, or from a newer version, with `problem` in words; or another
 * negative errno. */
int config_state_read(const char *dir, json_t **ret,
                      char problem[CONFIG_STATE_PROBLEM_SIZE]);

/* Gives what cannot be read another name, which it returns. */
int config_state_set_aside(const char *dir, char ret_name[PATH_MAX]);

/* Gives it another name beside its own, under which it stays when the next is
 * written. */
int config_state_keep_copy(const char *dir, char ret_name[PATH_MAX]);

/* On disk when it returns 0; else a negative errno, and the old file stays. */
int config_state_write(const char *dir, const json_t *changes);

#endif
