/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Makes what the fleet holds true known: in the segment, as events there, and
 * in the journal.  Events are made here and nowhere else.
 */
#ifndef CHECKERD_PUBLICATION_H
#define CHECKERD_PUBLICATION_H

#include "fleet.h"

struct segment_writer;

/* Why a host's word changes. */
struct cause {
	enum health_outcome outcome;
	uint16_t http_status; /* 0: none */
	const char *why;      /* for people */
	const char *reason;   /* a person's or an agent's; NULL: none */
};

/* Publishes the word of `host`, and the event if its effective state is
 * another than in `before`, the word that held until now.  Returns the event's
 * kind, 0: there was none. */
enum health_event_kind publish_host(struct segment_writer *writer,
                                    const struct fleet *fleet,
                                    const struct host *host, uint64_t before,
                                    const struct cause *cause);

/* Logs the event that was completed at adoption, if there was one.  Whoever
 * else hears of events finds it in the segment. */
void publish_completed(const struct segment_writer *writer);

/* The panic of pool number `pool` began or ended: only the event. */
void publish_panic(struct segment_writer *writer, const struct fleet *fleet,
                   uint32_t pool);

/* A host's certificate expires soon. */
void publish_certificate(struct segment_writer *writer,
                         const struct fleet *fleet, const struct host *host,
                         uint64_t expires_at_us);

#endif
