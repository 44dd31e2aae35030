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
	lag->recent[lag->next].until_us = now_us;
	lag->recent[lag->next].length_us = length_us;
	lag->next = (lag->next + 1) % LAG_REMEMBER;
	return length_us;
}

uint64_t lag_since(const struct lag *lag, uint64_t from_us)
{
	uint64_t total_us = 0;

	for (unsigned i = 0; i < LAG_REMEMBER; i++) {
		uint64_t until_us = lag->recent[i].until_us;
		uint64_t length_us = lag->recent[i].length_us;

		if (until_us <= from_us)
			continue;
		total_us += until_us - from_us < length_us
		                    ? until_us - from_us
		                    : length_us;
	}
	return total_us;
}
