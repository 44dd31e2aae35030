/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The constant part of a segment, made from a configuration: which pools and
 * hosts there are, what they are called and where everything lies.  Pure
 * memory: whether a file with the same content exists already is the segment
 * writer's business.
 */
#ifndef CHECKERD_TOPOLOGY_H
#define CHECKERD_TOPOLOGY_H

#include "../include/health_shm.h"

struct config;

struct topology {
	struct health_header header; /* magic and identity still 0 */
	/* What lies in the file from header.pools_at to header.pool_words_at.
	 */
	unsigned char *constant;
	uint64_t constant_size;
};

/* Capacities are powers of two.  Returns 0 or -ENOMEM, -E2BIG. */
int topology_build(struct topology *ret, const struct config *config,
                   uint32_t change_capacity, uint32_t event_capacity);
void topology_clear(struct topology *topology);

/* Whether `header` and the bytes at its pools_at describe the same. */
int topology_equal(const struct topology *topology, const void *segment);

#endif
