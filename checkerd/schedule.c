/* SPDX-License-Identifier: BSD-2-Clause */
#include "schedule.h"

#include <errno.h>
#include <stdlib.h>

int schedule_reserve(struct schedule *schedule, uint32_t capacity)
{
	struct schedule_entry **heap;

	if (capacity <= schedule->capacity)
		return 0;
	heap = realloc(schedule->heap, (capacity + 1) * sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	schedule->heap = heap;
	schedule->capacity = capacity;
	return 0;
}

void schedule_clear(struct schedule *schedule)
{
	free(schedule->heap);
	*schedule = (struct schedule) { 0 };
}

static void put(struct schedule *schedule, uint32_t place,
                struct schedule_entry *entry)
{
	schedule->heap[place] = entry;
	entry->place = place;
}

static void sink(struct schedule *schedule, uint32_t place,
                 struct schedule_entry *entry)
{
	struct schedule_entry **heap = schedule->heap;
	uint32_t child;

	while ((child = place * 2) <= schedule->count) {
		if (child < schedule->count &&
		    heap[child + 1]->due_us < heap[child]->due_us)
			child++;
		if (heap[child]->due_us >= entry->due_us)
			break;
		put(schedule, place, heap[child]);
		place = child;
	}
	put(schedule, place, entry);
}

static void settle(struct schedule *schedule, uint32_t place,
                   struct schedule_entry *entry)
{
	struct schedule_entry **heap = schedule->heap;

	while (place > 1 && heap[place / 2]->due_us > entry->due_us) {
		put(schedule, place, heap[place / 2]);
		place /= 2;
	}
	sink(schedule, place, entry);
}

void schedule_set(struct schedule *schedule, struct schedule_entry *entry,
                  uint64_t due_us)
{
	uint32_t place = entry->place ? entry->place : ++schedule->count;

	entry->due_us = due_us;
	schedule->heap[place] = entry;
	settle(schedule, place, entry);
}

void schedule_remove(struct schedule *schedule, struct schedule_entry *entry)
{
	uint32_t place = entry->place;
	struct schedule_entry *last;

	if (!place)
		return;
	entry->place = 0;
	last = schedule->heap[schedule->count--];
	if (last != entry)
		settle(schedule, place, last);
}

void schedule_begin(struct schedule *schedule)
{
	schedule->count = 0;
}

void schedule_append(struct schedule *schedule, struct schedule_entry *entry,
                     uint64_t due_us)
{
	entry->due_us = due_us;
	put(schedule, ++schedule->count, entry);
}

/* From the last parent to the first: in linear time. */
void schedule_finish(struct schedule *schedule)
{
	for (uint32_t place = schedule->count / 2; place > 0; place--)
		sink(schedule, place, schedule->heap[place]);
}

struct schedule_entry *schedule_first(const struct schedule *schedule)
{
	return schedule->count ? schedule->heap[1] : NULL;
}

uint64_t schedule_phase_us(uint32_t index, uint64_t interval_us)
{
	/* multiples of the golden ratio: 2^32 / phi */
	uint32_t fraction = index * UINT32_C(2654435769);

	return interval_us * fraction >> 32;
}

static uint64_t scramble(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

uint64_t schedule_next_us(uint64_t was_due_us, uint64_t now_us,
                          uint64_t interval_us, unsigned jitter_percent,
                          uint32_t index, uint64_t turn)
{
	uint64_t width = interval_us * jitter_percent / 50; /* both ways */
	uint64_t due_us = was_due_us + interval_us - width / 2;

	if (width)
		due_us += scramble((uint64_t) index << 32 ^ turn) % (width + 1);
	if (now_us > due_us + interval_us)
		return now_us + schedule_phase_us(index, interval_us);
	return due_us > now_us ? due_us : now_us;
}
