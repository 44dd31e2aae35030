/* SPDX-License-Identifier: BSD-2-Clause */
#include "lag.h"

uint64_t lag_wake(struct lag *lag, uint64_t now_us)
{
	uint64_t last_us = lag->last_wake_us, length_us;

	lag->last_wake_us = now_us;
	/* a tenth on top: a timer that fires a little late is no lag */
	if (last_us == 0 || now_us - last_us <= LAG_WAKE_US * 11 / 10)
		return 0;
	length_us = now_us - last_us - LAG_WAKE_US;
	lag->total_us += length_us;
	return length_us;
}
