/* SPDX-License-Identifier: BSD-2-Clause
 *
 * slow_start: a host that took no traffic and takes it again gets its weight
 * back little by little, a step at each beat that is worth one.
 *
 * Not at a start: hosts that are up then never went.  Nor for hosts that
 * nobody has seen yet: with all of them new there would be nobody to spare
 * them.
 */
#include "rounds_private.h"

/* No step is less than this share of the ramp: each wakes every nginx. */
#define STEPS 50

struct ramp {
	struct ramp *next;
	struct host *host;
	uint64_t began_us;
	uint64_t next_us;
};

static uint64_t length_us(const struct host *host)
{
	return host->config->settings->slow_start_ms * USEC_PER_MSEC;
}

static bool is_new(uint64_t word)
{
	enum health_state state = health_word_state(word);

	return state == HEALTH_STATE_UNKNOWN || state == HEALTH_STATE_CHECKING;
}

static void forget(struct rounds *rounds, const struct host *host)
{
	struct ramp **at = &rounds->ramps;

	while (*at && (*at)->host != host)
		at = &(*at)->next;
	if (*at) {
		struct ramp *ramp = *at;

		*at = ramp->next;
		free(ramp);
	}
}

void rounds_ramp_consider(struct rounds *rounds, struct host *host,
                          uint64_t before)
{
	bool routable = health_word_routable(fleet_word(rounds->fleet, host));
	struct ramp *ramp;

	if (routable == (bool) health_word_routable(before))
		return;
	if (host->ramp < FLEET_RAMP_FULL)
		forget(rounds, host);
	fleet_ramp(host, FLEET_RAMP_FULL);
	/* in a panic everybody is needed */
	if (!routable || is_new(before) || length_us(host) == 0 ||
	    rounds->fleet->pools[host->pool].panic)
		return;
	ramp = malloc(sizeof(*ramp));
	if (!ramp)
		return; /* at once, then */
	*ramp = (struct ramp) { rounds->ramps, host, monotonic_us(), 0 };
	rounds->ramps = ramp;
	fleet_ramp(host, 0);
}

/* Returns whether it is over. */
static bool step(struct rounds *rounds, struct ramp *ramp, uint64_t now_us)
{
	struct host *host = ramp->host;
	uint64_t whole_us = length_us(host), past_us = now_us - ramp->began_us;
	uint64_t before;

	/* to put it right may end its ramp */
	if (now_us < ramp->next_us || !rounds_is_settled(rounds, host))
		return false;
	before = fleet_word(rounds->fleet, host);
	ramp->next_us = now_us + whole_us / STEPS;
	fleet_ramp(host,
	           past_us < whole_us
	                   ? (uint32_t) (past_us * FLEET_RAMP_FULL / whole_us)
	                   : FLEET_RAMP_FULL);
	rounds_publish(rounds, host, before, &(struct cause) { .why = "" });
	return host->ramp == FLEET_RAMP_FULL;
}

void rounds_ramp_on(struct rounds *rounds, uint64_t now_us)
{
	struct ramp **at = &rounds->ramps;

	while (*at) {
		struct ramp *ramp = *at;

		if (step(rounds, ramp, now_us)) {
			*at = ramp->next;
			free(ramp);
		} else {
			at = &ramp->next;
		}
	}
}

void rounds_ramp_moved(struct rounds *rounds, const struct segment_draft *draft)
{
	struct ramp **at = &rounds->ramps;

	while (*at) {
		struct ramp *ramp = *at;
		uint32_t now_at = segment_draft_heir(draft, ramp->host->index);
		struct host *host = now_at == HEALTH_ALL_HOSTS
		                            ? NULL
		                            : &rounds->fleet->hosts[now_at];

		if (host && length_us(host) > 0) {
			fleet_ramp(host, ramp->host->ramp);
			ramp->host = host;
			at = &ramp->next;
		} else {
			*at = ramp->next;
			free(ramp);
		}
	}
}

void rounds_ramp_clear(struct rounds *rounds)
{
	while (rounds->ramps) {
		struct ramp *ramp = rounds->ramps;

		rounds->ramps = ramp->next;
		free(ramp);
	}
}
