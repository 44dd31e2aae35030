/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How long checkerd itself was held up: stopped, starved of CPU, or busy in
 * one turn of its loop.  Something in the loop wakes it at least every
 * LAG_WAKE_US, so a longer gap between two wakes is lag.  A probe that times
 * out while its checker slept says nothing about the host.
 */
#ifndef CHECKERD_LAG_H
#define CHECKERD_LAG_H

#include <stdint.h>

#define LAG_WAKE_US  UINT64_C(100000)
#define LAG_REMEMBER 16

struct lag {
	uint64_t last_wake_us; /* 0: never woke */
	struct {
		uint64_t until_us;
		uint64_t length_us;
	} recent[LAG_REMEMBER]; /* a ring */
	unsigned next;
};

/* The loop is awake.  Returns the lag that just ended, 0 if none. */
uint64_t lag_wake(struct lag *lag, uint64_t now_us);

/* All lag between `from_us` and now. */
uint64_t lag_since(const struct lag *lag, uint64_t from_us);

#endif
