/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Memory that is given back all at once: the many small things of one
 * configuration, and what they need destroyed.
 */
#ifndef CHECKERD_ARENA_H
#define CHECKERD_ARENA_H

#include <stddef.h>

struct arena;

/* What is in an arena may point into the one `below` (NULL: none), which lives
 * as long as any that stands on it.  Returns NULL if memory ran out. */
struct arena *arena_new(struct arena *below);
void arena_free(struct arena *arena); /* accepts NULL */

/* Zeroed and fit for any type; NULL if memory ran out or for sizes that
 * overflow.  `count` may be 0. */
void *arena_alloc(struct arena *arena, size_t count, size_t size);

/* A terminated copy of `size` bytes. */
char *arena_text(struct arena *arena, const char *text, size_t size);

/* Hands `object` over: the arena destroys it when it goes, the last one first.
 * Returns 0 or -ENOMEM, and then it is still the caller's. */
int arena_own(struct arena *arena, void (*destroy)(void *object), void *object);

#endif
