/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "clock.h"
#include "fixture_config.h"
#include "segment_draft.h"
#include "segment_writer.h"
#include "topology.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UP   health_word_make(HEALTH_UP, HEALTH_AUTO, 1, 0, 256, 0, HEALTH_L7OK)
#define DOWN health_word_make(HEALTH_DOWN, HEALTH_AUTO, 0, 0, 256, 3, HEALTH_L7STS)

struct place {
	char directory[64];
	char path[96];
};

static int setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->directory, "/tmp/checkerd-test-XXXXXX");
	assert_non_null(mkdtemp(place->directory));
	snprintf(place->path, sizeof(place->path), "%s/health.shm",
	         place->directory);
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", place->directory);
	assert_int_equal(system(command), 0);
	free(place);
	return 0;
}

static struct segment_writer *open_writer(const struct place *place)
{
	struct segment_writer *writer = NULL;
	pid_t holder;

	assert_int_equal(segment_writer_new(&writer, place->path, 0644, &holder),
	                 0);
	return writer;
}

static int draft(struct segment_draft **ret, struct segment_writer *writer,
                 const char *text)
{
	struct fixture_config fixture;
	struct topology topology;
	int r;

	assert_int_equal(topology_build(&topology, fixture_config(&fixture, text),
	                                64, 16),
	                 0);
	r = segment_draft_new(ret, writer, &topology);
	topology_clear(&topology);
	return r;
}

/* The hosts of a draft go on as they are. */
static void carry(struct segment_draft *draft, uint32_t hosts)
{
	struct health_detail detail;

	for (uint32_t i = 0; i < hosts; i++) {
		uint64_t word = segment_draft_recall(draft, i, &detail);

		segment_draft_set(draft, i, word, &detail);
	}
}

static enum segment_fate install(struct segment_writer *writer, const char *text)
{
	struct segment_draft *next;
	enum segment_fate fate;

	assert_int_equal(draft(&next, writer, text), 0);
	fate = segment_draft_fate(next);
	assert_int_equal(segment_writer_activate(writer, next), 0);
	segment_draft_free(next);
	return fate;
}

static struct segment_writer *start(const struct place *place, const char *text)
{
	struct segment_writer *writer = open_writer(place);

	install(writer, text);
	return writer;
}

