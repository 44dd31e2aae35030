/* SPDX-License-Identifier: BSD-2-Clause */
#include "verdict.h"

static uint16_t saturating_increment(uint16_t count)
{
	return count == UINT16_MAX ? count : (uint16_t) (count + 1);
}

struct verdict verdict_next(struct verdict now, enum health_outcome_class seen,
                            unsigned rise, unsigned fall)
{
	switch (seen) {
	case HEALTH_CLASS_PASS:
		now.failcount = 0;
		now.passcount = saturating_increment(now.passcount);
		/* one pass is enough for a host nobody has judged yet */
		if (now.verdict == HEALTH_UNKNOWN || now.passcount >= rise)
			now.verdict = HEALTH_UP;
		break;
	case HEALTH_CLASS_FAIL:
		now.passcount = 0;
		now.failcount = saturating_increment(now.failcount);
		if (now.failcount >= fall)
			now.verdict = HEALTH_DOWN;
		break;
	case HEALTH_CLASS_NEUTRAL:
		break;
	}
	return now;
}

int verdict_undecided(struct verdict now, unsigned rise, unsigned fall)
{
	if (now.verdict == HEALTH_DOWN)
		return now.passcount > 0 && now.passcount < rise;
	return now.failcount > 0 && now.failcount < fall;
}
