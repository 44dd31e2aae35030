/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A segment of hostile bytes where the daemon expects its own: it adopts the
 * file, or says why not and begins anew, for the same hosts and for others.
 * Either way what readers find from then on is sound, and a transition can be
 * published and found again.
 */
#include "hostile_segment.h"
#include "scratch.h"

#include "segment_draft.h"
#include "segment_reader.h"
#include "segment_writer.h"

/* What every reader may rely on, and the daemon too. */
static void check_sound(const struct health_shm *shm)
{
	struct health_detail detail;

	for (uint32_t i = 0; i < shm->host_count; i++) {
		uint64_t word = health_shm_word(shm, i);

		HOLDS(health_word_verdict(word) <= HEALTH_DOWN);
		HOLDS(health_word_admin(word) <= HEALTH_ADMIN_DRAIN);
		HOLDS(health_word_outcome(word) < HEALTH_OUTCOME_COUNT);
		HOLDS(!health_word_routable(word) ||
		      health_word_weight(word) > 0);
		HOLDS(health_shm_detail(shm, i, &detail));
		HOLDS(memcmp(detail.message, shm->details[i].message,
		             sizeof(detail.message)) == 0);
		HOLDS(detail.reason_size < sizeof(detail.reason));
	}
	HOLDS(!(health_shm_generation(shm) & HEALTH_SUPERSEDED));
}

static void check_publish(struct segment_writer *writer, const char *path)
{
	uint64_t word = health_word_make(HEALTH_UP, HEALTH_AUTO, 1, 0, 256, 0,
	                                 HEALTH_L7OK);
	struct health_event event = { .kind = HEALTH_HOST_UP, .host_id = "b" },
			    found;
	const struct segment_change change = {
		.host = 1, .word = word, .pool_word = 7, .event = &event
	};
	struct segment_reader reader = { 0 };
	char error[SEGMENT_READER_ERROR_SIZE];
	uint64_t number;

	strcpy(segment_writer_edit(writer, 1)->message, "it passed");
	segment_writer_commit(writer);
	number = segment_writer_publish(writer, &change);
	segment_writer_beat(writer, 1);

	HOLDS(segment_reader_open(&reader, path, error) == 0);
	check_sound(&reader.shm);
	HOLDS(health_shm_word(&reader.shm, 1) == word);
	HOLDS(health_shm_event_head(&reader.shm) == number);
	HOLDS(health_shm_event(&reader.shm, number, &found));
	HOLDS(strcmp(found.host_id, "b") == 0);
	HOLDS(strcmp(reader.shm.details[1].message, "it passed") == 0);
	segment_reader_close(&reader);
}

/* Everything as it was. */
static void fill_in(struct segment_draft *draft)
{
	const struct health_shm *shm = segment_draft_shm(draft);
	struct health_detail detail;

	for (uint32_t i = 0; i < shm->host_count; i++) {
		uint64_t word = segment_draft_recall(draft, i, &detail);

		segment_draft_set(draft, i, word, &detail);
	}
	for (uint32_t i = 0; i < shm->pool_count; i++)
		segment_draft_set_pool(draft, i,
		                       segment_draft_recall_pool(draft, i));
}

static void adopt(const struct bytes *bytes, const char *hosts)
{
	struct segment_writer *writer;
	struct segment_draft *draft;
	struct topology topology;
	char path[SCRATCH_PATH_SIZE];
	enum segment_fate fate;
	uint64_t told;
	pid_t holder;

	scratch_write(scratch_path(path, "segment"), bytes->data, bytes->size);
	HOLDS(segment_writer_new(&writer, path, 0600, &holder) == 0);
	told = segment_writer_told(writer);
	hostile_segment_topology(&topology, hosts);
	HOLDS(segment_draft_new(&draft, writer, &topology) == 0);
	fate = segment_draft_fate(draft);
	if (segment_writer_rejected(writer))
		HOLDS(fate == SEGMENT_CREATED && told == 0);
	if (fate != SEGMENT_ADOPTED)
		fill_in(draft);
	check_sound(segment_draft_shm(draft));
	for (uint32_t i = 0; i < segment_writer_shm(writer)->host_count; i++) {
		uint32_t now = segment_draft_heir(draft, i);

		HOLDS(fate != SEGMENT_REPLACED || now == HEALTH_ALL_HOSTS ||
		      now < segment_draft_shm(draft)->host_count);
	}
	HOLDS(segment_writer_activate(writer, draft) == 0);
	segment_draft_free(draft);
	HOLDS(health_shm_event_head(segment_writer_shm(writer)) >= told);
	check_publish(writer, path);
	segment_writer_free(writer);
	topology_clear(&topology);
	unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = hostile_segment(data, size);

	if (!bytes.data)
		return 0;
	adopt(&bytes, SEGMENT_TEXT);
	adopt(&bytes, SEGMENT_OTHER);
	free(bytes.data);
	return 0;
}
