/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who reads the segment, and how far behind they are.
 */
#include "api_private.h"

#include "clock.h"
#include "readers.h"
#include "time_text.h"

#include <stdio.h>

/* 1022001 is 1.22.1 */
static json_t *version_of(const struct reader *reader)
{
	return json_sprintf("%u.%u.%u", reader->version / 1000000,
	                    reader->version / 1000 % 1000,
	                    reader->version % 1000);
}

static json_t *reader_document(const struct reader *reader, uint64_t head,
                               uint64_t now_us)
{
	uint64_t ago_us = now_us - reader->seen_us;
	char seen_at[TIME_TEXT_SIZE];

	time_text_utc(realtime_us() - ago_us, seen_at);
	return json_pack(
		"{sI so sI sI ss}", "pid", (json_int_t) reader->pid, "nginx",
		version_of(reader), "seq", (json_int_t) reader->seq, "behind",
		(json_int_t) (head > reader->seq ? head - reader->seq : 0),
		"seen_at", seen_at);
}

void api_get_readers(struct api *api, struct http_request *request,
                     const struct path_arguments *arguments)
{
	struct readers *readers = api->readers;
	uint64_t head = health_shm_event_head(segment_writer_shm(api->writer));
	uint64_t now_us = monotonic_us();
	json_t *list = json_array();

	(void) arguments;
	readers_forget(readers, now_us);
	for (uint32_t i = 0; i < readers->count; i++)
		json_array_append_new(
			list,
			reader_document(&readers->readers[i], head, now_us));
	api_reply_json(request, 200, NULL, json_pack("{so}", "readers", list));
}
