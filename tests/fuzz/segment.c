/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A segment of hostile bytes before those who read it for people: opened as
 * checkerctl opens it, walked, looked up in, and shown in each way that there
 * is.  Also what nginx asks: which host is behind which generation.
 *
 * Nothing of it may reach a terminal but text; what programs read is JSON.
 */
#include "hostile_segment.h"
#include "scratch.h"

#include "event_reader.h"
#include "explanation.h"
#include "segment_reader.h"
#include "selection.h"
#include "view.h"
#include "view_json.h"

#include <fcntl.h>

/* Ends a stream and looks at what went into it. */
static void check_text(FILE *stream, char **text, const size_t *size)
{
	HOLDS(fclose(stream) == 0);
	for (size_t i = 0; i < *size; i++) {
		unsigned char byte = (unsigned char) (*text)[i];

		HOLDS(byte == '\n' || (byte >= ' ' && byte < 0x7f));
	}
	free(*text);
}

static void check_json(FILE *stream, char **text, const size_t *size)
{
	json_t *value;

	HOLDS(fclose(stream) == 0);
	value = json_loadb(*text, *size, JSON_REJECT_DUPLICATES, NULL);
	HOLDS(value);
	json_decref(value);
	free(*text);
}

static void show_status(const struct segment_reader *reader,
                        const struct selection *selection)
{
	static const struct terminal terminals[] = { { .columns = 0 },
		                                     { .columns = 40 } };
	struct segment_snapshot segment;
	struct tally tally;
	size_t size;
	char *text;
	FILE *out;

	segment_snapshot(&segment, reader);
	for (int i = 0; i < 2; i++) {
		out = open_memstream(&text, &size);
		view_segment(out, &terminals[i], &segment);
		view_table(out, &terminals[i], selection, 100, &tally);
		check_text(out, &text, &size);
		HOLDS(tally.up <= tally.total);
	}
	out = open_memstream(&text, &size);
	HOLDS(view_json_status(out, &segment, selection, &tally) == 0);
	check_json(out, &text, &size);
}

static void show_hosts(const struct selection *selection)
{
	struct walk walk;
	unsigned count = 0;
	size_t size;
	char *text;
	FILE *out;

	for (walk_begin(&walk, selection); walk_next(&walk);) {
		out = open_memstream(&text, &size);
		view_host(out, &walk.pool, &walk.host);
		check_text(out, &text, &size);
		out = open_memstream(&text, &size);
		HOLDS(view_json_dump(
			      out, view_json_why(&walk.pool, &walk.host)) == 0);
		check_json(out, &text, &size);
		HOLDS(++count <= selection->shm->host_count);
	}
}

static void show_events(const struct health_shm *shm, bool all, uint64_t since)
{
	struct event_reader reader;
	struct health_event event;
	uint64_t number, last = 0;
	unsigned count = 0;
	size_t size;
	char *text;
	FILE *out;

	event_reader_begin(&reader, all, since);
	while (event_reader_next(&reader, shm, &event, &number)) {
		HOLDS(number > last);
		last = number;
		HOLDS(++count <= shm->event_capacity);
		out = open_memstream(&text, &size);
		view_event(out, number, &event);
		check_text(out, &text, &size);
		out = open_memstream(&text, &size);
		HOLDS(view_json_dump(out, view_json_event(number, &event)) ==
		      0);
		check_json(out, &text, &size);
	}
}

static void find(const struct health_shm *shm, const char *name)
{
	char error[SEGMENT_READER_ERROR_SIZE];
	struct selection selection;

	if (selection_find(&selection, shm, name, error) == 0) {
		show_hosts(&selection);
		return;
	}
	HOLDS(strnlen(error, sizeof(error)) < sizeof(error));
	for (const char *at = error; *at; at++)
		HOLDS((unsigned char) *at >= ' ' && *at != 0x7f);
}

static void route(const struct health_shm *shm)
{
	uint64_t generation = health_shm_generation(shm);

	for (uint64_t i = 0; i < 2 * SEGMENT_RING; i++) {
		uint32_t host = health_shm_change(shm, generation - i);

		HOLDS(host == HEALTH_ALL_HOSTS || host < shm->host_count);
	}
	for (uint32_t i = 0; i < shm->host_count; i++) {
		uint64_t word = health_shm_word(shm, i);

		HOLDS(health_word_state(word) < HEALTH_STATE_COUNT);
		for (unsigned status = 0; status < 700; status += 50)
			health_host_fails_with(&shm->hosts[i], status);
	}
}

/* In the file that is mapped. */
static void change(const char *path, struct bytes *bytes)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	HOLDS(fd >= 0);
	hostile_segment_change(bytes);
	HOLDS(pwrite(fd, bytes->data, bytes->size, 0) == (ssize_t) bytes->size);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = hostile_segment(data, size);
	char path[SCRATCH_PATH_SIZE], error[SEGMENT_READER_ERROR_SIZE];
	struct segment_reader reader = { 0 };
	struct selection all;
	int r;

	if (!bytes.data)
		return 0;
	scratch_write(scratch_path(path, "segment"), bytes.data, bytes.size);
	r = segment_reader_open(&reader, path, error);
	HOLDS(r == 0 || r == -EBADMSG);
	if (r == 0)
		change(path, &bytes);
	free(bytes.data);
	if (r < 0)
		return 0;
	HOLDS(segment_reader_refresh(&reader, error) == 0);
	HOLDS(selection_find(&all, &reader.shm, NULL, error) == 0);
	show_status(&reader, &all);
	show_hosts(&all);
	show_events(&reader.shm, true, 0);
	show_events(&reader.shm, false, 4);
	find(&reader.shm, "web");
	find(&reader.shm, "web/b");
	find(&reader.shm, "wbe/a");
	route(&reader.shm);
	segment_reader_close(&reader);
	return 0;
}
