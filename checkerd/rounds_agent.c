/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the agents of hosts want of them: agents are asked, on a schedule of
 * their own, or answers to checks say it.
 *
 * An agent that is silent or makes no sense changes nothing; what it said
 * last holds.  That is remembered in the segment, and written there before
 * the word of the host: a kill between the two is made good by the next
 * process, which publishes what it remembers.
 */
#include "rounds_private.h"

#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SLACK_US UINT64_C(1000)

/* For a sentence: where it is, and what it says. */
#define WHERE_SIZE (ADDRESS_TEXT_SIZE + 16)
#define WHY_SIZE   (WHERE_SIZE + AGENT_TEXT_SIZE + 16)

static const char *where(const struct host *host, char buffer[WHERE_SIZE])
{
	char address[ADDRESS_TEXT_SIZE];

	if (host->agent)
		snprintf(buffer, WHERE_SIZE, "the agent at %s",
		         address_text(&host->agent->address, address));
	else
		snprintf(buffer, WHERE_SIZE, "its " AGENT_FIELD);
	return buffer;
}

/* --- what it means for one host ------------------------------------------- */

/* The only way to change what holds by an agent's word. */
static void advise(struct rounds *rounds, struct host *host,
                   struct agent_state state, const char *text)
{
	uint64_t before = rounds_word(rounds, host);
	bool panic = fleet_advise(rounds->fleet, host, state);
	char place[WHERE_SIZE], why[WHY_SIZE];
	const struct cause cause = { .outcome = HEALTH_AGENT,
		                     .why = why,
		                     .reason = why };

	snprintf(why, sizeof(why), "%s says \"%s\"", where(host, place), text);
	rounds_tell(rounds, host, before, panic, &cause);
}

/* `state` is what it comes to. */
static void obey(struct rounds *rounds, struct host *host,
                 struct agent_state state, const char *text)
{
	struct health_detail *detail;

	rounds_settle(rounds, host->index);
	detail = segment_writer_edit(rounds->writer, host->index);
	detail->agent_at_us = realtime_us();
	detail->agent_silent = 0;
	detail->agent_outcome = HEALTH_NONE;
	detail->agent_percent = state.percent;
	detail->agent_order = state.order;
	detail->agent_down = state.down;
	snprintf(detail->agent_said, sizeof(detail->agent_said), "%.*s",
	         HEALTH_SAID_SIZE - 1, text);
	segment_writer_commit(rounds->writer);
	advise(rounds, host, state, text);
}

static void miss(struct rounds *rounds, const struct host *host,
                 enum health_outcome outcome)
{
	struct health_detail *detail =
		segment_writer_edit(rounds->writer, host->index);

	detail->agent_silent += detail->agent_silent < UINT16_MAX;
	detail->agent_outcome = (uint8_t) outcome;
	segment_writer_commit(rounds->writer);
}

/* Said when it begins and when it ends; to be called before either. */
static void tell_silence(const struct rounds *rounds, const struct host *host,
                         bool silent, const char *why)
{
	const struct pool *pool = &rounds->fleet->pools[host->pool];
	bool was_silent = segment_writer_detail(rounds->writer, host->index)
	                          ->agent_silent > 0;
	char place[WHERE_SIZE];

	if (silent && !was_silent)
		log_warning("%s/%s: %s changes nothing: %s", pool->config->name,
		            host->config->id, where(host, place), why);
	else if (!silent && was_silent)
		log_notice("%s/%s: %s makes sense again", pool->config->name,
		           host->config->id, where(host, place));
}

/* An answer without the field says nothing, one with it all there is. */
void rounds_heed_answer(struct rounds *rounds, struct host *host,
                        const struct probe *probe)
{
	struct agent_advice advice;
	char why[AGENT_TEXT_SIZE + 16];

	if (host->config->settings->agent.kind != AGENT_HEADER)
		return;
	probe_advice(probe, &advice);
	if (advice.text[0] == '\0')
		return;
	snprintf(why, sizeof(why), "it says \"%s\"", advice.text);
	tell_silence(rounds, host, !advice.understood, why);
	if (advice.understood)
		obey(rounds, host,
		     agent_state_next(agent_state_neutral, &advice),
		     advice.text);
	else
		miss(rounds, host, HEALTH_L7RSP);
}

/* --- one question --------------------------------------------------------- */

static void call_free(struct call *call)
{
	config_unref(call->config);
	call->rounds->in_flight--;
	call->agent->call = NULL;
	free(call);
}

static void cancel(struct call *call)
{
	if (!call)
		return;
	probe_cancel(call->probe);
	call_free(call);
}

static void ask_again(struct rounds *rounds, struct agent *agent,
                      uint64_t was_due_us)
{
	/* NOLINTNEXTLINE: an agent is asked about a host */
	const struct settings *settings = agent->hosts->config->settings;

	schedule_set(
		&rounds->questions, &agent->timer,
		schedule_next_us(was_due_us, monotonic_us(),
	                         settings->agent_interval_ms * USEC_PER_MSEC,
	                         settings->jitter_percent, agent->index,
	                         agent->turn++));
}

