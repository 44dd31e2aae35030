/* SPDX-License-Identifier: BSD-2-Clause
 *
 * JSON from snapshots.  Keys stand in the order of the contract's example.
 *
 * What is no UTF-8 becomes U+FFFD, and what is no ASCII is written as \u:
 * whoever prints a document on a terminal has the same protection that the
 * tables give.
 */
#include "view_json.h"

#include "event_reader.h"
#include "explanation.h"
#include "time_text.h"
#include "utf8.h"

#include <errno.h>

#define DUMP_FLAGS (JSON_COMPACT | JSON_ENSURE_ASCII)

static json_t *text(const char *data, size_t size)
{
	static const char replacement[] = "\xef\xbf\xbd";
	char clean[4096]; /* a path may be that long */
	size_t used = 0, length;
	uint32_t character;

	while (size > 0 && used + 4 <= sizeof(clean)) {
		length = utf8_next(data, size, &character);
		if (length > 0) {
			memcpy(clean + used, data, length);
			used += length;
		} else {
			length = 1;
			memcpy(clean + used, replacement, 3);
			used += 3;
		}
		data += length;
		size -= length;
	}
	return json_stringn(clean, used);
}

static json_t *text_or_null(const char *data, size_t size)
{
	return size > 0 ? text(data, size) : json_null();
}

static json_t *string_or_null(const char *string)
{
	return text_or_null(string, strlen(string));
}

static json_t *count(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t) value);
}

static json_t *count_or_null(uint64_t value, bool known)
{
	return known ? count(value) : json_null();
}

static json_t *when(uint64_t at_us)
{
	char buffer[TIME_TEXT_SIZE];

	return at_us != 0 ? json_string(time_text_utc(at_us, buffer))
	                  : json_null();
}

/* A ramping weight has a fraction, others are integers. */
static json_t *weight(uint32_t effective)
{
	if (effective % HEALTH_WEIGHT_UNIT != 0)
		return json_real((double) effective / HEALTH_WEIGHT_UNIT);
	return json_integer(effective / HEALTH_WEIGHT_UNIT);
}

/* Sets a member and takes over its value; on failure, *object becomes NULL
 * and stays so. */
static void put(json_t **object, const char *key, json_t *value)
{
	if (json_object_set_new(*object, key, value) < 0) {
		json_decref(*object);
		*object = NULL;
	}
}

static json_t *record_document(const struct health_record *record)
{
	json_t *object = json_object();

	put(&object, "at", when(record->at_us));
	put(&object, "outcome",
	    json_string(health_outcome_name(record->outcome)));
	put(&object, "http_status",
	    count_or_null(record->http_status, record->http_status != 0));
	put(&object, "dns_us", count(record->dns_us));
	put(&object, "connect_us", count(record->connect_us));
	put(&object, "tls_us", count(record->tls_us));
	put(&object, "first_byte_us", count(record->first_byte_us));
	put(&object, "total_us", count(record->total_us));
	return object;
}

