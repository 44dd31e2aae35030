/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the two that write segments share, and nobody else sees:
 *
 *	segment_writer.c  the one in force: adoption, changes in place
 *	segment_draft.c   one that is made beside it, in another thread
 */
#ifndef CHECKERD_SEGMENT_PRIVATE_H
#define CHECKERD_SEGMENT_PRIVATE_H

#include "segment_draft.h"
#include "segment_writer.h"
#include "util.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SEGMENT_PATH_SIZE 4096

struct mapping {
	struct health_header *header; /* NULL: none */
	int fd;                       /* of the file, if there is one */
	struct health_shm shm;
	/* By host, atomic: whether its word or its detail has changed since a
	 * draft looked at them.  Set after the change and taken back before a
	 * look, so that no change is missed. */
	uint8_t *touched;
};

struct segment_writer {
	char path[SEGMENT_PATH_SIZE];
	char next_path[SEGMENT_PATH_SIZE]; /* where a draft is made */
	mode_t mode;
	uint64_t started_at_us;
	int lock_fd;
	struct mapping current;
	/* The file before.  Whoever lets go of a file last frees all of it,
	 * which takes long; by then that should be nobody who has requests to
	 * serve.  Atomic, -1: none. */
	int former_fd;
	uint64_t former_until_us;
	const char *rejected;
	uint64_t told; /* event_head as it was found */
	segment_event_fn on_event;
	void *on_event_owner;
	/* the detail being edited */
	uint32_t edited_host;
	struct health_detail edited;
};

struct segment_draft {
	struct segment_writer *writer;
	enum segment_fate fate;
	/* The new file; after it came into force the one before.  None for
	 * SEGMENT_ADOPTED. */
	struct mapping mapping;
	bool nameless; /* the file is nobody's yet */
	/* Hosts by their numbers before and from now on, and pools by theirs
	 * from now on.  NULL: all keep them, or none were before. */
	uint32_t *heirs;
	uint32_t *origins;
	uint32_t *pool_origins;
	uint64_t events; /* carried over so far */
};

static inline void mapping_clear(struct mapping *mapping)
{
	if (mapping->header) {
		munmap(mapping->header, mapping->shm.size);
		close_fd(&mapping->fd);
	}
	free(mapping->touched);
	*mapping = (struct mapping) { 0 };
}

static inline uint64_t *mapping_word(const struct mapping *mapping,
                                     uint32_t host)
{
	return (uint64_t *) (mapping->shm.words +
	                     (uint64_t) host * HEALTH_WORD_STRIDE);
}

static inline uint64_t *mapping_pool_word(const struct mapping *mapping,
                                          uint32_t pool)
{
	return (uint64_t *) (mapping->shm.pool_words +
	                     (uint64_t) pool * HEALTH_WORD_STRIDE);
}

static inline struct health_detail *
mapping_detail(const struct mapping *mapping, uint32_t host)
{
	return (struct health_detail *) &mapping->shm.details[host];
}

static inline struct health_event *mapping_event(const struct mapping *mapping,
                                                 uint64_t number)
{
	uint32_t mask = mapping->shm.event_capacity - 1;

	return (struct health_event *) &mapping->shm.events[number & mask];
}

static inline int segment_take_former(struct segment_writer *writer)
{
	return __atomic_exchange_n(&writer->former_fd, -1, __ATOMIC_RELAXED);
}

/* For segment_writer_activate(): what only then is as it will be. */
void segment_draft_complete(struct segment_draft *draft);

#endif