static void on_answer(void *owner, const struct probe *probe)
{
	struct call *call = owner;
	struct rounds *rounds = call->rounds;
	struct agent *agent = call->agent;
	uint64_t due_us = call->due_us;
	struct agent_advice advice;
	struct probe_result result;
	bool understood;

	probe_judge(probe, call->settings, &result);
	probe_advice(probe, &advice);
	understood = result.outcome == HEALTH_L7OK;
	/* one line for all of its hosts */
	tell_silence(rounds, agent->hosts, !understood, result.message);
	for (struct host *host = agent->hosts; host; host = host->next_asked) {
		if (understood)
			obey(rounds, host,
			     agent_state_next(host->agent_state, &advice),
			     advice.text);
		else
			miss(rounds, host, result.outcome);
	}
	call_free(call);
	ask_again(rounds, agent, due_us);
	rounds_start_due(rounds);
}

static int start_call(struct rounds *rounds, struct agent *agent)
{
	struct call *call = calloc(1, sizeof(*call));
	int r;

	if (!call)
		return -ENOMEM;
	*call = (struct call) {
		.rounds = rounds,
		.agent = agent,
		.config = config_ref(rounds->fleet->config),
		.settings = agent->hosts->config->settings,
		.due_us = agent->timer.due_us,
	};
	agent->call = call;
	rounds->in_flight++;
	r = probe_ask(rounds->prober, &agent->address, call->settings,
	              on_answer, call, &call->probe);
	if (r < 0)
		call_free(call);
	return r;
}

static void ask(struct rounds *rounds, struct agent *agent)
{
	schedule_remove(&rounds->questions, &agent->timer);
	if (start_call(rounds, agent) >= 0)
		return;
	for (struct host *host = agent->hosts; host; host = host->next_asked)
		miss(rounds, host, HEALTH_INCONCL);
	ask_again(rounds, agent, agent->timer.due_us);
}

/* --- the schedule --------------------------------------------------------- */

void rounds_ask_due(struct rounds *rounds)
{
	uint64_t now_us = monotonic_us();
	struct schedule_entry *first;

	while (rounds->in_flight < rounds->fleet->config->max_concurrent &&
	       (first = schedule_first(&rounds->questions)) &&
	       first->due_us <= now_us)
		ask(rounds, (struct agent *) first);
	first = schedule_first(&rounds->questions);
	/* whoever waits for a place in flight is asked when one is free */
	if (!first ||
	    rounds->in_flight >= rounds->fleet->config->max_concurrent)
		return;
	sd_event_source_set_time(rounds->questions_timer, first->due_us);
	sd_event_source_set_enabled(rounds->questions_timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t due_us, void *userdata)
{
	(void) source;
	(void) due_us;
	rounds_ask_due(userdata);
	return 0;
}

/* --- a configuration comes into force ------------------------------------- */

/* What nobody of us wrote is not believed. */
struct agent_state rounds_recall_agent(const struct health_detail *detail)
{
	if (!(detail->flags & HEALTH_DETAIL_AGENT) ||
	    detail->agent_percent > 100 ||
	    detail->agent_order == HEALTH_AGENT_DOWN ||
	    detail->agent_order > HEALTH_AGENT_MAINT)
		return agent_state_neutral;
	return (struct agent_state) { .percent = detail->agent_percent,
		                      .order = detail->agent_order,
		                      .down = detail->agent_down != 0 };
}

void rounds_forget_agent(struct health_detail *detail)
{
	detail->agent_at_us = 0;
	detail->agent_silent = 0;
	detail->agent_outcome = HEALTH_NONE;
	memset(detail->agent_said, 0, sizeof(detail->agent_said));
}

void rounds_hand_over_agents(struct rounds *rounds,
                             const struct successor *before)
{
	for (uint32_t i = 0; i < before->fleet->agent_count; i++) {
		struct agent *from = &before->fleet->agents[i], *to = NULL;
		uint32_t at = segment_draft_heir(before->draft, from->index);

		if (at != HEALTH_ALL_HOSTS)
			to = rounds->fleet->hosts[at].agent;
		if (!to || to->call || !fleet_same_agent(from, to)) {
			cancel(from->call);
			continue;
		}
		to->timer.due_us = from->timer.due_us;
		to->turn = from->turn;
		to->call = from->call;
		if (to->call)
			to->call->agent = to;
	}
}

void rounds_schedule_agents(struct rounds *rounds, bool first_time)
{
	uint64_t now_us = monotonic_us();

	schedule_begin(&rounds->questions);
	for (uint32_t i = 0; i < rounds->fleet->agent_count; i++) {
		struct agent *agent = &rounds->fleet->agents[i];
		const struct settings *settings =
			agent->hosts->config->settings;
		uint64_t due_us = agent->timer.due_us;

		if (agent->call)
			continue;
		if (!due_us)
			due_us = now_us;
		if (first_time)
			due_us += schedule_phase_us(
				agent->index,
				settings->agent_interval_ms * USEC_PER_MSEC);
		schedule_append(&rounds->questions, &agent->timer, due_us);
	}
	schedule_finish(&rounds->questions);
}

/* --- life ----------------------------------------------------------------- */

int rounds_agents_new(struct rounds *rounds, sd_event *event)
{
	int r = sd_event_add_time(event, &rounds->questions_timer,
	                          CLOCK_MONOTONIC, UINT64_MAX, SLACK_US,
	                          on_timer, rounds);

	if (r < 0)
		return r;
	return sd_event_source_set_exit_on_failure(rounds->questions_timer,
	                                           true);
}

void rounds_agents_free(struct rounds *rounds)
{
	for (uint32_t i = 0; rounds->fleet && i < rounds->fleet->agent_count;
	     i++)
		cancel(rounds->fleet->agents[i].call);
	sd_event_source_unref(rounds->questions_timer);
	schedule_clear(&rounds->questions);
}
