/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who is due when: a binary heap of entries that live inside their owners,
 * and the pure arithmetic of intervals.  It has no clock: times are whatever
 * monotonic microseconds the caller counts in.
 *
 * Not taken: one sd-event timer per host, which would cost more memory than
 * the host and a timerfd re-armed for each probe.
 */
#ifndef CHECKERD_SCHEDULE_H
#define CHECKERD_SCHEDULE_H

#include <stdint.h>

struct schedule_entry {
	uint64_t due_us;
	uint32_t place; /* in the heap, from 1; 0: not waiting */
};

struct schedule {
	struct schedule_entry **heap; /* heap[1] is the earliest */
	uint32_t count;
	uint32_t capacity;
};

/* Room for `capacity` entries, so that setting one cannot fail.  Returns 0 or
 * -ENOMEM; never shrinks. */
int schedule_reserve(struct schedule *schedule, uint32_t capacity);
void schedule_clear(struct schedule *schedule);

/* Puts the entry in, or moves it. */
void schedule_set(struct schedule *schedule, struct schedule_entry *entry,
                  uint64_t due_us);
void schedule_remove(struct schedule *schedule, struct schedule_entry *entry);

/* A hundred thousand at once: forgets all there are, which need not exist any
 * more; takes those that come instead, none of which is waiting; and finds
 * their places.  Nothing else may be asked in between. */
void schedule_begin(struct schedule *schedule);
void schedule_append(struct schedule *schedule, struct schedule_entry *entry,
                     uint64_t due_us);
void schedule_finish(struct schedule *schedule);

/* The earliest, or NULL. */
struct schedule_entry *schedule_first(const struct schedule *schedule);

/* Where in its first interval host number `index` begins: neighbours end up
 * far apart and any run of them evenly spread, each time the same. */
uint64_t schedule_phase_us(uint32_t index, uint64_t interval_us);

/* When to probe again: one interval, give or take jitter_percent of it, after
 * the last time it was due, so that lateness does not add up.  Somebody more
 * than an interval behind (we were stopped) starts over at its phase instead
 * of joining a stampede.  `turn` makes successive jitters differ. */
uint64_t schedule_next_us(uint64_t was_due_us, uint64_t now_us,
                          uint64_t interval_us, unsigned jitter_percent,
                          uint32_t index, uint64_t turn);

#endif
