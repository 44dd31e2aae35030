/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What checkerd has done since it started, counted for its metrics: a few
 * numbers to each pool, moved by each probe without a search or an
 * allocation.
 *
 * The segment has counters too, those that are to outlive the process.  These
 * here do not: what reads metrics knows of counters that start over.
 */
#ifndef CHECKERD_COUNTS_H
#define CHECKERD_COUNTS_H

#include "../include/health_shm.h"

#include <stdbool.h>

/* 13 bounds and what lies beyond: from what a neighbour takes to what nobody
 * waits for. */
#define HISTOGRAM_BUCKETS 14

struct histogram {
	uint64_t buckets[HISTOGRAM_BUCKETS]; /* the last is beyond all bounds */
	uint64_t sum_us;
};

/* The greatest value that belongs to each bucket but the last. */
extern const uint64_t histogram_bounds_us[HISTOGRAM_BUCKETS - 1];

void histogram_add(struct histogram *histogram, uint64_t us);

struct pool_counts {
	/* probes, as each host judged them: counts_is_of_probes() */
	uint64_t outcomes[HEALTH_OUTCOME_COUNT];
	uint64_t events[HEALTH_EVENT_KIND_COUNT]; /* of hosts */
	struct histogram durations;               /* of probes that counted */
};

void counts_probe(struct pool_counts *counts, enum health_outcome outcome,
                  uint64_t duration_us);

/* Whether probes come to this outcome, or only people, agents and live
 * traffic do. */
bool counts_is_of_probes(enum health_outcome outcome);

#endif
