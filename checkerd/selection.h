/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The hosts that a person named: all, those of POOL, or POOL/HOST.
 */
#ifndef CHECKERD_SELECTION_H
#define CHECKERD_SELECTION_H

#include "snapshot.h"

/* Good for this mapping only. */
struct selection {
	const struct health_shm *shm;
	uint32_t first_pool;
	uint32_t pool_count;
	bool host_given;
	uint32_t host; /* if host_given */
};

/* A walk over the hosts of a selection, in the order of the segment. */
struct walk {
	struct pool_snapshot pool;
	struct host_snapshot host;
	/* private */
	const struct selection *selection;
	uint32_t next_pool;
	uint32_t next_host;
	uint32_t end_host;
};

/* How many of the selected hosts are up. */
struct tally {
	unsigned up;
	unsigned total;
};

/* `name` is NULL for all.  Returns 0, or -ENOENT with a sentence that names
 * the nearest in `ret_error` (SEGMENT_READER_ERROR_SIZE bytes). */
int selection_find(struct selection *ret, const struct health_shm *shm,
                   const char *name, char *ret_error);

void walk_begin(struct walk *walk, const struct selection *selection);

/* Steps into the next pool, which may have no hosts; false: no more. */
bool walk_next_pool(struct walk *walk);
/* The next host of this pool; false: no more in this one. */
bool walk_next_host(struct walk *walk);
/* The next host, of whichever pool; false: no more. */
bool walk_next(struct walk *walk);

#endif
