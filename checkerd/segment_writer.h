/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The one writer of the segment (include/health_shm.h): adopts what an
 * earlier process left, supersedes it by a draft (segment_draft.h) when the
 * topology changes, and publishes changes in the order that readers rely on.
 *
 * The segment is also where the state of the hosts lives between two
 * processes: nothing is kept twice.  A word of 0 is a host never seen before.
 *
 * A transition that a kill interrupted is completed at adoption: the event,
 * written first, carries the word it makes true.
 */
#ifndef CHECKERD_SEGMENT_WRITER_H
#define CHECKERD_SEGMENT_WRITER_H

#include "../include/health_shm.h"

#include <sys/types.h>

struct segment_draft;
struct segment_writer;

#define SEGMENT_CHANGES 4096
#define SEGMENT_EVENTS  4096

/* Takes the lock of the segment at `path` ("PATH.lock") for as long as the
 * writer lives, and maps what is there for adoption, if it is sound.
 * Returns -EBUSY with the holder in *ret_pid (0 if unknown), or another
 * negative errno. */
int segment_writer_new(struct segment_writer **ret, const char *path,
                       mode_t mode, pid_t *ret_pid);

/* Leaves the file in place, for readers and for the next process. */
void segment_writer_free(struct segment_writer *writer); /* accepts NULL */

/* The number of the last event that a process before published.  If there is
 * one beyond it before the first publish, that was completed at adoption, and
 * nobody can have heard of it. */
uint64_t segment_writer_told(const struct segment_writer *writer);

/* Gives the drafted file its name and marks the one before superseded, which
 * is the draft's from then on; the file that stays (SEGMENT_ADOPTED) is signed
 * anew after a start.  On error the one before stays in force, and the draft is
 * of no use any more. */
int segment_writer_activate(struct segment_writer *writer,
                            struct segment_draft *draft);

/* Why the segment found at the start was not fit for adoption, or NULL. */
const char *segment_writer_rejected(const struct segment_writer *writer);

const struct health_shm *
segment_writer_shm(const struct segment_writer *writer);

/* The writer's own view of a host's detail; valid until the next call. */
const struct health_detail *
segment_writer_detail(const struct segment_writer *writer, uint32_t host);

/* To change it: edit the copy, then commit; only what differs is stored. */
struct health_detail *segment_writer_edit(struct segment_writer *writer,
                                          uint32_t host);
void segment_writer_commit(struct segment_writer *writer);

struct segment_change {
	uint32_t host; /* HEALTH_ALL_HOSTS: none, only `event` */
	uint64_t word;
	uint64_t pool_word;         /* of the host's pool */
	struct health_event *event; /* NULL: nobody is to hear of it */
};

/* Publishes the change of one host.  The generation moves if something that
 * routes differs.  Returns the number given to the event, or 0. */
uint64_t segment_writer_publish(struct segment_writer *writer,
                                const struct segment_change *change);

/* An event was published; called from within segment_writer_publish(), so
 * that nothing may be published in it. */
typedef void (*segment_event_fn)(void *owner);

void segment_writer_on_event(struct segment_writer *writer,
                             segment_event_fn on_event, void *owner);

/* Also lets go of the file before, when readers have had the time to. */
void segment_writer_beat(struct segment_writer *writer, uint64_t mono_us);

/* A probe started `lateness_us` after it was due. */
void segment_writer_count_probe(struct segment_writer *writer,
                                uint64_t lateness_us);
void segment_writer_count_inconclusive(struct segment_writer *writer);
void segment_writer_count_lag(struct segment_writer *writer, uint64_t lag_us);

#endif
