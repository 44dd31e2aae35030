/* SPDX-License-Identifier: BSD-2-Clause */
#include "config_index.h"

#include "arena.h"
#include "hash.h"

#include <errno.h>
#include <string.h>

static const char *name_of(const void *items, size_t size, uint32_t number)
{
	return *(const char *const *) ((const char *) items + number * size);
}

/* The slot that holds the name, or the free one where it would be. */
static uint32_t *find_slot(const struct config_index *index, const void *items,
                           size_t size, const char *name)
{
	uint64_t hash = hash_bytes(HASH_BEGIN, name, strlen(name));
	uint32_t at = (uint32_t) (hash ^ hash >> 32) & index->mask;

	while (index->slots[at] &&
	       strcmp(name_of(items, size, index->slots[at] - 1), name) != 0)
		at = (at + 1) & index->mask;
	return &index->slots[at];
}

int config_index_build(struct config_index *index, struct arena *arena,
                       const void *items, uint32_t count, size_t size)
{
	uint32_t slots = 2;

	while (slots < (uint64_t) count * 2)
		slots *= 2;
	index->mask = slots - 1;
	index->slots = arena_alloc(arena, slots, sizeof(*index->slots));
	if (!index->slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		*find_slot(index, items, size, name_of(items, size, i)) = i + 1;
	return 0;
}

uint32_t config_index_find(const struct config_index *index, const void *items,
                           size_t size, const char *name)
{
	return *find_slot(index, items, size, name) - 1;
}