static void map(const struct place *place, struct health_shm *shm)
{
	struct stat st;
	int fd = open(place->path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_null(health_shm_attach(shm,
	                              mmap(NULL, (size_t) st.st_size, PROT_READ,
	                                   MAP_SHARED, fd, 0),
	                              (uint64_t) st.st_size));
	close(fd);
}

static void unmap(struct health_shm *shm)
{
	munmap((void *) shm->base, shm->size);
}

static uint64_t publish(struct segment_writer *writer, uint32_t host,
                        uint64_t word, const char *event_id)
{
	struct health_event event = { .at_us = 7, .kind = HEALTH_HOST_DOWN };

	if (event_id)
		strcpy(event.host_id, event_id);
	return segment_writer_publish(
	        writer, &(struct segment_change) {
	                        .host = host,
	                        .word = word,
	                        .event = event_id ? &event : NULL });
}

static void a_new_segment_names_its_hosts(void **state)
{
	struct segment_writer *writer = start(*state, "one: a b; two: c");
	struct health_shm shm;
	struct stat st;

	map(*state, &shm);
	assert_int_equal(shm.pool_count, 2);
	assert_int_equal(shm.host_count, 3);
	assert_string_equal(health_shm_text(&shm, shm.pools[1].name).data, "two");
	assert_string_equal(health_shm_text(&shm, shm.hosts[2].id).data, "c");
	assert_string_equal(health_shm_text(&shm, shm.hosts[2].address).data,
	                    "127.0.0.1:1099");
	assert_int_equal(shm.hosts[2].family, HEALTH_IPV4);
	assert_int_equal(shm.hosts[2].port, 1099);
	assert_int_equal(health_shm_word(&shm, 0), 0);
	assert_int_equal(stat(((struct place *) *state)->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	unmap(&shm);
	segment_writer_free(writer);
}

static void nobody_sees_a_segment_before_it_is_activated(void **state)
{
	struct segment_writer *writer = open_writer(*state);
	const struct health_detail detail = { .probes = 42 };
	struct segment_draft *next;

	assert_int_equal(draft(&next, writer, "one: a"), 0);
	assert_int_equal(segment_draft_fate(next), SEGMENT_CREATED);
	assert_int_equal(access(((struct place *) *state)->path, F_OK), -1);
	segment_draft_set(next, 0, UP, &detail);
	assert_int_equal(segment_writer_activate(writer, next), 0);
	assert_int_equal(access(((struct place *) *state)->path, F_OK), 0);
	assert_int_equal(health_shm_word(segment_writer_shm(writer), 0), UP);
	assert_int_equal(segment_writer_detail(writer, 0)->probes, 42);
	segment_draft_free(next);
	segment_writer_free(writer);
}

static void the_generation_moves_only_with_what_routes(void **state)
{
	struct segment_writer *writer = start(*state, "one: a b");
	struct health_shm shm;
	uint64_t before;

	map(*state, &shm);
	publish(writer, 1, UP, NULL);
	before = health_shm_generation(&shm);
	publish(writer, 1,
	        health_word_make(HEALTH_UP, HEALTH_AUTO, 1, 0, 256, 1,
	                         HEALTH_L7STS),
	        NULL);
	assert_int_equal(health_shm_generation(&shm), before);
	publish(writer, 1, DOWN, "b");
	assert_int_equal(health_shm_generation(&shm), before + 1);
	assert_int_equal(health_shm_change(&shm, before + 1), 1);
	assert_int_equal(health_shm_change(&shm, before + 2), HEALTH_ALL_HOSTS);
	assert_int_equal(health_shm_event_head(&shm), 1);
	unmap(&shm);
	segment_writer_free(writer);
}

static void old_events_give_way_and_are_known_to_be_lost(void **state)
{
	struct segment_writer *writer = start(*state, "one: a");
	const struct health_shm *shm = segment_writer_shm(writer);
	struct health_event event;

	for (int i = 0; i < 20; i++)
		publish(writer, 0, i % 2 ? UP : DOWN, "a");
	assert_int_equal(health_shm_event_head(shm), 20);
	assert_int_equal(health_shm_event_tail(shm, 20), 6);
	assert_false(health_shm_event(shm, 4, &event));
	assert_true(health_shm_event(shm, 6, &event));
	assert_true(health_shm_event(shm, 20, &event));
	assert_false(health_shm_event(shm, 21, &event));
	segment_writer_free(writer);
}

static void a_restart_adopts_the_same_file(void **state)
{
	struct segment_writer *writer = start(*state, "one: a b");
	struct health_shm shm;
	uint64_t generation;

	map(*state, &shm);
	publish(writer, 1, DOWN, "b");
	segment_writer_edit(writer, 1)->probes = 42;
	segment_writer_commit(writer);
	generation = health_shm_generation(&shm);
	segment_writer_free(writer);

	writer = open_writer(*state);
	assert_int_equal(install(writer, "one: a b"), SEGMENT_ADOPTED);
	assert_int_equal(health_shm_word(&shm, 1), DOWN);
	assert_int_equal(segment_writer_detail(writer, 1)->probes, 42);
	assert_int_equal(health_shm_generation(&shm), generation + 1);
	assert_int_equal(health_shm_change(&shm, generation + 1),
	                 HEALTH_ALL_HOSTS);
	unmap(&shm);
	segment_writer_free(writer);
}

static void another_topology_supersedes_and_carries_over(void **state)
{
	struct segment_writer *writer = start(*state, "one: a b; two: c");
	struct segment_draft *next;
	struct health_shm old, new;
	struct health_event event;

	map(*state, &old);
	publish(writer, 1, DOWN, "b");
	publish(writer, 2, DOWN, "c");
	segment_writer_edit(writer, 1)->probes = 42;
	segment_writer_commit(writer);
	assert_int_equal(draft(&next, writer, "one: x b"), 0);
	assert_int_equal(segment_draft_fate(next), SEGMENT_REPLACED);
	assert_int_equal(segment_draft_origin(next, 0), HEALTH_ALL_HOSTS);
	assert_int_equal(segment_draft_origin(next, 1), 1);
	assert_int_equal(segment_draft_heir(next, 0), HEALTH_ALL_HOSTS);
	carry(next, 2);
	assert_false(health_shm_generation(&old) & HEALTH_SUPERSEDED);
	assert_int_equal(segment_writer_activate(writer, next), 0);
	segment_draft_free(next);
	assert_true(health_shm_generation(&old) & HEALTH_SUPERSEDED);

	map(*state, &new);
	assert_int_equal(new.stream, old.stream);
	assert_true(old.stream != 0);
	assert_int_equal(segment_writer_shm(writer)->stream, old.stream);
	assert_int_equal(health_shm_word(&new, 0), 0);
	assert_int_equal(health_shm_word(&new, 1), DOWN);
	assert_int_equal(segment_writer_detail(writer, 1)->probes, 42);
	assert_true(health_shm_event(&new, 1, &event));
	assert_int_equal(event.host, 1);
	assert_string_equal(event.host_id, "b");
	assert_true(health_shm_event(&new, 2, &event));
	assert_int_equal(event.host, HEALTH_ALL_HOSTS);
	assert_int_equal(publish(writer, 1, UP, "b"), 3);
	unmap(&old);
	unmap(&new);
	segment_writer_free(writer);
}

/* Probes go on while a draft is made. */
/* Descriptors of files that have no name any more. */
static int held(void)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;
	int count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory))) {
		char name[4096] = "";

		if (readlinkat(dirfd(directory), entry->d_name, name,
		               sizeof(name) - 1) > 0 &&
		    strstr(name, "health.shm") && strstr(name, "(deleted)"))
			count++;
	}
	closedir(directory);
	return count;
}

