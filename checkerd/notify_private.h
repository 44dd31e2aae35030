/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the notifications share, and nobody else sees.
 *
 * A receiver is the first member of something bigger, in notify_exec.c or
 * notify_webhook.c, that knows how to deliver.  What all have in common, a
 * place in the ring and how they are doing, is kept in notify.c.
 */
#ifndef CHECKERD_NOTIFY_PRIVATE_H
#define CHECKERD_NOTIFY_PRIVATE_H

#include "config.h"
#include "event_reader.h"
#include "notify.h"

#include <jansson.h>
#include <stddef.h>

/* One event, as receivers are given it. */
struct notice {
	uint64_t number;
	uint64_t at_us;
	json_t *document;
	char *text; /* the document, without a line's end */
	size_t size;
};

void notice_free(struct notice *notice); /* accepts NULL */

struct receiver {
	const char *name;
	void (*configure)(struct receiver *receiver,
	                  const struct notify_config *config);
	/* Takes over `notice`; receiver_done() follows, also from within. */
	void (*deliver)(struct receiver *receiver, struct notice *notice);
	void (*free)(struct receiver *receiver);
	uint32_t places; /* how many events at a time; 0: nobody listens */
	bool resting;    /* wants none before receiver_wake() */
	struct notify_counters counters;

	/* notify.c's */
	struct notify *notify;
	sd_event_source *turn;
	struct event_reader events;
	uint32_t taken; /* places */
	bool busy;      /* had an event at its last turn */
	uint64_t busy_since_us; /* monotonic: no event waited for longer */
	struct {
		uint64_t count; /* dropped since last said */
		uint64_t said_us;
		char why[160];
	} drops;
};

int notify_exec_new(struct receiver **ret, sd_event *event);
int notify_webhook_new(struct receiver **ret, sd_event *event);

/* Done with one event, one way or the other: there is place for the next. */
void receiver_done(struct receiver *receiver);

void receiver_wake(struct receiver *receiver);

/* An event that the receiver will never get. */
void receiver_drop(struct receiver *receiver, uint64_t count, const char *why);

#endif
