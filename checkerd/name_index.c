/* SPDX-License-Identifier: BSD-2-Clause */
#include "name_index.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* Pool names hold no slash, so the first one divides unambiguously. */
#define KEY_SIZE 256

struct name_index {
	struct hsearch_data table;
	char **keys;
	uint32_t count;
	uint32_t capacity;
};

struct name_index *name_index_new(uint32_t capacity)
{
	struct name_index *index = calloc(1, sizeof(*index));

	if (!index)
		return NULL;
	index->capacity = capacity;
	index->keys = calloc(capacity + 1, sizeof(*index->keys));
	if (!index->keys || !hcreate_r(capacity + capacity / 3 + 1,
	                               &index->table)) {
		name_index_free(index);
		return NULL;
	}
	return index;
}

void name_index_free(struct name_index *index)
{
	if (!index)
		return;
	hdestroy_r(&index->table);
	for (uint32_t i = 0; i < index->count; i++)
		free(index->keys[i]);
	free(index->keys);
	free(index);
}

static int make_key(char *key, const char *pool, size_t pool_size,
                    const char *id, size_t id_size)
{
	if (pool_size + id_size + 2 > KEY_SIZE)
		return -ENAMETOOLONG;
	memcpy(key, pool, pool_size);
	key[pool_size] = '/';
	memcpy(key + pool_size + 1, id, id_size);
	key[pool_size + 1 + id_size] = '\0';
	return 0;
}

int name_index_add(struct name_index *index, const char *pool, size_t pool_size,
                   const char *id, size_t id_size, uint32_t value)
{
	char key[KEY_SIZE];
	ENTRY entry = { .data = (void *) (uintptr_t) value }, *found;

	if (make_key(key, pool, pool_size, id, id_size) < 0)
		return 0; /* nothing of ours has such a name: never found */
	if (index->count == index->capacity)
		return -ENOMEM;
	entry.key = strdup(key);
	if (!entry.key || !hsearch_r(entry, ENTER, &found, &index->table)) {
		free(entry.key);
		return -ENOMEM;
	}
	index->keys[index->count++] = entry.key;
	return 0;
}

uint32_t name_index_find(const struct name_index *index, const char *pool,
                         size_t pool_size, const char *id, size_t id_size)
{
	char key[KEY_SIZE];
	ENTRY *found;

	if (make_key(key, pool, pool_size, id, id_size) < 0 ||
	    !hsearch_r((ENTRY) { .key = key }, FIND, &found,
	               (struct hsearch_data *) &index->table))
		return NAME_INDEX_NONE;
	return (uint32_t) (uintptr_t) found->data;
}
