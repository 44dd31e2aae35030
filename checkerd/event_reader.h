/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Events in their order, once each, across new segments and restarts of
 * checkerd, with a count of those that the ring had lost before they were
 * read.
 */
#ifndef CHECKERD_EVENT_READER_H
#define CHECKERD_EVENT_READER_H

#include "../include/health_shm.h"

#include <stdbool.h>

struct event_reader {
	uint64_t stream; /* 0: none seen yet */
	uint64_t next;   /* the number to be read next */
	bool gapless;    /* what is missing from here on is lost */
	uint64_t lost;   /* so far */
};

/* Starts behind event `since`; with `all`, at the oldest that there is,
 * without calling anything before it lost. */
void event_reader_begin(struct event_reader *reader, bool all, uint64_t since);

/* The next event; false: none yet.  `shm` may be another segment than at the
 * last call.  If its numbers are of another sequence, reading starts over. */
bool event_reader_next(struct event_reader *reader,
                       const struct health_shm *shm, struct health_event *ret,
                       uint64_t *ret_number);

/* Whether the event moved a host from one state to another. */
static inline bool event_is_transition(const struct health_event *event)
{
	return event->kind >= HEALTH_HOST_UP &&
	       event->kind <= HEALTH_HOST_DRAIN;
}

#endif
