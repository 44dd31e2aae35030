/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A configuration comes into force: a new fleet is made beside the old one,
 * takes over what the segment remembers, and then what the old one has under
 * way.  Until the segment is in place nothing of the old one is touched.
 */
#include "rounds_private.h"

#include "topology.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void show_agent(const struct host *host, struct health_detail *detail)
{
	if (host->config->settings->agent.kind == AGENT_OFF)
		rounds_forget_agent(detail);
	else
		detail->flags |= HEALTH_DETAIL_AGENT;
	detail->agent_percent = host->agent_state.percent;
	detail->agent_order = host->agent_state.order;
	detail->agent_down = host->agent_state.down;
}

static void show_settings(struct rounds *rounds, const struct host *host)
{
	const struct settings *settings = host->config->settings;
	struct health_detail *detail =
		segment_writer_edit(rounds->writer, host->index);

	detail->interval_ms = settings->interval_ms;
	detail->timeout_ms =
		settings->connect_timeout_ms + settings->read_timeout_ms;
	detail->weight = host->weight;
	rounds_show_order(detail, host->config->reason, host->config->until_us);
	detail->rise = settings->rise;
	detail->fall = settings->fall;
	detail->shared = (uint16_t) (host->target->host_count > UINT16_MAX
	                                     ? UINT16_MAX
	                                     : host->target->host_count);
	detail->passcount = host->verdict.passcount;
	detail->flags =
		config_check_uses_tls(settings->check) && !settings->tls_verify
			? HEALTH_DETAIL_TLS_UNVERIFIED
			: 0;
	show_agent(host, detail);
	snprintf(detail->check, sizeof(detail->check), "%s",
	         config_check_name(settings->check));
	if (!detail->changed_at_us)
		detail->changed_at_us = realtime_us();
	segment_writer_commit(rounds->writer);
}

/* What the segment remembers becomes the new fleet's state. */
static void recall(struct rounds *rounds, struct fleet *fleet)
{
	const struct health_shm *shm = segment_writer_shm(rounds->writer);

	for (uint32_t p = 0; p < fleet->pool_count; p++)
		fleet->pools[p].panic_told =
			(health_shm_pool_word(shm, p) & HEALTH_POOL_PANIC) != 0;
	for (uint32_t i = 0; i < fleet->host_count; i++) {
		struct host *host = &fleet->hosts[i];
		uint64_t word = health_shm_word(shm, i);

		if (!word)
			continue;
		fleet_recall(
			fleet, host, word,
			segment_writer_detail(rounds->writer, i)->passcount);
		if (host->config->settings->agent.kind != AGENT_OFF)
			fleet_advise(fleet, host,
			             rounds_recall_agent(rounds, i));
	}
}

static bool same_check(const struct host *a, const struct host *b)
{
	return address_equal(&a->config->address, &b->config->address) &&
	       config_settings_equal(a->config->settings, b->config->settings);
}

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

/* Nobody came, nobody went, nobody changed. */
static bool same_target(const struct rounds *rounds, const struct target *from,
                        const struct target *to)
{
	if (from->host_count != to->host_count)
		return false;
	for (const struct host *host = from->hosts; host; host = host->next) {
		uint32_t at =
			segment_writer_carried(rounds->writer, host->index);

		if (at == HEALTH_ALL_HOSTS ||
		    rounds->fleet->hosts[at].target != to ||
		    !same_check(host, &rounds->fleet->hosts[at]))
			return false;
	}
	return true;
}

/* Another check of the same host is made when the old one would have been, or
 * sooner: a reload that changes all must not make all due at once. */
static void keep_pace(const struct target *from, struct target *to)
{
	uint64_t due_us = monotonic_us() +
	                  schedule_phase_us(to->index, rounds_interval_us(to));

	if (from->timer.due_us && from->timer.due_us < due_us)
		due_us = from->timer.due_us;
	if (!to->timer.due_us || due_us < to->timer.due_us)
		to->timer.due_us = due_us;
}

static void hand_over_target(struct rounds *rounds, struct target *from,
                             struct probe_line *line)
{
	uint32_t at = segment_writer_carried(rounds->writer, from->index);
	struct target *to =
		at == HEALTH_ALL_HOSTS ? NULL : rounds->fleet->hosts[at].target;

	schedule_remove(&rounds->schedule, &from->timer);
	if (!to || !same_target(rounds, from, to)) {
		rounds_cancel(from->flight);
		probe_line_clear(line);
		if (to)
			keep_pace(from, to);
		return;
	}
	*rounds_line(rounds, to) = *line;
	to->timer.due_us = from->timer.due_us;
	to->confirming = from->confirming;
	to->flight = from->flight;
	if (to->flight)
		to->flight->target = to;
}

/* What another agent said holds no more. */
static void forget_agent(struct rounds *rounds, struct fleet *fleet,
                         struct host *host)
{
	fleet_advise(fleet, host, agent_state_neutral);
	rounds_forget_agent(segment_writer_edit(rounds->writer, host->index));
	segment_writer_commit(rounds->writer);
}

