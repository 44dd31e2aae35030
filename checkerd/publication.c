/* SPDX-License-Identifier: BSD-2-Clause */
#include "publication.h"

#include "clock.h"
#include "config.h"
#include "log.h"
#include "message_ids.h"
#include "segment_writer.h"
#include "transition.h"

#include <inttypes.h>
#include <stdio.h>

/* --- the journal -------------------------------------------------------- */

static void log_event(const struct health_event *event, const char *why)
{
	static const struct {
		int level;
		const char *message_id;
	} kinds[HEALTH_EVENT_KIND_COUNT] = {
		[HEALTH_HOST_UP] = { LOG_NOTICE, MESSAGE_HOST_UP },
		[HEALTH_HOST_DOWN] = { LOG_WARNING, MESSAGE_HOST_DOWN },
		[HEALTH_HOST_DRAIN] = { LOG_NOTICE, MESSAGE_HOST_DRAIN },
		[HEALTH_CERT_EXPIRING] = { LOG_WARNING, MESSAGE_CERT_EXPIRING },
		[HEALTH_PANIC_ON] = { LOG_WARNING, MESSAGE_PANIC_ON },
		[HEALTH_PANIC_OFF] = { LOG_NOTICE, MESSAGE_PANIC_OFF },
	};
	char seq[24], status[8], failcount[12], whom[2 * HEALTH_NAME_SIZE + 8];
	const struct log_field fields[] = {
		{ "CHECKERD_SEQ", seq },
		{ "CHECKERD_EVENT", health_event_name(event->kind) },
		{ "CHECKERD_UPSTREAM", event->upstream },
		{ "CHECKERD_POOL", event->pool },
		{ "CHECKERD_HOST", event->host_id },
		{ "CHECKERD_ADDRESS", event->address },
		{ "CHECKERD_FROM", health_state_name(event->from) },
		{ "CHECKERD_TO", health_state_name(event->to) },
		{ "CHECKERD_OUTCOME", health_outcome_name(event->outcome) },
		{ "CHECKERD_HTTP_STATUS", status },
		{ "CHECKERD_FAILCOUNT", failcount },
	};

	snprintf(seq, sizeof(seq), "%" PRIu64, event->lock / 2);
	snprintf(status, sizeof(status), "%u", event->http_status);
	snprintf(failcount, sizeof(failcount), "%" PRIu32, event->failcount);
	snprintf(whom, sizeof(whom), event->host_id[0] ? "%s/%s" : "%s%s",
	         event->pool, event->host_id);
	if (event->from == event->to)
		log_fields(kinds[event->kind].level,
		           kinds[event->kind].message_id, fields,
		           ARRAY_SIZE(fields), "%s %s: %s",
		           health_event_name(event->kind), whom, why);
	else
		log_fields(kinds[event->kind].level,
		           kinds[event->kind].message_id, fields,
		           ARRAY_SIZE(fields), "%s %s: %s to %s, %s%s%s",
		           health_event_name(event->kind), whom,
		           health_state_name(event->from),
		           health_state_name(event->to),
		           health_outcome_name(event->outcome),
		           *why ? ", " : "", why);
}

/* --- the segment -------------------------------------------------------- */

static void copy_name(char to[HEALTH_NAME_SIZE], const char *from)
{
	snprintf(to, HEALTH_NAME_SIZE, "%s", from);
}

static struct health_event describe_pool(const struct pool_config *pool,
                                         enum health_event_kind kind)
{
	struct health_event event = { .at_us = realtime_us(),
		                      .kind = (uint16_t) kind };

	copy_name(event.pool, pool->name);
	copy_name(event.upstream, pool->upstream);
	return event;
}

static struct health_event describe_host(const struct fleet *fleet,
                                         const struct host *host,
                                         enum health_event_kind kind)
{
	struct health_event event =
		describe_pool(fleet->pools[host->pool].config, kind);

	copy_name(event.host_id, host->config->id);
	address_text(host->config->address, event.address);
	event.failcount = host->verdict.failcount;
	return event;
}

/* What the segment is to say of a host. */
static struct segment_change change_of(const struct fleet *fleet,
                                       const struct host *host)
{
	return (struct segment_change) {
		.host = host->index,
		.word = fleet_word(fleet, host),
		.pool_word = fleet_pool_word(fleet, host->pool),
	};
}

static void publish_event(struct segment_writer *writer,
                          const struct segment_change *change, const char *why)
{
	change->event->lock = 2 * segment_writer_publish(writer, change);
	log_event(change->event, why);
}

enum health_event_kind publish_host(struct segment_writer *writer,
                                    const struct fleet *fleet,
                                    const struct host *host, uint64_t before,
                                    const struct cause *cause)
{
	struct segment_change change = change_of(fleet, host);
	enum health_event_kind kind = transition_kind(before, change.word);
	struct health_event event;

	if (!kind) {
		segment_writer_publish(writer, &change);
		return kind;
	}
	event = describe_host(fleet, host, kind);
	event.outcome = (uint16_t) cause->outcome;
	event.from = (uint8_t) health_word_state(before);
	event.to = (uint8_t) health_word_state(change.word);
	event.http_status = cause->http_status;
	snprintf(event.reason, sizeof(event.reason), "%s",
	         cause->reason ? cause->reason : "");
	change.event = &event;
	publish_event(writer, &change, cause->why);
	segment_writer_edit(writer, host->index)->changed_at_us = event.at_us;
	segment_writer_commit(writer);
	return kind;
}

void publish_panic(struct segment_writer *writer, const struct fleet *fleet,
                   uint32_t pool)
{
	const struct pool *of = &fleet->pools[pool];
	struct health_event event = describe_pool(
		of->config, of->panic ? HEALTH_PANIC_ON : HEALTH_PANIC_OFF);
	struct segment_change change = { .host = HEALTH_ALL_HOSTS,
		                         .event = &event };
	char why[96];

	snprintf(why, sizeof(why),
	         "%" PRIu32 " of %" PRIu32
	         " hosts are fit, panic is below %u%%",
	         of->fit, of->eligible, of->config->panic_percent);
	publish_event(writer, &change, why);
}

void publish_certificate(struct segment_writer *writer,
                         const struct fleet *fleet, const struct host *host,
                         uint64_t expires_at_us)
{
	struct segment_change change = change_of(fleet, host);
	struct health_event event =
		describe_host(fleet, host, HEALTH_CERT_EXPIRING);
	int64_t left_us = (int64_t) (expires_at_us - event.at_us);
	char why[96];

	event.from = event.to = (uint8_t) health_word_state(change.word);
	event.outcome = host->outcome;
	snprintf(why, sizeof(why),
	         left_us < 0 ? "its certificate expired %" PRId64 " hours ago"
	                     : "its certificate expires in %" PRId64 " hours",
	         (left_us < 0 ? -left_us : left_us) /
	                 (int64_t) (3600 * USEC_PER_SEC));
	change.event = &event;
	publish_event(writer, &change, why);
}

void publish_completed(const struct segment_writer *writer)
{
	const struct health_shm *shm = segment_writer_shm(writer);
	uint64_t number = segment_writer_told(writer) + 1;
	uint64_t head = shm->header ? health_shm_event_head(shm) : 0;
	struct health_event event;

	for (; number <= head; number++)
		if (health_shm_event(shm, number, &event))
			log_event(&event, "when the process before was killed");
}
