/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tells receivers of events: a program that is run (notify_exec.c) and a
 * server that is posted to (notify_webhook.c).
 *
 * The queue is the segment's ring of events.  Each receiver has a place in
 * it, and is given the next event when it is done with the one before: in
 * order, and once each.  One that falls behind by more than the ring holds
 * misses the oldest, which is counted and said.
 */
#ifndef CHECKERD_NOTIFY_H
#define CHECKERD_NOTIFY_H

#include <stdint.h>
#include <systemd/sd-event.h>

struct config;
struct health_shm;
struct notify;

/* The segment as it is now: it may be another at each call. */
typedef const struct health_shm *(*notify_shm_fn)(void *owner);

/* Receivers begin behind event number `since`.  Until it is first configured
 * there are none. */
int notify_new(struct notify **ret, sd_event *event, notify_shm_fn shm,
               void *owner, uint64_t since);

/* Ends the programs that still run, and logs what nobody was told. */
void notify_free(struct notify *notify); /* accepts NULL */

/* Puts [notify] in force, for all that was not begun yet.  Takes a reference
 * of its own.  A receiver that was not there before begins with the events to
 * come. */
void notify_configure(struct notify *notify, const struct config *config);

/* There are new events.  Cheap: the work is done when the loop comes round. */
void notify_poke(struct notify *notify);

/* Called a few times a second: says what was dropped. */
void notify_beat(struct notify *notify, uint64_t now_us);

enum notify_receiver { NOTIFY_EXEC, NOTIFY_WEBHOOK, NOTIFY_RECEIVERS };

struct notify_counters {
	uint64_t delivered; /* the program ended with 0; a receipt came */
	uint64_t failed;    /* programs, posts: it did not */
	uint64_t retried;   /* posts of what had been posted already */
	uint64_t dropped;   /* events given up, or overtaken by the ring */
	uint64_t waiting;   /* events not done with, now */
};

struct notify_counters notify_counters(const struct notify *notify,
                                       enum notify_receiver which);

#endif
