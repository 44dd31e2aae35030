/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Finds a number by (pool, host id).
 *
 * An open hash table, at most half full.  Not libc's hsearch_r: its hash
 * keeps eight characters of a key, which all hosts of a pool have in common,
 * and 100 000 of them take half a minute.
 */
#include "name_index.h"

#include "arena.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct slot {
	const char *pool; /* NULL: free */
	const char *id;
	uint32_t hash;
	uint32_t value;
};

struct name_index {
	struct arena *names;
	struct slot *slots;
	uint32_t mask; /* their number, a power of two, less one */
	uint32_t count;
	uint32_t capacity;
};

struct name_index *name_index_new(uint32_t capacity)
{
	struct name_index *index = calloc(1, sizeof(*index));
	size_t slots = 2;

	if (!index)
		return NULL;
	while (slots < (size_t) capacity * 2)
		slots *= 2;
	index->capacity = capacity;
	index->mask = (uint32_t) (slots - 1);
	index->names = arena_new(NULL);
	index->slots = calloc(slots, sizeof(*index->slots));
	if (!index->names || !index->slots) {
		name_index_free(index);
		return NULL;
	}
	return index;
}

void name_index_free(struct name_index *index)
{
	if (!index)
		return;
	arena_free(index->names);
	free(index->slots);
	free(index);
}

/* FNV-1a */
static uint32_t add_to_hash(uint32_t hash, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char) text[i]) * UINT32_C(16777619);
	return hash;
}

static bool text_equal(const char *ours, const char *text, size_t size)
{
	return strlen(ours) == size && memcmp(ours, text, size) == 0;
}

/* The slot that holds the name, or the free one where it would be. */
static struct slot *find_slot(const struct name_index *index, uint32_t hash,
                              const char *pool, size_t pool_size,
                              const char *id, size_t id_size)
{
	for (uint32_t i = hash & index->mask;; i = (i + 1) & index->mask) {
		struct slot *slot = &index->slots[i];

		if (!slot->pool || (slot->hash == hash &&
		                    text_equal(slot->pool, pool, pool_size) &&
		                    text_equal(slot->id, id, id_size)))
			return slot;
	}
}

static uint32_t hash_name(const char *pool, size_t pool_size, const char *id,
                          size_t id_size)
{
	uint32_t hash = add_to_hash(UINT32_C(2166136261), pool, pool_size);

	return add_to_hash(add_to_hash(hash, "/", 1), id, id_size);
}

int name_index_add(struct name_index *index, const char *pool, size_t pool_size,
                   const char *id, size_t id_size, uint32_t value)
{
	uint32_t hash = hash_name(pool, pool_size, id, id_size);
	struct slot *slot, filled = { .hash = hash, .value = value };

	slot = find_slot(index, hash, pool, pool_size, id, id_size);
	if (slot->pool)
		return 0; /* the first of a name stays */
	if (index->count == index->capacity)
		return -ENOMEM;
	filled.pool = arena_text(index->names, pool, pool_size);
	filled.id = arena_text(index->names, id, id_size);
	if (!filled.pool || !filled.id)
		return -ENOMEM;
	*slot = filled;
	index->count++;
	return 0;
}

uint32_t name_index_find(const struct name_index *index, const char *pool,
                         size_t pool_size, const char *id, size_t id_size)
{
	const struct slot *slot =
		find_slot(index, hash_name(pool, pool_size, id, id_size), pool,
	                  pool_size, id, id_size);

	return slot->pool ? slot->value : NAME_INDEX_NONE;
}
