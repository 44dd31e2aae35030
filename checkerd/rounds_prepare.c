/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a configuration will come to, made while the one in force goes on: in
 * a thread, because for 100 000 hosts it takes a good part of a second.
 *
 * Of the rounds and their fleet only what never changes while a fleet is in
 * force is looked at here: its configuration, who shares a target, how hosts
 * are numbered.  What changes with each probe is read from the segment, as
 * any reader does; whoever is probed meanwhile is taken over once more, by
 * rounds_install().
 */
#include "rounds_private.h"

#include "topology.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- one host ----------------------------------------------------------- */

static void show_agent(const struct host *host, struct health_detail *detail)
{
	if (host->config->settings->agent.kind == AGENT_OFF ||
	    host->agent_is_new)
		rounds_forget_agent(detail);
	if (host->config->settings->agent.kind != AGENT_OFF)
		detail->flags |= HEALTH_DETAIL_AGENT;
	detail->agent_percent = host->agent_state.percent;
	detail->agent_order = host->agent_state.order;
	detail->agent_down = host->agent_state.down;
}

void rounds_show_settings(const struct host *host, struct health_detail *detail)
{
	const struct settings *settings = host->config->settings;

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
}

/* Neighbours have the same settings, mostly. */
static bool same_settings(struct successor *next, const struct settings *a,
                          const struct settings *b)
{
	if (next->compared.a != a || next->compared.b != b) {
		next->compared.a = a;
		next->compared.b = b;
		next->compared.equal = config_settings_equal(a, b);
	}
	return next->compared.equal;
}

static bool same_check(struct successor *next, const struct host *a,
                       const struct host *b)
{
	return address_equal(a->config->address, b->config->address) &&
	       same_settings(next, a->config->settings, b->config->settings);
}

/* Where the check changed, the verdict stays and the streak starts over; and
 * what another agent said holds no more. */
static void compare(struct successor *next, const struct host *before,
                    struct host *host)
{
	if (!same_check(next, before, host))
		host->verdict.failcount = host->verdict.passcount = 0;
	if (!config_agent_equal(&before->config->settings->agent,
	                        &host->config->settings->agent)) {
		fleet_advise(next->fleet, host, agent_state_neutral);
		host->agent_is_new = true;
	}
}

void rounds_take_over(const struct rounds *rounds, struct successor *next,
                      struct host *host)
{
	uint32_t origin = segment_draft_origin(next->draft, host->index);
	struct health_detail detail;
	uint64_t word =
		segment_draft_recall(next->draft, host->index, &detail);

	if (word)
		fleet_recall(next->fleet, host, word, detail.passcount);
	if (word && host->config->settings->agent.kind != AGENT_OFF)
		fleet_advise(next->fleet, host, rounds_recall_agent(&detail));
	if (rounds->fleet && origin != HEALTH_ALL_HOSTS)
		compare(next, &rounds->fleet->hosts[origin], host);
	if (segment_draft_fate(next->draft) == SEGMENT_ADOPTED)
		return;
	rounds_show_settings(host, &detail);
	host->shown = true;
	segment_draft_set(next->draft, host->index,
	                  word ? word : fleet_word(next->fleet, host), &detail);
}

/* --- all hosts ---------------------------------------------------------- */

/* Whether a new host takes traffic may hang on a panic of those before it, and
 * of those after. */
static void decide_new(struct successor *next)
{
	for (uint32_t i = 0; i < next->fleet->host_count; i++)
		if (segment_draft_origin(next->draft, i) == HEALTH_ALL_HOSTS)
			segment_draft_set_word(
				next->draft, i,
				fleet_word(next->fleet,
			                   &next->fleet->hosts[i]));
}

static void take_over_all(const struct rounds *rounds, struct successor *next)
{
	for (uint32_t i = 0; i < next->fleet->host_count; i++)
		rounds_take_over(rounds, next, &next->fleet->hosts[i]);
	decide_new(next);
}

/* --- all targets -------------------------------------------------------- */

/* Nobody came, nobody went, nobody changed. */
static bool same_target(struct successor *next, const struct target *from,
                        const struct target *to)
{
	if (from->host_count != to->host_count)
		return false;
	for (const struct host *host = from->hosts; host; host = host->next) {
		uint32_t at = segment_draft_heir(next->draft, host->index);

		if (at == HEALTH_ALL_HOSTS ||
		    next->fleet->hosts[at].target != to ||
		    !same_check(next, host, &next->fleet->hosts[at]))
			return false;
	}
	return true;
}

static int find_heirs(struct successor *next, const struct fleet *before)
{
	if (!before)
		return 0;
	next->heirs = calloc(before->target_count + 1, sizeof(*next->heirs));
	if (!next->heirs)
		return -ENOMEM;
	for (uint32_t i = 0; i < before->target_count; i++) {
		const struct target *from = &before->targets[i];
		struct heir *heir = &next->heirs[i];
		uint32_t at = segment_draft_heir(next->draft, from->index);

		if (at == HEALTH_ALL_HOSTS)
			continue;
		heir->target = next->fleet->hosts[at].target;
		heir->same = same_target(next, from, heir->target);
	}
	return 0;
}

/* --- a configuration ---------------------------------------------------- */

static int draft_segment(const struct rounds *rounds, struct successor *next,
                         const struct config *config)
{
	struct topology topology;
	int r = topology_build(&topology, config, SEGMENT_CHANGES,
	                       SEGMENT_EVENTS);

	if (r == 0)
		r = segment_draft_new(&next->draft, rounds->writer, &topology);
	topology_clear(&topology);
	return r;
}

int rounds_prepare(const struct rounds *rounds, struct config *config,
                   struct successor **ret)
{
	struct successor *next = calloc(1, sizeof(*next));
	int r;

	if (!next)
		return -ENOMEM;
	r = fleet_new(&next->fleet, config);
	if (r == 0) {
		next->lines = calloc(next->fleet->target_count + 1,
		                     sizeof(*next->lines));
		r = next->lines ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = draft_segment(rounds, next, config);
	if (r == 0) {
		take_over_all(rounds, next);
		r = find_heirs(next, rounds->fleet);
	}
	if (r < 0) {
		successor_free(next);
		return r;
	}
	*ret = next;
	return 0;
}

void successor_free(struct successor *successor)
{
	if (!successor)
		return;
	segment_draft_free(successor->draft);
	fleet_free(successor->fleet);
	free(successor->lines);
	free(successor->heirs);
	free(successor);
}