/* So that no reader is the last and frees it. */
static void a_superseded_file_is_held_for_its_readers(void **state)
{
	struct segment_writer *writer =
		start(*state, "[pool web]\nserver = 10.0.0.1:80\n");
	uint64_t now_us = monotonic_us();

	assert_int_equal(held(), 0);
	install(writer, "[pool web]\nserver = 10.0.0.2:80\n");
	assert_int_equal(held(), 1);
	install(writer, "[pool web]\nserver = 10.0.0.3:80\n");
	assert_int_equal(held(), 1);
	segment_writer_beat(writer, now_us + 4 * USEC_PER_SEC);
	assert_int_equal(held(), 1);
	segment_writer_beat(writer, now_us + 60 * USEC_PER_SEC);
	while (held()) /* a thread's work */
		usleep(100);
	install(writer, "[pool web]\nserver = 10.0.0.4:80\n");
	assert_int_equal(held(), 1);
	segment_writer_free(writer);
	assert_int_equal(held(), 0);
}

static void who_changed_since_a_draft_looked_is_looked_at_again(void **state)
{
	struct segment_writer *writer = start(*state, "one: a b c; two: d");
	struct health_detail detail;
	struct segment_draft *next;
	struct health_event event;
	uint32_t at = 0;

	publish(writer, 1, UP, NULL);
	assert_int_equal(draft(&next, writer, "one: d c b; two: d"), 0);
	carry(next, 4);
	assert_int_equal(segment_draft_touched(next, &at), HEALTH_ALL_HOSTS);

	publish(writer, 1, DOWN, "b"); /* a new word */
	segment_writer_edit(writer, 2)->probes = 42; /* a new detail */
	segment_writer_commit(writer);
	publish(writer, 0, DOWN, NULL); /* of one that goes */
	at = 0;
	assert_int_equal(segment_draft_touched(next, &at), 2);
	assert_int_equal(segment_draft_recall(next, 2, &detail), DOWN);
	segment_draft_set(next, 2, DOWN, &detail);
	assert_int_equal(segment_draft_touched(next, &at), 1);
	segment_draft_recall(next, 1, &detail);
	assert_int_equal(detail.probes, 42);
	segment_draft_set(next, 1, 0, &detail);
	assert_int_equal(segment_draft_touched(next, &at), HEALTH_ALL_HOSTS);

	assert_int_equal(segment_writer_activate(writer, next), 0);
	segment_draft_free(next);
	assert_int_equal(health_shm_word(segment_writer_shm(writer), 2), DOWN);
	assert_int_equal(segment_writer_detail(writer, 1)->probes, 42);
	assert_true(health_shm_event(segment_writer_shm(writer), 1, &event));
	assert_int_equal(event.host, 2);
	segment_writer_free(writer);
}

