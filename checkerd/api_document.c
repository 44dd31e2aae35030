/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Documents about everybody.  Ten thousand hosts take a good part of a second
 * to write, and probes must not wait for that: it is done in turns of a
 * millisecond when the loop has nothing else to do, one document at a time.
 * Whoever asked for the same before it was begun gets a copy, so that a crowd
 * waits no longer than one; and the control side goes first.
 *
 * A thread would have to read the fleet while it changes; to keep documents
 * that were written would be to keep them true.  If the segment is replaced
 * in between, a document is begun again; then it has its turns beside probes,
 * and further changes wait for it, or many that follow each other would keep it
 * from its end.
 */
#include "api_private.h"

#include "clock.h"
#include "control.h"

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

static bool is_same(const struct document *a, const struct document *b)
{
	return a->kind == b->kind && strcmp(a->pool, b->pool) == 0 &&
	       a->all == b->all && a->since == b->since &&
	       a->changes == b->changes;
}

/* Who has asked for the same by now will get the same. */
static int begin(struct document *document)
{
	const struct health_shm *shm =
		segment_writer_shm(document->api->writer);

	for (struct document *other = document->next; other;
	     other = other->next)
		other->joins = is_same(document, other);
	forget_text(document);
	document->base = shm->base;
	document->created_at_us = shm->header->created_at_us;
	document->written = 0;
	document->out = open_memstream(&document->text, &document->size);
	return document->out ? document->kind->begin(document) : -ENOMEM;
}

static void hurry(struct api *api, bool hurries)
{
	if (api->hurries == hurries)
		return;
	api->hurries = hurries;
	sd_event_source_set_priority(api->turn,
	                             hurries ? SD_EVENT_PRIORITY_NORMAL
	                                     : SD_EVENT_PRIORITY_IDLE);
	control_hold(api->control, hurries);
}

/* Returns 1, 0 when it is complete, or a negative errno. */
static int write_for_a_while(struct document *document)
{
	uint64_t end_us = monotonic_us() + TURN_US;
	int r = 1;

	if (document->out && !is_of_this_segment(document))
		hurry(document->api, true);
	if (!document->out || !is_of_this_segment(document)) {
		r = begin(document);
		r = r < 0 ? r : 1;
	}
	while (r > 0 && monotonic_us() < end_us)
		r = document->kind->step(document);
	if (r == 0) {
		r = fclose(document->out) == 0 ? 0 : -ENOMEM;
		document->out = NULL;
		document->complete = true;
	}
	return r;
}

static void refuse(struct document *document, int error)
{
	if (error == -ENOENT)
		api_reply_absent(document->api, document->request,
		                 document->pool, NULL);
	else
		http_reply_error(document->request, 503, "no_memory",
		                 "checkerd is short of memory", NULL);
}

/* `text` is taken over. */
static void reply(struct document *document, const char *etag, char *text,
                  size_t size)
{
	if (text)
		http_reply(document->request, document->status,
		           document->kind->type, *etag ? etag : NULL, text,
		           size);
	else
		refuse(document, -ENOMEM);
}

static void take_out(struct document **link)
{
	struct document *document = *link;

	*link = document->next;
	forget_text(document);
	json_decref(document->changes);
	free(document);
}

/* Answers one of those that wait for a complete document; it goes last. */
static void hand_out(struct api *api)
{
	struct document *document = api->first;
	struct document **link = &document->next;
	char *copy;

	while (*link && !(*link)->joins)
		link = &(*link)->next;
	if (*link) {
		copy = malloc(document->size);
		if (copy)
			memcpy(copy, document->text, document->size);
		reply(*link, document->etag, copy, document->size);
		take_out(link);
	} else {
		reply(document, document->etag, document->text, document->size);
		document->text = NULL;
		take_out(&api->first);
	}
}

static int on_turn(sd_event_source *source, void *userdata)
{
	struct api *api = userdata;
	struct document *document = api->first;
	int r = 0;

	if (!document->complete)
		r = write_for_a_while(document);
	else
		hand_out(api);
	if (r < 0) {
		refuse(document, r);
		take_out(&api->first);
	}
	/* the next one is not begun before */
	if (!api->first || !api->first->out)
		hurry(api, false);
	if (!api->first)
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

static bool goes_before(const struct document *queued,
                        const struct document *asked)
{
	return queued->out || queued->complete ||
	       http_request_side(queued->request) >=
	               http_request_side(asked->request);
}

void api_document_send(struct api *api, struct http_request *request,
                       const struct document *form)
{
	struct document *document = malloc(sizeof(*document));
	struct document **link = &api->first;

	if (!document) {
		http_reply_error(request, 503, "no_memory",
		                 "checkerd is short of memory", NULL);
		return;
	}
	*document = *form;
	json_incref(document->changes);
	document->api = api;
	document->request = request;
	while (*link && goes_before(*link, document))
		link = &(*link)->next;
	document->next = *link;
	*link = document;
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
	while (api->first)
		take_out(&api->first);
	sd_event_source_disable_unref(api->turn);
}
