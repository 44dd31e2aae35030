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

#define LAG_WAKE_US UINT64_C(100000)

struct lag {
	uint64_t last_wake_us; /* 0: never woke */
	uint64_t total_us;     /* all lag so far: who lived through some of it
	                          compares */
};

/* The loop is awake.  Returns the lag that just ended, 0 if none. */
uint64_t lag_wake(struct lag *lag, uint64_t now_us);

#endif
