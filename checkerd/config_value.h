/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Values of configuration keys: read from text, stored, compared, printed.
 *
 * They are read into a config_value first and stored into a structure later,
 * because a section may come before the one it inherits from.
 */
#ifndef CHECKERD_CONFIG_VALUE_H
#define CHECKERD_CONFIG_VALUE_H

#include "arena.h"
#include "config_keys.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_PROBLEM_SIZE 384

union config_value {
	uint64_t number;
	const char *text;
	const struct status_mask *statuses;
	const struct config_bytes *bytes;
	struct config_agent *agent;
	const struct expectation *expectation;
};

/* Reads `text`, which the arena must hold.  Returns 0; -EINVAL with
 * `problem` (CONFIG_PROBLEM_SIZE bytes) saying what is wrong and what is
 * allowed; -ENOMEM. */
int config_value_parse(const struct config_key *key, const char *text,
                       struct arena *arena, union config_value *ret,
                       char *problem);

/* Into the structure that key->offset counts from; not for lists. */
void config_value_store(const struct config_key *key, union config_value value,
                        void *structure);

/* What a list holds for such a value; NULL for the empty one. */
const void *config_value_item(const struct config_key *key,
                              union config_value value);

bool config_value_equal(const struct config_key *key, const void *a,
                        const void *b);

/* The text alone; not for lists, which have several. */
void config_value_print_text(const struct config_key *key,
                             const void *structure, FILE *stream);

/* Of a list: the text of item `index`, which is at most their count; NULL
 * behind the last. */
const char *config_value_list_text(const struct config_key *key,
                                   const void *structure, size_t index);

/* As lines, "KEY = TEXT", that read back as the same value. */
void config_value_print(const struct config_key *key, const void *structure,
                        FILE *stream);

#endif