/* Killed, or ended, in the middle of making it. */
static void a_draft_that_does_not_come_into_force_leaves_nothing(void **state)
{
	struct segment_writer *writer = start(*state, "one: a");
	struct segment_draft *next;
	char path[128];

	snprintf(path, sizeof(path), "%s.new", ((struct place *) *state)->path);
	assert_int_equal(draft(&next, writer, "one: a b"), 0);
	assert_int_equal(access(path, F_OK), 0);
	segment_draft_free(next);
	assert_int_equal(access(path, F_OK), -1);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	segment_writer_free(writer);
	assert_int_equal(access(path, F_OK), -1);
	writer = open_writer(*state);
	assert_int_equal(install(writer, "one: a"), SEGMENT_ADOPTED);
	segment_writer_free(writer);
}

/* Killed right after the event was written: nothing else had happened. */
static void an_interrupted_transition_is_completed(void **state)
{
	struct segment_writer *writer = start(*state, "one: a b");
	struct health_event *slot, event;
	const struct health_shm *shm;

	publish(writer, 1, UP, NULL);
	publish(writer, 1, DOWN, "b");
	shm = segment_writer_shm(writer);
	slot = (struct health_event *) &shm->events[2];
	*slot = shm->events[1];
	slot->word = UP;
	slot->kind = HEALTH_HOST_UP;
	slot->lock = 2 * 2;
	segment_writer_free(writer);

	writer = open_writer(*state);
	assert_int_equal(install(writer, "one: a b"), SEGMENT_ADOPTED);
	shm = segment_writer_shm(writer);
	assert_int_equal(segment_writer_told(writer), 1);
	assert_int_equal(health_shm_event_head(shm), 2);
	assert_true(health_shm_event(shm, 2, &event));
	assert_int_equal(health_shm_word(shm, 1), UP);
	segment_writer_free(writer);
}

/* Killed while the event was being written: it never happened. */
static void a_half_written_event_never_happened(void **state)
{
	struct segment_writer *writer = start(*state, "one: a");
	const struct health_shm *shm = segment_writer_shm(writer);

	publish(writer, 0, DOWN, "a");
	((struct health_event *) &shm->events[2])->lock = 2 * 2 + 1;
	segment_writer_free(writer);

	writer = open_writer(*state);
	assert_int_equal(install(writer, "one: a"), SEGMENT_ADOPTED);
	shm = segment_writer_shm(writer);
	assert_int_equal(segment_writer_told(writer), 1);
	assert_int_equal(health_shm_event_head(shm), 1);
	assert_int_equal(publish(writer, 0, UP, "a"), 2);
	segment_writer_free(writer);
}

/* Damaged: nobody could say what it means. */
static void an_event_of_no_known_kind_never_happened(void **state)
{
	static const uint16_t kinds[] = { 0, HEALTH_EVENT_KIND_COUNT,
		                          UINT16_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct segment_writer *writer = start(*state, "one: a");
		const struct health_shm *shm = segment_writer_shm(writer);
		uint64_t number = health_shm_event_head(shm) + 1;
		struct health_event *slot =
			(struct health_event *) &shm->events[number];

		*slot = (struct health_event) { .lock = 2 * number,
			                        .kind = kinds[i],
			                        .word = DOWN };
		segment_writer_free(writer);

		writer = open_writer(*state);
		assert_int_equal(install(writer, "one: a"), SEGMENT_ADOPTED);
		shm = segment_writer_shm(writer);
		assert_int_equal(health_shm_event_head(shm), number - 1);
		assert_int_equal(publish(writer, 0, UP, "a"), number);
		segment_writer_free(writer);
	}
}

