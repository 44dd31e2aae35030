/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Events, in one document or as they happen.  Both read the ring of the
 * segment, each from its own place; a stream holds no event but the one it
 * is sending.  Who does not read is overtaken by the ring, and told so.
 *
 * Numbers go on across restarts.  One that is beyond the newest is from
 * another sequence, which ended: then all there is comes anew.
 */
#include "api_private.h"

#include "clock.h"
#include "parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STREAM_TYPE "text/event-stream"
#define PING_US     (15 * USEC_PER_SEC)

/* When a client that lost us may come back. */
#define RETRY_TEXT "retry: 2000\n\n"

struct stream {
	struct api *api;
	struct event_reader events;
	uint64_t told_lost;
	uint64_t pings;
	char *text; /* on its way; NULL: nothing */
	size_t size, sent;
};

static void begin_reading(const struct api *api, struct event_reader *events,
                          bool all, uint64_t since)
{
	uint64_t head = health_shm_event_head(segment_writer_shm(api->writer));

	event_reader_begin(events, all || since > head, since);
}

/* --- one document ------------------------------------------------------- */

static int begin_events(struct document *document)
{
	begin_reading(document->api, &document->at.events, document->all,
	              document->since);
	fputs("{\"events\":[", document->out);
	return 0;
}

static int step_events(struct document *document)
{
	const struct health_shm *shm =
		segment_writer_shm(document->api->writer);
	struct health_event event;
	uint64_t number;
	int r;

	if (!event_reader_next(&document->at.events, shm, &event, &number)) {
		fprintf(document->out, "],\"lost\":%" PRIu64 "}\n",
		        document->at.events.lost);
		return 0;
	}
	fputs(document->written++ > 0 ? "," : "", document->out);
	r = view_json_dump(document->out, view_json_event(number, &event));
	return r < 0 ? r : 1;
}

/* --- a stream ----------------------------------------------------------- */

/* What comes next, into `out`; false: nothing yet. */
static bool write_next(struct stream *stream, FILE *out)
{
	const struct health_shm *shm = segment_writer_shm(stream->api->writer);
	struct health_event event;
	uint64_t number;
	bool found = event_reader_next(&stream->events, shm, &event, &number);

	if (stream->events.lost > stream->told_lost) {
		fprintf(out, "event: lost\ndata: {\"lost\":%" PRIu64 "}\n\n",
		        stream->events.lost - stream->told_lost);
		stream->told_lost = stream->events.lost;
	}
	if (found) {
		fprintf(out, "id: %" PRIu64 "\nevent: %s\ndata: ", number,
		        health_event_name(event.kind));
		view_json_dump(out, view_json_event(number, &event));
		fputs("\n\n", out);
	} else if (stream->pings != stream->api->pings) {
		fputs(": ping\n\n", out);
	}
	stream->pings = stream->api->pings;
	return ftello(out) > 0;
}

static int fill(struct stream *stream)
{
	FILE *out = open_memstream(&stream->text, &stream->size);
	bool found;

	stream->sent = 0;
	if (!out)
		return -ENOMEM;
	found = write_next(stream, out);
	if (fclose(out) != 0)
		return -ENOMEM;
	if (!found) {
		free(stream->text);
		stream->text = NULL;
	}
	return 0;
}

static ssize_t pull(void *owner, char *buffer, size_t size)
{
	struct stream *stream = owner;
	size_t left;
	int r;

	if (!stream->text) {
		r = fill(stream);
		if (r < 0)
			return r;
		if (!stream->text)
			return 0;
	}
	left = stream->size - stream->sent;
	size = size < left ? size : left;
	memcpy(buffer, stream->text + stream->sent, size);
	stream->sent += size;
	if (stream->sent == stream->size) {
		free(stream->text);
		stream->text = NULL;
	}
	return (ssize_t) size;
}

static void release(void *owner)
{
	struct stream *stream = owner;

	free(stream->text);
	free(stream);
}

static void begin_stream(struct api *api, struct http_request *request,
                         bool all, uint64_t since)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (stream)
		stream->text = strdup(RETRY_TEXT);
	if (!stream || !stream->text) {
		free(stream);
		http_reply_error(request, 503, "no_memory",
		                 "checkerd is short of memory", NULL);
		return;
	}
	stream->api = api;
	stream->size = strlen(stream->text);
	stream->pings = api->pings;
	begin_reading(api, &stream->events, all, since);
	/* nginx would keep events until it has a buffer full of them */
	http_reply_header(request, "X-Accel-Buffering", "no");
	http_stream(request, STREAM_TYPE, pull, release, stream);
}

/* --- /v1/events --------------------------------------------------------- */

static int begin_at_newest(const struct api *api, struct document *form,
                           const char *text)
{
	uint64_t head = health_shm_event_head(segment_writer_shm(api->writer));
	uint64_t count;

	if (parse_unsigned(&count, text, 0, INT64_MAX) < 0)
		return -EINVAL;
	form->all = head <= count;
	form->since = form->all ? 0 : head - count;
	return 0;
}

void api_get_events(struct api *api, struct http_request *request,
                    const struct path_arguments *arguments)
{
	static const struct document_kind events = { JSON_TYPE, begin_events,
		                                     step_events };
	struct document form = { .kind = &events, .status = 200 };
	const char *accept = http_request_header(request, "Accept");
	bool streams = accept && strstr(accept, STREAM_TYPE);
	const char *last =
		streams ? http_request_header(request, "Last-Event-ID") : NULL;
	const char *since = last ? last : http_request_query(request, "since");
	const char *newest = http_request_query(request, "newest");

	(void) arguments;
	form.all = !since;
	if (since && parse_unsigned(&form.since, since, 0, INT64_MAX) < 0) {
		http_reply_error(request, 400, "bad_value",
		                 "not the number of an event",
		                 last ? "Last-Event-ID" : "since");
		return;
	}
	if (!since && newest && begin_at_newest(api, &form, newest) < 0) {
		http_reply_error(request, 400, "bad_value",
		                 "not a number of events", "newest");
		return;
	}
	if (streams)
		begin_stream(api, request, form.all, form.since);
	else
		api_document_send(api, request, &form);
}

void api_beat(struct api *api)
{
	uint64_t head = health_shm_event_head(segment_writer_shm(api->writer));
	uint64_t now_us = monotonic_us();
	bool pings = now_us - api->pinged_us >= PING_US;

	if (pings) {
		api->pings++;
		api->pinged_us = now_us;
	}
	if (pings || head != api->told)
		http_server_wake(api->server);
	api->told = head;
}
