/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Probes that people ask for.  Each demand is met by a probe that began after
 * it was made: one that is under way already says nothing of what somebody
 * has just mended.
 */
#include "rounds_private.h"

#include <errno.h>
#include <string.h>

struct demand {
	struct demand *next;
	struct host *host;
	bool begun;
	rounds_probed_fn *probed;
	void *owner;
};

static void hurry(struct rounds *rounds, struct target *target)
{
	target->out_of_turn = true;
	rounds_hurry(rounds, target, monotonic_us());
}

int rounds_probe(struct rounds *rounds, const char *pool, const char *id,
                 rounds_probed_fn *probed, void *owner)
{
	struct host *host = rounds_find(rounds, pool, id);
	struct demand *demand;

	if (!host)
		return -ENOENT;
	if (!rounds_is_probed(host->target))
		return -EOPNOTSUPP;
	demand = calloc(1, sizeof(*demand));
	if (!demand)
		return -ENOMEM;
	*demand =
		(struct demand) { rounds->demands, host, false, probed, owner };
	rounds->demands = demand;
	if (!host->target->flight) {
		hurry(rounds, host->target);
		rounds_arm(rounds);
	}
	return 0;
}

void rounds_demand_begun(struct rounds *rounds, const struct target *target)
{
	for (struct demand *demand = rounds->demands; demand;
	     demand = demand->next)
		if (demand->host->target == target)
			demand->begun = true;
}

/* Takes the demands out first: who is called back may make another. */
static void answer(struct rounds *rounds, const struct target *target,
                   bool probed)
{
	struct demand *met = NULL, **at = &rounds->demands;

	while (*at) {
		struct demand *demand = *at;

		if (target &&
		    (demand->host->target != target || !demand->begun)) {
			at = &demand->next;
			continue;
		}
		*at = demand->next;
		demand->next = met;
		met = demand;
	}
	while (met) {
		struct demand *demand = met;

		met = demand->next;
		demand->probed(demand->owner, probed, demand->host->index);
		free(demand);
	}
}

void rounds_demand_met(struct rounds *rounds, struct target *target)
{
	if (!rounds->demands)
		return;
	answer(rounds, target, true);
	for (const struct demand *demand = rounds->demands; demand;
	     demand = demand->next)
		if (demand->host->target == target && !demand->begun)
			hurry(rounds, target);
}

void rounds_demand_moved(struct rounds *rounds,
                         const struct segment_draft *draft)
{
	struct demand *gone = NULL, **at = &rounds->demands;

	while (*at) {
		struct demand *demand = *at;
		uint32_t now_at =
			segment_draft_heir(draft, demand->host->index);
		struct host *host = now_at == HEALTH_ALL_HOSTS
		                            ? NULL
		                            : &rounds->fleet->hosts[now_at];

		if (host && rounds_is_probed(host->target)) {
			demand->host = host;
			demand->begun = demand->begun && host->target->flight;
			if (!host->target->flight)
				host->target->timer.due_us = monotonic_us();
			at = &demand->next;
			continue;
		}
		*at = demand->next;
		demand->next = gone;
		gone = demand;
	}
	while (gone) {
		struct demand *demand = gone;

		gone = demand->next;
		demand->probed(demand->owner, false, HEALTH_ALL_HOSTS);
		free(demand);
	}
}

void rounds_demand_clear(struct rounds *rounds)
{
	answer(rounds, NULL, false);
}
