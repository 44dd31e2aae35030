/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Documents about everybody.  Ten thousand hosts take a good part of a second
 * to write, and probes must not wait for that: it is done in turns of a
 * millisecond when the loop has nothing else to do, one document at a time,
 * in the order of the requests.
 *
 * A thread would have to read the fleet while it changes; to keep documents
 * that were written would be to keep them true.  If the segment is replaced
 * in between, a document is begun again.
 */
#include "api_private.h"

#include "clock.h"

#include <errno.h>
#include <string.h>

#define TURN_US USEC_PER_MSEC

static void forget_text(struct document *document)
{
	if (document->out)
		fclose(document->out);
	free(document->text);
	document->out = NULL;
	document->text = NULL;
	document->size = 0;
}

static bool is_of_this_segment(const struct document *document)
{
	const struct health_shm *shm =
		segment_writer_shm(document->api->writer);

	return document->base == shm->base &&
	       document->created_at_us == shm->header->created_at_us;
}

static int begin(struct document *document)
{
	const struct health_shm *shm =
		segment_writer_shm(document->api->writer);

	forget_text(document);
	document->base = shm->base;
	document->created_at_us = shm->header->created_at_us;
	document->written = 0;
	document->out = open_memstream(&document->text, &document->size);
	return document->out ? document->kind->begin(document) : -ENOMEM;
}

static int write_for_a_while(struct document *document)
{
	uint64_t end_us = monotonic_us() + TURN_US;
	int r = 1;

	if (!document->out || !is_of_this_segment(document)) {
		r = begin(document);
		r = r < 0 ? r : 1;
	}
	while (r > 0 && monotonic_us() < end_us)
		r = document->kind->step(document);
	return r;
}

static void reply(struct document *document, int error)
{
	if (error == 0 && fclose(document->out) != 0)
		error = -ENOMEM;
	else if (error == 0)
		document->out = NULL;
	if (error == -ENOENT) {
		api_reply_absent(document->api, document->request,
		                 document->pool, NULL);
	} else if (error < 0) {
		http_reply_error(document->request, 503, "no_memory",
		                 "checkerd is short of memory", NULL);
	} else {
		http_reply(document->request, document->status,
		           document->kind->type,
		           *document->etag ? document->etag : NULL,
		           document->text, document->size);
		document->text = NULL;
	}
}

static int on_turn(sd_event_source *source, void *userdata)
{
	struct api *api = userdata;
	struct document *document = api->first;
	int r = write_for_a_while(document);

	if (r > 0)
		return 0;
	api->first = document->next;
	reply(document, r);
	forget_text(document);
	free(document);
	if (!api->first)
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

void api_document_send(struct api *api, struct http_request *request,
                       const struct document *form)
{
	struct document *document = malloc(sizeof(*document));

	if (!document) {
		http_reply_error(request, 503, "no_memory",
		                 "checkerd is short of memory", NULL);
		return;
	}
	*document = *form;
	document->api = api;
	document->request = request;
	*(api->first ? &api->last->next : &api->first) = document;
	api->last = document;
	sd_event_source_set_enabled(api->turn, SD_EVENT_ON);
}

int api_document_open(struct api *api, sd_event *event)
{
	int r = sd_event_add_defer(event, &api->turn, on_turn, api);

	if (r >= 0)
		r = sd_event_source_set_priority(api->turn,
		                                 SD_EVENT_PRIORITY_IDLE);
	if (r >= 0)
		r = sd_event_source_set_enabled(api->turn, SD_EVENT_OFF);
	return r;
}

void api_document_close(struct api *api)
{
	struct document *document;

	while ((document = api->first) != NULL) {
		api->first = document->next;
		forget_text(document);
		free(document);
	}
	sd_event_source_disable_unref(api->turn);
}
