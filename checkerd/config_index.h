/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Finds pools and hosts of a configuration by their names: orders, leases and
 * probes that somebody asks for come one by one, and must not look through a
 * hundred thousand hosts each.
 *
 * A name_index would keep all names a second time, and this is kept as long as
 * the configuration.
 */
#ifndef CHECKERD_CONFIG_INDEX_H
#define CHECKERD_CONFIG_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct arena;

/* An open hash table, at most half full, of the numbers of items whose first
 * member is their name. */
struct config_index {
	uint32_t *slots; /* a number, and 1; 0: free */
	uint32_t mask;
};

#define CONFIG_INDEX_NONE UINT32_MAX

/* Names are unique.  Returns 0 or -ENOMEM. */
int config_index_build(struct config_index *index, struct arena *arena,
                       const void *items, uint32_t count, size_t size);

/* In the same items. */
uint32_t config_index_find(const struct config_index *index, const void *items,
                           size_t size, const char *name);

#endif
