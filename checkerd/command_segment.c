/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The commands that read the segment, so that they work, and say what was
 * last known, while checkerd is stopped, stuck or overloaded.
 */
#include "command.h"

#include "events.h"
#include "view.h"
#include "view_json.h"
#include "watch.h"

#include <errno.h>
#include <limits.h>

/* The segment, and in it what the request names: both or an exit status. */
static int look_up(const struct request *request, struct segment_reader *reader,
                   struct selection *ret)
{
	char error[SEGMENT_READER_ERROR_SIZE];

	if (segment_reader_open(reader, request->segment, error) < 0)
		return command_refuse(NO_ANSWER, "%s", error);
	if (selection_find(ret, &reader->shm, request->operands[0], error) < 0)
		return command_refuse(REFUSED, "%s", error);
	return DONE;
}

int command_status(const struct request *request)
{
	struct segment_reader reader CLEANUP(segment_reader_close) = { 0 };
	struct segment_snapshot segment;
	struct selection selection;
	struct terminal terminal;
	struct tally tally;
	int result;

	result = look_up(request, &reader, &selection);
	if (result != DONE)
		return result;
	segment_snapshot(&segment, &reader);
	if (request->json) {
		if (view_json_status(stdout, &segment, &selection, &tally) < 0)
			return command_out_of_memory();
	} else {
		terminal_measure(&terminal, STDOUT_FILENO);
		view_segment(stdout, &terminal, &segment);
		view_table(stdout, &terminal, &selection, UINT_MAX, &tally);
	}
	if (segment.stale)
		return command_finish(NO_ANSWER);
	return command_finish(tally.up == tally.total ? DONE : NOT_UP);
}

int command_watch(const struct request *request)
{
	int error =
		watch(request->segment, request->operands[0], request->json);

	if (error < 0)
		return command_refuse(REFUSED, "standard output: %s",
		                      strerror(-error));
	return DONE;
}

int command_why(const struct request *request)
{
	struct segment_reader reader CLEANUP(segment_reader_close) = { 0 };
	struct segment_snapshot segment;
	struct selection selection = { 0 };
	struct terminal terminal;
	struct walk walk;
	int result;

	result = look_up(request, &reader, &selection);
	if (result != DONE)
		return result;
	walk_begin(&walk, &selection);
	if (!selection.host_given || !walk_next(&walk))
		return command_refuse(REFUSED, "why: needs POOL/HOST, not a "
		                               "whole pool");
	if (request->json) {
		if (view_json_dump(stdout,
		                   view_json_why(&walk.pool, &walk.host)) < 0)
			return command_out_of_memory();
		putchar('\n');
		return command_finish(DONE);
	}
	segment_snapshot(&segment, &reader);
	if (segment.stale) {
		terminal_measure(&terminal, STDOUT_FILENO);
		view_segment(stdout, &terminal, &segment);
	}
	view_host(stdout, &walk.pool, &walk.host);
	return command_finish(DONE);
}

int command_events(const struct request *request)
{
	const struct events_options how = {
		.json = request->json,
		.since_given = request->since_given,
		.since = request->since,
	};
	char error[SEGMENT_READER_ERROR_SIZE];
	int result;

	if (request->follow) {
		result = events_follow(request->segment, &how);
		return command_refuse(REFUSED, "standard output: %s",
		                      strerror(-result));
	}
	result = events_print(request->segment, &how, error);
	if (result == -ENOMEM)
		return command_out_of_memory();
	if (result < 0)
		return command_refuse(NO_ANSWER, "%s", error);
	return command_finish(DONE);
}
