/* SPDX-License-Identifier: BSD-2-Clause */
#include "counts.h"

const uint64_t histogram_bounds_us[HISTOGRAM_BUCKETS - 1] = {
	1000,   2500,   5000,    10000,   25000,   50000,    100000,
	250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

void histogram_add(struct histogram *histogram, uint64_t us)
{
	unsigned bucket = 0;

	while (bucket < HISTOGRAM_BUCKETS - 1 &&
	       us > histogram_bounds_us[bucket])
		bucket++;
	histogram->buckets[bucket]++;
	histogram->sum_us += us;
}

void counts_probe(struct pool_counts *counts, enum health_outcome outcome,
                  uint64_t duration_us)
{
	counts->outcomes[outcome]++;
	/* how long it took says something about us, not about the host */
	if (outcome != HEALTH_INCONCL)
		histogram_add(&counts->durations, duration_us);
}

bool counts_is_of_probes(enum health_outcome outcome)
{
	switch (outcome) {
	case HEALTH_NONE:
	case HEALTH_ADMIN:
	case HEALTH_PASSIVE:
	case HEALTH_AGENT:
	case HEALTH_OUTCOME_COUNT:
		return false;
	default:
		return true;
	}
}
