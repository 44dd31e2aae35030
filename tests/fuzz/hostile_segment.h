/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segments that are not quite sound.  An input is a list of patches to a small
 * sound one, of two pools with three hosts and a few events: it takes a few
 * bytes to be wrong in one place, and the rest still leads deep into the
 * reader.
 *
 *	size of the file, 2 bytes: 0 as it should be, else as said
 *	patches: offset, 2 bytes; 1 to 8 bytes, given by the top three
 *	bits of an otherwise ignored byte; the bytes
 *	a patch at 65535: those behind it come when the file was opened,
 *	and found to be sound
 *
 * Numbers are little-endian.
 */
#ifndef CHECKERD_FUZZ_HOSTILE_SEGMENT_H
#define CHECKERD_FUZZ_HOSTILE_SEGMENT_H

#include "fuzz.h"

#include "../unit/fixture_config.h"
#include "topology.h"

#define SEGMENT_RING    4 /* changes and events */
#define SEGMENT_HOSTS   3
#define SEGMENT_HEAD    6 /* the ring went round */
#define SEGMENT_TEXT    "web: a b; spare: c"
#define SEGMENT_OTHER   "web: b d a; new: e; spare: c"
#define SEGMENT_LARGEST 32768
#define SEGMENT_LATE    0xffff

struct bytes {
	unsigned char *data;
	size_t size;
	const uint8_t *late; /* patches */
	size_t late_size;
};

/* As a reader that never saw the writer finds it. */
static inline void hostile_segment_fill(unsigned char *base,
                                        const struct topology *topology)
{
	struct health_header *header = (void *) base;
	uint64_t word = health_word_make(HEALTH_DOWN, HEALTH_AUTO, 0, 0, 256, 3,
	                                 HEALTH_L7STS);

	*header = topology->header;
	header->magic = HEALTH_MAGIC;
	header->stream = 77;
	header->created_at_us = 1700000000000000;
	header->generation = 9;
	header->heartbeat = 100;
	header->event_head = SEGMENT_HEAD;
	header->writer_pid = 4711;
	header->started_at_us = 1700000000000000;
	strcpy(header->version, "0.1.0");
	memcpy(base + header->pools_at, topology->constant,
	       topology->constant_size);
	for (uint32_t i = 0; i < header->pool_count; i++)
		*(uint64_t *) (base + header->pool_words_at +
		               i * HEALTH_WORD_STRIDE) =
			health_pool_word_make(1, 1, 0);
	for (uint32_t i = 0; i < header->host_count; i++) {
		struct health_detail *detail =
			(void *) (base + header->details_at +
		                  i * sizeof(*detail));

		*(uint64_t *) (base + header->words_at +
		               i * HEALTH_WORD_STRIDE) = word;
		detail->lock = 2;
		detail->checked_at_us = header->created_at_us;
		detail->probes = 5;
		detail->weight = 1;
		detail->recorded = 9;
		strcpy(detail->check, "http");
		strcpy(detail->message, "status 503");
		strcpy(detail->reason, "a reason");
		detail->reason_size = 8;
		strcpy(detail->agent_said, "up 50%");
		detail->flags = HEALTH_DETAIL_AGENT;
		for (int k = 0; k < HEALTH_HISTORY; k++)
			detail->history[k] = (struct health_record) {
				.at_us = header->created_at_us,
				.outcome = HEALTH_L7STS,
				.http_status = 503,
				.total_us = 400,
			};
	}
	for (uint64_t g = header->generation; g > 9 - SEGMENT_RING; g--)
		((uint64_t *) (base + header->changes_at))[g % SEGMENT_RING] =
			g << 32 | g % SEGMENT_HOSTS;
	for (uint64_t n = SEGMENT_HEAD; n > SEGMENT_HEAD - SEGMENT_RING; n--) {
		struct health_event *event =
			(void *) (base + header->events_at +
		                  n % SEGMENT_RING * sizeof(*event));

		event->lock = 2 * n;
		event->at_us = header->created_at_us + n;
		event->word = word;
		event->kind = HEALTH_HOST_DOWN;
		event->outcome = HEALTH_L7STS;
		event->to = HEALTH_STATE_DOWN;
		strcpy(event->pool, "web");
		strcpy(event->host_id, "a");
		strcpy(event->upstream, "web");
		strcpy(event->address, "127.0.0.1:1097");
		strcpy(event->reason, "because");
	}
}

static inline void hostile_segment_topology(struct topology *ret,
                                            const char *hosts)
{
	struct fixture_config fixture;

	HOLDS(topology_build(ret, fixture_config(&fixture, hosts), SEGMENT_RING,
	                     SEGMENT_RING) == 0);
}

/* Returns how much of the patches was for now. */
static inline size_t hostile_segment_patch(unsigned char *data,
                                           const uint8_t *patches, size_t size)
{
	size_t at = 0;

	while (at + 3 < size) {
		size_t offset = (size_t) (patches[at] | patches[at + 1] << 8);
		size_t count = (size_t) (patches[at + 2] >> 5) + 1;

		at += 3;
		if (offset == SEGMENT_LATE)
			return at;
		for (; count > 0 && at < size; count--, at++, offset++)
			if (offset < SEGMENT_LARGEST)
				data[offset] = patches[at];
	}
	return size;
}

/* The caller's to free; no data: the input is none. */
static inline struct bytes hostile_segment(const uint8_t *input, size_t size)
{
	struct bytes segment = { 0 };
	struct topology topology;
	size_t wanted, used;

	if (size < 2)
		return segment;
	hostile_segment_topology(&topology, SEGMENT_TEXT);
	segment.size = topology.header.size;
	wanted = (size_t) (input[0] | input[1] << 8);
	if (wanted > 0)
		segment.size =
			wanted < SEGMENT_LARGEST ? wanted : SEGMENT_LARGEST;
	segment.data = calloc(1, SEGMENT_LARGEST);
	HOLDS(segment.data);
	hostile_segment_fill(segment.data, &topology);
	topology_clear(&topology);
	used = 2 + hostile_segment_patch(segment.data, input + 2, size - 2);
	segment.late = input + used;
	segment.late_size = size - used;
	return segment;
}

/* What changes behind the reader's back. */
static inline void hostile_segment_change(struct bytes *segment)
{
	hostile_segment_patch(segment->data, segment->late, segment->late_size);
}

#endif
