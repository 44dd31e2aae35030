/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the api share, and nobody else sees:
 *
 *	api.c            where it listens, and the table of routes
 *	api_fleet.c      pools and hosts, as they are
 *	api_events.c     events, in one document or as they happen
 *	api_dashboard.c  the page for people
 *	api_change.c     what changes something
 *	api_metrics.c    what Prometheus reads
 *	api_readers.c    the nginx workers that read the segment
 *	api_document.c   long documents, written between probes
 */
#ifndef CHECKERD_API_PRIVATE_H
#define CHECKERD_API_PRIVATE_H

#include "api.h"
#include "config.h"
#include "etag.h"
#include "event_reader.h"
#include "http_server.h"
#include "metric.h"
#include "path_pattern.h"
#include "rounds.h"
#include "segment_writer.h"
#include "view_json.h"

#define JSON_TYPE "application/json"

struct document;

struct api {
	struct http_server *server;
	struct control *control;
	struct rounds *rounds;
	struct segment_writer *writer;
	struct readers *readers;
	const struct notify *notify;
	const struct report_receiver *reports; /* NULL: there is none */
	struct config *config; /* what holds from the start on */
	/* of the pool that was last hashed: with many hosts that takes long */
	struct {
		uint32_t pool;
		uint64_t revision; /* of the rounds; 0: none was */
		struct etag etag;
	} hashed;
	/* documents to be written, one at a time */
	sd_event_source *turn;
	struct document *first;
	bool hurries; /* with the first one: it had to be begun again */
	/* for streams of events */
	uint64_t told; /* number of the newest event that they know of */
	uint64_t pings;
	uint64_t pinged_us;
};

/* Answers now or later.  `arguments` are a pool's name and a host's id, as far
 * as the route has them, valid during the call; they need not exist. */
typedef void api_handler_fn(struct api *api, struct http_request *request,
                            const struct path_arguments *arguments);

api_handler_fn api_get_dashboard;
api_handler_fn api_get_pools, api_get_pool, api_get_host, api_get_events;
api_handler_fn api_put_pool, api_patch_pool, api_delete_pool;
api_handler_fn api_put_host, api_patch_host, api_delete_host;
api_handler_fn api_get_changes, api_delete_changes;
api_handler_fn api_get_readers, api_get_metrics;
api_handler_fn api_post_probe, api_post_reload;

/* --- api_fleet.c -------------------------------------------------------- */

/* Where a pool or host is, in the configuration and in the segment. */
struct api_place {
	uint32_t pool_index, host_index;
	const struct pool_config *pool;
	const struct host_config *host; /* NULL: the pool as a whole */
};

/* Returns 0, or -ENOENT.  `host` may be NULL. */
int api_find(const struct api *api, const char *pool, const char *host,
             struct api_place *ret);

/* "no pool P", "no host H in pool P". */
void api_reply_absent(struct api *api, struct http_request *request,
                      const char *pool, const char *host);

/* Answers with the pool, or with the host unless that is NULL. */
void api_reply_place(struct api *api, struct http_request *request,
                     const char *pool, const char *host, unsigned status);

/* Into `buffer` of ETAG_SIZE bytes. */
const char *api_etag(struct api *api, const struct api_place *place,
                     char *buffer);

/* Sends `value`, which is taken over, as it is or NULL for want of memory. */
void api_reply_json(struct http_request *request, unsigned status,
                    const char *etag, json_t *value);

/* --- api_document.c ----------------------------------------------------- */

struct document_kind {
	const char *type; /* of the content */
	/* Writes the beginning.  Returns 0 or a negative errno; -ENOENT: the
	 * pool is gone. */
	int (*begin)(struct document *document);
	/* Goes on a little.  Returns 1, 0 when it is complete, or -ENOMEM. */
	int (*step)(struct document *document);
};

struct document {
	struct api *api;
	struct http_request *request;
	const struct document_kind *kind;
	unsigned status; /* of the answer */
	struct document *next;
	char pool[CONFIG_POOL_NAME_MAX + 1];
	char etag[ETAG_SIZE]; /* empty: none */
	/* while it is written */
	FILE *out;
	char *text;
	size_t size;
	const void *base; /* the segment that it is of */
	uint64_t created_at_us;
	struct etag hashed; /* of a pool, so far, ... */
	uint64_t revision;  /* ... as it was when it was begun */
	struct selection selection;
	union {
		struct view_json_status status;
		struct walk walk;
		struct event_reader events;
		struct {
			enum metric_id id;
			uint32_t index;
		} metric;
	} at;
	json_t *changes; /* a reference; NULL: it is of something else */
	uint32_t written;
	bool joins;    /* the first one: what that says is its answer too */
	bool complete; /* who joined is being answered */
	bool all;      /* events: from the oldest */
	uint64_t since;
};

/* Answers `request` with the document, a millisecond of writing at a time.
 * `form` says what of; it is copied. */
void api_document_send(struct api *api, struct http_request *request,
                       const struct document *form);
int api_document_open(struct api *api, sd_event *event);
void api_document_close(struct api *api);

#endif
