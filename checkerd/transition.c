/* SPDX-License-Identifier: BSD-2-Clause */
#include "transition.h"

enum health_event_kind transition_kind(uint64_t before, uint64_t after)
{
	static const enum health_event_kind kinds[HEALTH_STATE_COUNT] = {
		[HEALTH_STATE_UNKNOWN] = HEALTH_HOST_UP,
		[HEALTH_STATE_CHECKING] = HEALTH_HOST_DOWN,
		[HEALTH_STATE_UP] = HEALTH_HOST_UP,
		[HEALTH_STATE_DOWN] = HEALTH_HOST_DOWN,
		[HEALTH_STATE_DRAIN] = HEALTH_HOST_DRAIN,
	};
	enum health_state from = health_word_state(before);
	enum health_state to = health_word_state(after);

	if (from == to ||
	    (from == HEALTH_STATE_UNKNOWN && to == HEALTH_STATE_UP))
		return (enum health_event_kind) 0;
	return kinds[to];
}
