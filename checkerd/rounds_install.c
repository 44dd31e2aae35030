/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A configuration comes into force.  Between two turns of the loop only what
 * cannot be done before is: hosts that were probed while the successor was
 * made are taken over again, the new segment gets its name, and the targets
 * get what is under way.  For 100 000 hosts that is a matter of milliseconds;
 * what the segment has yet to be told is left to rounds_sweep.c.
 */
#include "rounds_private.h"

#include <stdio.h>
#include <string.h>

/* --- who has been probed meanwhile -------------------------------------- */

static void catch_up(struct rounds *rounds, struct successor *next)
{
	uint32_t at = 0, host;

	while ((host = segment_draft_touched(next->draft, &at)) !=
	       HEALTH_ALL_HOSTS)
		rounds_take_over(rounds, next, &next->fleet->hosts[host]);
	for (uint32_t p = 0; p < next->fleet->pool_count; p++) {
		next->fleet->pools[p].panic_told =
			(segment_draft_recall_pool(next->draft, p) &
		         HEALTH_POOL_PANIC) != 0;
		if (segment_draft_fate(next->draft) != SEGMENT_ADOPTED)
			segment_draft_set_pool(next->draft, p,
			                       fleet_pool_word(next->fleet, p));
	}
}

/* --- what is under way -------------------------------------------------- */

/* The first probe of a target that this process has not probed yet. */
static uint64_t first_due_us(const struct rounds *rounds,
                             const struct target *target, uint64_t now_us)
{
	uint64_t checked_at_us =
		segment_writer_detail(rounds->writer, target->index)
			->checked_at_us;
	uint64_t real_us = realtime_us();
	uint64_t every_us = rounds_interval_us(target);

	/* the schedule of the process before goes on */
	if (checked_at_us && checked_at_us <= real_us &&
	    real_us - checked_at_us < every_us)
		return now_us + every_us - (real_us - checked_at_us);
	return now_us + schedule_phase_us(target->index, every_us);
}

/* Another check of the same host is made when the old one would have been: a
 * reload that changes all must not make all due at once, nor nearer to each
 * other than they were.  With another interval they are spread over that. */
static void keep_pace(const struct target *from, struct target *to)
{
	uint64_t before_us = rounds_interval_us(from);
	uint64_t every_us = rounds_interval_us(to);
	uint64_t now_us = monotonic_us(), due_us = from->timer.due_us;

	if (!due_us || due_us > now_us + every_us)
		due_us = now_us + schedule_phase_us(to->index, every_us);
	if (!to->timer.due_us || due_us < to->timer.due_us)
		to->timer.due_us = due_us;
	to->out_of_turn |= from->out_of_turn || before_us < every_us;
}

/* A connection serves whom it fits, unless an answer is still to come on it;
 * that is looked at when it is used. */
static void hand_over_line(struct rounds *rounds, const struct target *from,
                           struct probe_line *line, const struct heir *heir)
{
	struct probe_line *to;

	if (!heir->target || (from->flight && !heir->same) ||
	    !rounds_is_probed(heir->target)) {
		probe_line_clear(line);
		return;
	}
	to = rounds_line(rounds, heir->target);
	probe_line_clear(to);
	*to = *line;
}

/* Hosts that stay keep the schedule, and those whose check is the same the
 * probe that is under way. */
static void hand_over_target(struct target *from, const struct heir *heir)
{
	struct target *to = heir->target;

	if (heir->same) {
		to->timer.due_us = from->timer.due_us;
		to->started_us = from->started_us;
		to->confirming = from->confirming;
		to->out_of_turn = from->out_of_turn;
		to->flight = from->flight;
		if (to->flight)
			to->flight->target = to;
		return;
	}
	rounds_cancel(from->flight);
	if (to)
		keep_pace(from, to);
}

/* Of what was before; its entries in the schedule are forgotten with it. */
static void hand_over(struct rounds *rounds, struct successor *before)
{
	fleet_inherit_counts(rounds->fleet, before->fleet);
	for (uint32_t i = 0; i < before->fleet->target_count; i++) {
		struct target *from = &before->fleet->targets[i];

		hand_over_line(rounds, from, &before->lines[i],
		               &before->heirs[i]);
		hand_over_target(from, &before->heirs[i]);
	}
	rounds_hand_over_agents(rounds, before);
}

/* --- what comes next ---------------------------------------------------- */

/* 0: when live traffic fails, or never. */
static uint64_t due_us(const struct rounds *rounds, struct target *target,
                       uint64_t now_us, bool starting)
{
	if (!rounds_is_probed(target))
		return target->hosts->verdict.failcount > 0
		               ? rounds_forgiven_us(target)
		               : 0;
	if (target->timer.due_us)
		return target->timer.due_us;
	if (starting)
		return first_due_us(rounds, target, now_us);
	target->out_of_turn = true;
	return now_us;
}

static void schedule_all(struct rounds *rounds, bool starting)
{
	uint64_t now_us = monotonic_us();

	schedule_begin(&rounds->schedule);
	for (uint32_t i = 0; i < rounds->fleet->target_count; i++) {
		struct target *target = &rounds->fleet->targets[i];
		uint64_t at_us =
			target->flight
				? 0
				: due_us(rounds, target, now_us, starting);

		if (at_us)
			schedule_append(&rounds->schedule, &target->timer,
			                at_us);
	}
	schedule_finish(&rounds->schedule);
	rounds_schedule_agents(rounds, starting);
	rounds_start_due(rounds);
}

static void exchange(struct rounds *rounds, struct successor *next)
{
	struct fleet *fleet = rounds->fleet;
	struct probe_line *lines = rounds->lines;

	rounds->fleet = next->fleet;
	rounds->lines = next->lines;
	next->fleet = fleet;
	next->lines = lines;
}

int rounds_install(struct rounds *rounds, struct successor *next)
{
	bool starting = rounds->fleet == NULL;
	int r;

	r = schedule_reserve(&rounds->schedule, next->fleet->host_count);
	if (r >= 0)
		r = schedule_reserve(&rounds->questions,
		                     next->fleet->host_count);
	if (r < 0)
		return r;
	rounds_sweep_finish(rounds);
	catch_up(rounds, next);
	r = segment_writer_activate(rounds->writer, next->draft);
	if (r < 0)
		return r;
	exchange(rounds, next);
	rounds->revision++;
	if (!starting)
		hand_over(rounds, next);
	rounds_demand_moved(rounds, next->draft);
	rounds_ramp_moved(rounds, next->draft);
	rounds_sweep_all(rounds, starting);
	for (uint32_t p = 0; p < rounds->fleet->pool_count; p++)
		if (rounds->fleet->pools[p].panic !=
		    rounds->fleet->pools[p].panic_told)
			rounds_tell_panic(rounds, p);
	rounds_beat(rounds);
	schedule_all(rounds, starting);
	return (int) segment_draft_fate(next->draft);
}
