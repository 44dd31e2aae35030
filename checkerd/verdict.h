/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What we hold true of a host, as a pure function of what we held true before
 * and what a probe saw.  No clock, no memory, no I/O: see the tests for its
 * whole truth table against a naive model.
 */
#ifndef CHECKERD_VERDICT_H
#define CHECKERD_VERDICT_H

#include "../include/health_shm.h"

struct verdict {
	uint8_t verdict;    /* enum health_verdict */
	uint16_t failcount; /* consecutive failures, saturating */
	uint16_t passcount; /* consecutive passes, saturating */
};

struct verdict verdict_next(struct verdict now, enum health_outcome_class seen,
                            unsigned rise, unsigned fall);

/* Whether the streak that began may yet turn the verdict: the time to look
 * more often (fast_interval). */
int verdict_undecided(struct verdict now, unsigned rise, unsigned fall);

#endif
