/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A place in the sequence of events.  The numbers belong to a stream, which a
 * segment hands on to its successor; a segment with another stream was begun
 * from nothing, and its numbers say nothing about ours.
 */
#include "event_reader.h"

void event_reader_begin(struct event_reader *reader, bool all, uint64_t since)
{
	*reader = (struct event_reader) {
		.next = all ? 1 : since + 1,
		.gapless = !all,
	};
}

bool event_reader_next(struct event_reader *reader,
                       const struct health_shm *shm, struct health_event *ret,
                       uint64_t *ret_number)
{
	uint64_t head = health_shm_event_head(shm), tail;

	if (reader->stream != 0 && reader->stream != shm->stream) {
		reader->next = 1;
		reader->gapless = false;
	}
	reader->stream = shm->stream;

	tail = health_shm_event_tail(shm, head);
	if (reader->next < tail) {
		reader->lost += reader->gapless ? tail - reader->next : 0;
		reader->next = tail;
	}
	while (reader->next <= head) {
		*ret_number = reader->next++;
		if (health_shm_event(shm, *ret_number, ret)) {
			reader->gapless = true;
			return true;
		}
		reader->lost += reader->gapless;
	}
	return false;
}
