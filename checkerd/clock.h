/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The two clocks, in microseconds: monotonic for everything that waits or
 * measures, real time for what people read.
 */
#ifndef CHECKERD_CLOCK_H
#define CHECKERD_CLOCK_H

#include "util.h"

#include <time.h>

static inline uint64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t) now.tv_sec * USEC_PER_SEC +
	       (uint64_t) now.tv_nsec / 1000;
}

static inline uint64_t monotonic_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

static inline uint64_t realtime_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

#endif
