/* SPDX-License-Identifier: BSD-2-Clause */
#include "backoff.h"

uint32_t backoff_ms(uint64_t failures, uint32_t chance)
{
	uint32_t delay_ms = BACKOFF_FIRST_MS;

	while (--failures > 0 && delay_ms < BACKOFF_LAST_MS)
		delay_ms *= 2;
	if (delay_ms > BACKOFF_LAST_MS)
		delay_ms = BACKOFF_LAST_MS;
	return delay_ms / 2 + chance % (delay_ms / 2 + 1);
}