/* Where the check changed, the verdict stays and the streak starts over. */
static void forget_streaks(struct rounds *rounds, const struct fleet *old,
                           struct fleet *fleet)
{
	for (uint32_t i = 0; i < old->host_count; i++) {
		uint32_t at = segment_writer_carried(rounds->writer, i);
		struct host *host;

		if (at == HEALTH_ALL_HOSTS)
			continue;
		host = &fleet->hosts[at];
		if (!same_check(&old->hosts[i], host))
			host->verdict.failcount = host->verdict.passcount = 0;
		if (!config_agent_equal(&old->hosts[i].config->settings->agent,
		                        &host->config->settings->agent))
			forget_agent(rounds, fleet, host);
	}
}

/* Hosts that stay keep the schedule, and those whose check is the same the
 * probe that is under way. */
static void hand_over(struct rounds *rounds, struct fleet *old,
                      struct probe_line *lines)
{
	for (uint32_t i = 0; i < old->target_count; i++)
		hand_over_target(rounds, &old->targets[i], &lines[i]);
}

/* Before anybody sees a new file: every host in it has a decided state. */
static void fill_in(struct rounds *rounds, const struct fleet *fleet)
{
	const struct health_shm *shm = segment_writer_shm(rounds->writer);

	for (uint32_t i = 0; i < fleet->host_count; i++) {
		const struct host *host = &fleet->hosts[i];
		uint64_t before = health_shm_word(shm, i);

		show_settings(rounds, host);
		segment_writer_publish(
			rounds->writer,
			&(struct segment_change) {
				.host = i,
				.word = before ? before
		                               : fleet_word(fleet, host),
				.pool_word =
					fleet_pool_word(fleet, host->pool) });
	}
}

/* What the configuration orders of hosts that are known already. */
static void publish_orders(struct rounds *rounds, bool first_time)
{
	const struct health_shm *shm = segment_writer_shm(rounds->writer);
	const struct cause cause = { .outcome = HEALTH_ADMIN,
		                     .why = "by the configuration" };
	/* a kill kept it from being published */
	const struct cause agent = { .outcome = HEALTH_AGENT,
		                     .why = "as its agent said" };

	for (uint32_t i = 0; i < rounds->fleet->host_count; i++) {
		struct host *host = &rounds->fleet->hosts[i];
		bool by_agent = host->admin == HEALTH_AUTO &&
		                agent_state_order(host->agent_state) !=
		                        HEALTH_AGENT_NONE;
		uint64_t before = health_shm_word(shm, i);

		if (!first_time)
			rounds_ramp_consider(rounds, host, before);
		rounds_publish(rounds, host, before,
		               by_agent ? &agent : &cause);
	}
}

static void schedule_all(struct rounds *rounds, bool first_time)
{
	uint64_t now_us = monotonic_us();

	for (uint32_t i = 0; i < rounds->fleet->target_count; i++) {
		struct target *target = &rounds->fleet->targets[i];
		uint64_t due_us = target->timer.due_us;

		if (target->flight)
			continue;
		if (!rounds_is_probed(target)) {
			if (target->hosts->verdict.failcount > 0)
				rounds_wait_to_forgive(rounds, target);
			continue;
		}
		if (!due_us && first_time) {
			due_us = first_due_us(rounds, target, now_us);
		} else if (!due_us) {
			due_us = now_us;
			target->out_of_turn = true;
		}
		schedule_set(&rounds->schedule, &target->timer, due_us);
	}
	rounds_schedule_agents(rounds, first_time);
	rounds_start_due(rounds);
}

int rounds_install(struct rounds *rounds, struct config *config)
{
	struct fleet *old = rounds->fleet, *fleet = NULL;
	struct probe_line *old_lines = rounds->lines, *lines = NULL;
	struct topology topology = { 0 };
	int fate, r;

	r = schedule_reserve(&rounds->schedule, config->host_count);
	if (r >= 0)
		r = schedule_reserve(&rounds->questions, config->host_count);
	if (r >= 0)
		r = fleet_new(&fleet, config);
	if (r >= 0) {
		lines = calloc(fleet->target_count + 1, sizeof(*lines));
		r = lines ? 0 : -ENOMEM;
	}
	if (r >= 0)
		r = topology_build(&topology, config, SEGMENT_CHANGES,
		                   SEGMENT_EVENTS);
	if (r >= 0)
		r = segment_writer_prepare(rounds->writer, &topology);
	topology_clear(&topology);
	if (r < 0) {
		free(lines);
		fleet_free(fleet);
		return r;
	}
	fate = r;
	/* from here on only the segment's new name can fail */
	recall(rounds, fleet);
	if (old)
		forget_streaks(rounds, old, fleet);
	fill_in(rounds, fleet);
	r = segment_writer_activate(rounds->writer);
	if (r < 0) {
		free(lines);
		fleet_free(fleet);
		return r;
	}

	rounds->fleet = fleet;
	rounds->lines = lines;
	if (old) {
		fleet_inherit_counts(fleet, old);
		hand_over(rounds, old, old_lines);
		rounds_hand_over_agents(rounds, old);
	}
	rounds_demand_moved(rounds);
	rounds_ramp_moved(rounds);
	free(old_lines);
	fleet_free(old);
	publish_orders(rounds, old == NULL);
	for (uint32_t p = 0; p < fleet->pool_count; p++)
		if (fleet->pools[p].panic != fleet->pools[p].panic_told)
			rounds_tell_panic(rounds, p);
	rounds_beat(rounds);
	schedule_all(rounds, old == NULL);
	return fate;
}
