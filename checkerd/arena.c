/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A list of chunks, cut from the front.  What does not fit in the current
 * chunk starts a new one; the rest of the old one is left alone.
 */
#include "arena.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE ((size_t) 64 * 1024)
#define ALIGNMENT  _Alignof(max_align_t)

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(max_align_t) unsigned char bytes[];
};

struct owned {
	struct owned *next;
	void (*destroy)(void *object);
	void *object;
};

struct arena {
	/* its maker's, and one of each arena on it; those are made and freed
	 * in threads */
	atomic_uint holds;
	struct arena *below;
	struct chunk *chunks;
	struct owned *owned; /* in the chunks */
};

struct arena *arena_new(struct arena *below)
{
	struct arena *arena = calloc(1, sizeof(*arena));

	if (!arena)
		return NULL;
	atomic_init(&arena->holds, 1);
	arena->below = below;
	if (below)
		atomic_fetch_add(&below->holds, 1);
	return arena;
}

static void empty_out(struct arena *arena)
{
	for (struct owned *owned = arena->owned; owned; owned = owned->next)
		owned->destroy(owned->object);
	while (arena->chunks) {
		struct chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		free(chunk);
	}
	free(arena);
}

void arena_free(struct arena *arena)
{
	while (arena && atomic_fetch_sub(&arena->holds, 1) == 1) {
		struct arena *below = arena->below;

		empty_out(arena);
		arena = below;
	}
}

static void *take(struct arena *arena, size_t size, size_t alignment)
{
	struct chunk *chunk = arena->chunks;
	size_t at = 0;

	if (chunk)
		at = (chunk->used + alignment - 1) & ~(alignment - 1);
	if (!chunk || at > chunk->size || size > chunk->size - at) {
		size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;

		chunk = calloc(1, sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		chunk->size = room;
		chunk->next = arena->chunks;
		arena->chunks = chunk;
		at = 0;
	}
	chunk->used = at + size;
	return chunk->bytes + at;
}

void *arena_alloc(struct arena *arena, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes) ||
	    bytes > PTRDIFF_MAX / 2)
		return NULL;
	return take(arena, bytes, ALIGNMENT);
}

char *arena_text(struct arena *arena, const char *text, size_t size)
{
	char *copy = size < PTRDIFF_MAX / 2 ? take(arena, size + 1, 1) : NULL;

	if (copy)
		memcpy(copy, text, size); /* chunks are zeroed: it ends */
	return copy;
}

int arena_own(struct arena *arena, void (*destroy)(void *object), void *object)
{
	struct owned *owned = arena_alloc(arena, 1, sizeof(*owned));

	if (!owned)
		return -ENOMEM;
	*owned = (struct owned) { arena->owned, destroy, object };
	arena->owned = owned;
	return 0;
}