static void count(void *owner)
{
	++*(unsigned *) owner;
}

static void who_wants_to_know_of_events_is_called(void **state)
{
	struct segment_writer *writer = start(*state, "one: a");
	unsigned calls = 0;

	segment_writer_on_event(writer, count, &calls);
	publish(writer, 0, DOWN, "a");
	assert_int_equal(calls, 1);
	publish(writer, 0, UP, NULL);
	assert_int_equal(calls, 1);
	segment_writer_free(writer);
}

/* Killed in the middle of a detail: the journal has it whole. */
static void a_half_written_detail_is_completed(void **state)
{
	struct segment_writer *writer = start(*state, "one: a b");
	const struct health_shm *shm = segment_writer_shm(writer);
	struct health_detail *half, detail;

	segment_writer_edit(writer, 0)->probes = 42;
	segment_writer_commit(writer);
	half = (struct health_detail *) &shm->details[0];
	half->lock |= 1;
	half->probes = 7;
	assert_false(health_shm_detail(shm, 0, &detail));
	segment_writer_free(writer);

	writer = start(*state, "one: a b");
	assert_true(health_shm_detail(segment_writer_shm(writer), 0, &detail));
	assert_int_equal(detail.probes, 42);
	segment_writer_free(writer);
}

static void a_second_writer_learns_who_holds_the_segment(void **state)
{
	struct segment_writer *writer = start(*state, "one: a"), *second;
	struct place *place = *state;
	pid_t holder;

	assert_int_equal(segment_writer_new(&second, place->path, 0644, &holder),
	                 -EBUSY);
	assert_int_equal(holder, getpid());
	segment_writer_free(writer);
	assert_int_equal(segment_writer_new(&second, place->path, 0644, &holder),
	                 0);
	segment_writer_free(second);
}

static void a_missing_directory_is_an_error(void **state)
{
	struct segment_writer *writer;
	pid_t holder;

	(void) state;
	assert_int_equal(segment_writer_new(&writer, "/nonexistent/health.shm",
	                                    0644, &holder),
	                 -ENOENT);
}

static void a_full_disk_leaves_the_old_segment_in_force(void **state)
{
	struct segment_writer *writer = start(*state, "one: a");
	struct rlimit old, none = { 4096, 4096 };
	struct segment_draft *next;
	struct health_shm shm;

	map(*state, &shm);
	publish(writer, 0, DOWN, "a");
	/* What a full disk answers, from a limit that can be set here. */
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	none.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &none);
	assert_int_equal(draft(&next, writer, "one: a b"), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_false(health_shm_generation(&shm) & HEALTH_SUPERSEDED);
	publish(writer, 0, UP, "a");
	assert_int_equal(health_shm_word(&shm, 0), UP);
	unmap(&shm);
	segment_writer_free(writer);
}

static void what_is_no_segment_is_replaced(void **state)
{
	static const struct {
		const char *content;
		const char *why;
	} rows[] = {
		{ "", "too small" },
		{ "not a segment", "too small" },
	};
	struct place *place = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct segment_writer *writer;
		FILE *file = fopen(place->path, "w");

		fputs(rows[i].content, file);
		fclose(file);
		writer = open_writer(place);
		assert_string_equal(segment_writer_rejected(writer),
		                    rows[i].why);
		assert_int_equal(install(writer, "one: a"), SEGMENT_CREATED);
		segment_writer_free(writer);
		unlink(place->path);
	}
}

