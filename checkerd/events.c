/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Events from the ring.  Following means looking again a few times a second:
 * the writer makes no system call for its readers, so nothing could wake us.
 *
 * Documents and lines of events go to standard output, and nothing else does;
 * how many were lost is part of the document, or goes to standard error.
 */
#include "events.h"

#include "event_reader.h"
#include "view.h"
#include "view_json.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#define LOOK_EVERY_MS 150

static int print_event(const struct events_options *options, uint64_t number,
                       const struct health_event *event)
{
	int error;

	if (!options->json) {
		view_event(stdout, number, event);
		return 0;
	}
	error = view_json_dump(stdout, view_json_event(number, event));
	fputc('\n', stdout);
	return error;
}

static void tell_lost(uint64_t lost)
{
	fprintf(stderr,
	        "checkerctl: %" PRIu64 " events lost: the ring had gone on\n",
	        lost);
}

/* {"events":[...],"lost":N} */
static int print_document(struct event_reader *events,
                          const struct health_shm *shm)
{
	struct health_event event;
	const char *comma = "";
	uint64_t number;

	fputs("{\"events\":[", stdout);
	while (event_reader_next(events, shm, &event, &number)) {
		fputs(comma, stdout);
		if (view_json_dump(stdout, view_json_event(number, &event)) < 0)
			return -ENOMEM;
		comma = ",";
	}
	printf("],\"lost\":%" PRIu64 "}\n", events->lost);
	return 0;
}

int events_print(const char *path, const struct events_options *options,
                 char *ret_error)
{
	struct segment_reader reader CLEANUP(segment_reader_close) = { 0 };
	struct event_reader events;
	struct health_event event;
	uint64_t number;
	int error;

	error = segment_reader_open(&reader, path, ret_error);
	if (error < 0)
		return error;
	event_reader_begin(&events, !options->since_given, options->since);
	if (options->json)
		return print_document(&events, &reader.shm);
	while (event_reader_next(&events, &reader.shm, &event, &number))
		view_event(stdout, number, &event);
	if (events.lost > 0)
		tell_lost(events.lost);
	return 0;
}

/* Says so once when there is no segment, or none any more. */
static void attend(struct segment_reader *reader, bool *waiting)
{
	char error[SEGMENT_READER_ERROR_SIZE];
	int result;

	result = reader->base == NULL
	                 ? segment_reader_open(reader, reader->path, error)
	                 : segment_reader_refresh(reader, error);
	if (result < 0 && !*waiting)
		fprintf(stderr, "checkerctl: waiting: %s\n", error);
	*waiting = result < 0;
}

int events_follow(const char *path, const struct events_options *options)
{
	static const struct timespec pause = {
		.tv_nsec = LOOK_EVERY_MS * 1000000L,
	};
	struct segment_reader reader = { .path = path };
	struct event_reader events;
	struct health_event event;
	uint64_t number, told = 0;
	bool waiting = false;

	event_reader_begin(&events, !options->since_given, options->since);
	for (;; nanosleep(&pause, NULL)) {
		attend(&reader, &waiting);
		if (reader.base == NULL)
			continue;
		while (event_reader_next(&events, &reader.shm, &event, &number))
			if (print_event(options, number, &event) < 0)
				return -ENOMEM;
		if (events.lost > told)
			tell_lost(events.lost - told);
		told = events.lost;
		if (fflush(stdout) != 0)
			return -errno;
	}
}