static json_t *history_document(const struct host_snapshot *host)
{
	json_t *array = json_array();
	uint32_t i;

	for (i = 0; i < host->history_count; i++)
		if (json_array_append_new(array,
		                          record_document(host_snapshot_record(
						  host, i))) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *detail_text(const struct host_snapshot *host, unsigned outcome)
{
	const struct health_detail *detail = &host->detail;

	if (detail->message[0] != '\0' && outcome != HEALTH_ADMIN)
		return text(detail->message, strlen(detail->message));
	return json_string(health_outcome_sentence(outcome));
}

/* NULL for hosts without one. */
static json_t *agent_document(const struct host_snapshot *host)
{
	const struct health_detail *detail = &host->detail;
	unsigned order = health_word_agent(host->word);
	json_t *object;

	if (!(detail->flags & HEALTH_DETAIL_AGENT))
		return json_null();
	object = json_object();
	put(&object, "weight_percent", count(detail->agent_percent));
	put(&object, "order",
	    order != HEALTH_AGENT_NONE ? json_string(health_agent_name(order))
	                               : json_null());
	put(&object, "said", string_or_null(detail->agent_said));
	put(&object, "said_at", when(detail->agent_at_us));
	put(&object, "missed", count(detail->agent_silent));
	put(&object, "problem",
	    detail->agent_silent > 0
	            ? json_string(health_outcome_name(detail->agent_outcome))
	            : json_null());
	return object;
}

json_t *view_json_host(const struct host_snapshot *host)
{
	const struct health_detail *detail = &host->detail;
	const struct health_record *last = host->last;
	unsigned outcome = health_word_outcome(host->word);
	unsigned verdict = health_word_verdict(host->word);
	unsigned admin = health_word_admin(host->word);
	bool known = host->detail_known;
	json_t *object = json_object();

	put(&object, "id", text(host->id.data, host->id.size));
	put(&object, "address", text(host->address.data, host->address.size));
	put(&object, "state", json_string(health_state_name(host->state)));
	put(&object, "verdict", json_string(health_verdict_name(verdict)));
	put(&object, "admin", json_string(health_admin_name(admin)));
	put(&object, "reason",
	    text_or_null(detail->reason, detail->reason_size));
	put(&object, "until", when(detail->until_us));
	put(&object, "failcount", count(health_word_failcount(host->word)));
	put(&object, "passcount", count_or_null(detail->passcount, known));
	put(&object, "rise", count_or_null(detail->rise, known));
	put(&object, "fall", count_or_null(detail->fall, known));
	put(&object, "weight", count_or_null(detail->weight, known));
	put(&object, "effective_weight",
	    weight(health_word_weight(host->word)));
	put(&object, "agent", agent_document(host));
	put(&object, "outcome", json_string(health_outcome_name(outcome)));
	put(&object, "http_status",
	    last != NULL
	            ? count_or_null(last->http_status, last->http_status != 0)
	            : json_null());
	put(&object, "detail", detail_text(host, outcome));
	put(&object, "tls_verify",
	    known ? json_boolean(
			    !(detail->flags & HEALTH_DETAIL_TLS_UNVERIFIED))
	          : json_null());
	put(&object, "shared", count_or_null(detail->shared, known));
	put(&object, "latency_us",
	    last != NULL ? count(last->total_us) : json_null());
	put(&object, "checked_at", when(detail->checked_at_us));
	put(&object, "changed_at", when(detail->changed_at_us));
	put(&object, "probes", count_or_null(detail->probes, known));
	put(&object, "failures", count_or_null(detail->failures, known));
	put(&object, "inconclusive",
	    count_or_null(detail->inconclusive, known));
	put(&object, "cert_expires_at", when(detail->cert_expires_at_us));
	put(&object, "history", history_document(host));
	return object;
}

json_t *view_json_why(const struct pool_snapshot *pool,
                      const struct host_snapshot *host)
{
	json_t *object = view_json_host(host);
	char why[EXPLANATION_SIZE];

	put(&object, "why",
	    host->detail_known
	            ? json_string(explanation(host->word, &host->detail,
	                                      pool->panic, why))
	            : json_null());
	return object;
}

static json_t *segment_document(const struct segment_snapshot *segment)
{
	bool known = segment->heartbeat_age_us != SNAPSHOT_AGE_UNKNOWN;
	json_t *object = json_object();

	put(&object, "path", text(segment->path, strlen(segment->path)));
	put(&object, "generation", count(segment->generation));
	put(&object, "heartbeat_age_ms",
	    count_or_null(segment->heartbeat_age_us / USEC_PER_MSEC, known));
	put(&object, "stale", json_boolean(segment->stale));
	put(&object, "writer_pid", count(segment->writer_pid));
	put(&object, "started_at", when(segment->started_at_us));
	return object;
}

/* All of a pool but its hosts. */
static json_t *pool_document(const struct pool_snapshot *pool)
{
	json_t *object = json_object();

	put(&object, "name", text(pool->name.data, pool->name.size));
	put(&object, "upstream",
	    text(pool->upstream.data, pool->upstream.size));
	put(&object, "priority", count(pool->priority));
	put(&object, "balance",
	    json_string(health_balance_name(pool->balance)));
	put(&object, "up", count(pool->up));
	put(&object, "total", count(pool->host_count));
	put(&object, "panic", json_boolean(pool->panic));
	return object;
}

static int dump(FILE *out, json_t *value, size_t flags)
{
	int error = value == NULL ? -ENOMEM : 0;

	if (value != NULL)
		json_dumpf(value, out, DUMP_FLAGS | flags);
	json_decref(value);
	return error;
}

int view_json_dump(FILE *out, json_t *value)
{
	return dump(out, value, 0);
}

int view_json_pool(FILE *out, const struct pool_snapshot *pool)
{
	int error;

	fputc('{', out);
	error = dump(out, pool_document(pool), JSON_EMBED);
	fputs(",\"hosts\":[", out);
	return error;
}

void view_json_status_begin(struct view_json_status *status, FILE *out,
                            const struct segment_snapshot *segment,
                            const struct selection *selection)
{
	*status = (struct view_json_status) { .out = out };
	fputs("{\"segment\":", out);
	status->error = dump(out, segment_document(segment), 0);
	fputs(",\"pools\":[", out);
	walk_begin(&status->walk, selection);
}

bool view_json_status_step(struct view_json_status *status)
{
	struct walk *walk = &status->walk;

	if (status->error < 0)
		return false;
	if (status->in_pool && walk_next_host(walk)) {
		status->tally.total++;
		status->tally.up += walk->host.state == HEALTH_STATE_UP;
		fputs(status->hosts++ > 0 ? "," : "", status->out);
		status->error =
			dump(status->out, view_json_host(&walk->host), 0);
		return status->error == 0;
	}
	fputs(status->in_pool ? "]}" : "", status->out);
	status->in_pool = walk_next_pool(walk);
	if (!status->in_pool) {
		fputs("]}\n", status->out);
		return false;
	}
	fputs(status->pools++ > 0 ? "," : "", status->out);
	status->hosts = 0;
	status->error = view_json_pool(status->out, &walk->pool);
	return status->error == 0;
}

int view_json_status(FILE *out, const struct segment_snapshot *segment,
                     const struct selection *selection, struct tally *ret)
{
	struct view_json_status status;

	view_json_status_begin(&status, out, segment, selection);
	while (view_json_status_step(&status))
		;
	*ret = status.tally;
	return status.error;
}

json_t *view_json_event(uint64_t number, const struct health_event *event)
{
	bool moved = event_is_transition(event);
	json_t *object = json_object();

	put(&object, "seq", count(number));
	put(&object, "at", when(event->at_us));
	put(&object, "event", json_string(health_event_name(event->kind)));
	put(&object, "upstream", string_or_null(event->upstream));
	put(&object, "pool", string_or_null(event->pool));
	put(&object, "host", string_or_null(event->host_id));
	put(&object, "address", string_or_null(event->address));
	put(&object, "from",
	    moved ? json_string(health_state_name(event->from)) : json_null());
	put(&object, "to",
	    moved ? json_string(health_state_name(event->to)) : json_null());
	put(&object, "outcome",
	    moved ? json_string(health_outcome_name(event->outcome))
	          : json_null());
	put(&object, "http_status",
	    count_or_null(event->http_status, event->http_status != 0));
	put(&object, "failcount", count_or_null(event->failcount, moved));
	put(&object, "reason", string_or_null(event->reason));
	return object;
}

json_t *view_json_error(const char *code, const char *message, const char *key)
{
	json_t *object = json_object(), *error = json_object();

	put(&error, "code", text(code, strlen(code)));
	put(&error, "message", text(message, strlen(message)));
	put(&error, "key", key ? text(key, strlen(key)) : json_null());
	put(&object, "error", error);
	return object;
}