/* Sound at first sight: numbers that would soon wrap, parts over parts. */
static void numbers_and_parts_that_cannot_be_ours_are_refused(void **state)
{
	static const struct {
		size_t offset;
		uint64_t value;
		const char *why;
	} rows[] = {
		{ offsetof(struct health_header, event_head), UINT64_MAX,
		  "numbers out of bounds" },
		{ offsetof(struct health_header, event_head),
		  HEALTH_MAX_NUMBER - 1, "numbers out of bounds" },
		{ offsetof(struct health_header, generation),
		  HEALTH_SUPERSEDED - 1, "numbers out of bounds" },
		{ offsetof(struct health_header, words_at), 4096,
		  "parts that overlap" },
		{ offsetof(struct health_header, events_at), 4096,
		  "parts that overlap" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct segment_writer *writer = start(*state, "one: a b");
		unsigned char *base = (unsigned char *)
		        segment_writer_shm(writer)->header;

		memcpy(base + rows[i].offset, &rows[i].value, 8);
		segment_writer_free(writer);
		writer = open_writer(*state);
		assert_string_equal(segment_writer_rejected(writer),
		                    rows[i].why);
		assert_int_equal(install(writer, "one: a"), SEGMENT_CREATED);
		segment_writer_free(writer);
	}
}

/* Every byte of the header's constants, broken in every bit: attach refuses
 * or what it accepts can be walked without leaving the file. */
static void a_flipped_bit_never_leads_out_of_the_file(void **state)
{
	struct segment_writer *writer = start(*state, "one: a b; two: c");
	const struct health_shm *good = segment_writer_shm(writer);
	uint64_t size = good->size;
	unsigned char *copy = aligned_alloc(64, size);
	uint64_t end = good->header->pool_words_at;
	struct health_shm shm;

	for (uint64_t bit = 0; bit < end * 8; bit++) {
		/* between the constants and the pools nothing is trusted */
		if (bit / 8 >= offsetof(struct health_header, reserved5) &&
		    bit / 8 < sizeof(struct health_header))
			continue;
		memcpy(copy, good->base, size);
		copy[bit / 8] ^= (unsigned char) (1 << bit % 8);
		if (health_shm_attach(&shm, copy, size))
			continue;
		for (uint32_t i = 0; i < shm.host_count; i++) {
			health_shm_text(&shm, shm.hosts[i].id);
			health_shm_text(&shm, shm.hosts[i].address);
			health_shm_word(&shm, i);
			health_shm_pool_word(&shm, shm.hosts[i].pool);
		}
		for (uint64_t g = 0; g < 70; g++)
			health_shm_change(&shm, g);
	}
	free(copy);
	segment_writer_free(writer);
}

static void lateness_falls_into_the_bucket_that_covers_it(void **state)
{
	(void) state;
	for (uint64_t us = 0; us < 100000; us++) {
		unsigned bucket = health_lateness_bucket(us);

		assert_true(health_lateness_bound_us(bucket) <= us);
		assert_true(us < health_lateness_bound_us(bucket + 1));
	}
	assert_int_equal(health_lateness_bucket(UINT64_MAX), HEALTH_LATENESS - 1);
}

#define story(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(a_new_segment_names_its_hosts),
		story(nobody_sees_a_segment_before_it_is_activated),
		story(the_generation_moves_only_with_what_routes),
		story(old_events_give_way_and_are_known_to_be_lost),
		story(a_restart_adopts_the_same_file),
		story(another_topology_supersedes_and_carries_over),
		story(a_superseded_file_is_held_for_its_readers),
		story(who_changed_since_a_draft_looked_is_looked_at_again),
		story(a_draft_that_does_not_come_into_force_leaves_nothing),
		story(an_interrupted_transition_is_completed),
		story(a_half_written_event_never_happened),
		story(an_event_of_no_known_kind_never_happened),
		story(who_wants_to_know_of_events_is_called),
		story(a_half_written_detail_is_completed),
		story(a_second_writer_learns_who_holds_the_segment),
		story(a_missing_directory_is_an_error),
		story(a_full_disk_leaves_the_old_segment_in_force),
		story(what_is_no_segment_is_replaced),
		story(numbers_and_parts_that_cannot_be_ours_are_refused),
		story(a_flipped_bit_never_leads_out_of_the_file),
		cmocka_unit_test(lateness_falls_into_the_bucket_that_covers_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
