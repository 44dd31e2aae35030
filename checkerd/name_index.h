/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Finds a number by (pool, host id): what a reload matches the old with the
 * new by, and how a configuration finds its own hosts.
 */
#ifndef CHECKERD_NAME_INDEX_H
#define CHECKERD_NAME_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct name_index;

#define NAME_INDEX_NONE UINT32_MAX

/* Room for `capacity` names.  Returns NULL if memory ran out. */
struct name_index *name_index_new(uint32_t capacity);
void name_index_free(struct name_index *index); /* accepts NULL */

/* Names need not be terminated; the first of a name stays.  Returns 0 or
 * -ENOMEM. */
int name_index_add(struct name_index *index, const char *pool, size_t pool_size,
                   const char *id, size_t id_size, uint32_t value);

uint32_t name_index_find(const struct name_index *index, const char *pool,
                         size_t pool_size, const char *id, size_t id_size);

#endif
