/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The segment as plain structs.  health_shm_attach() checked the topology,
 * but in a file that somebody else may still be writing to; what is used as
 * an index is therefore loaded once and checked again here.
 */
#include "snapshot.h"

#include "clock.h"

static struct health_text text_at(const struct health_shm *shm, uint32_t offset)
{
	struct health_text text = { "", 0 };
	uint64_t left;

	if (offset < shm->strings_size) {
		left = shm->strings_size - offset;
		text.data = shm->strings + offset;
		text.size = strnlen(text.data, left < HEALTH_NAME_SIZE
		                                       ? (size_t) left
		                                       : HEALTH_NAME_SIZE - 1);
	}
	return text;
}

void segment_snapshot(struct segment_snapshot *ret,
                      const struct segment_reader *reader)
{
	const struct health_header *header = reader->shm.header;
	uint64_t beat_us, now_us;

	/* The clock is read last, so that a live beat is never in the future:
	 * one that is comes from before a reboot. */
	beat_us = health_load(&header->heartbeat_mono_us);
	now_us = monotonic_us();

	ret->path = reader->path;
	ret->generation =
		health_shm_generation(&reader->shm) & ~HEALTH_SUPERSEDED;
	ret->heartbeat_age_us = beat_us == 0 || beat_us > now_us
	                                ? SNAPSHOT_AGE_UNKNOWN
	                                : now_us - beat_us;
	ret->stale = ret->heartbeat_age_us > SNAPSHOT_STALE_US;
	ret->writer_pid = health_load(&header->writer_pid);
	ret->started_at_us = health_load(&header->started_at_us);
}

void pool_snapshot(struct pool_snapshot *ret, const struct health_shm *shm,
                   uint32_t pool)
{
	struct health_pool copy = shm->pools[pool];
	uint64_t word = health_shm_pool_word(shm, pool);

	if (copy.first_host > shm->host_count ||
	    copy.host_count > shm->host_count - copy.first_host)
		copy.host_count = 0;
	ret->name = text_at(shm, copy.name);
	ret->upstream = text_at(shm, copy.upstream);
	ret->first_host = copy.first_host;
	ret->host_count = copy.host_count;
	ret->priority = copy.priority;
	ret->balance = copy.balance;
	ret->up = health_pool_word_up(word);
	ret->panic = (word & HEALTH_POOL_PANIC) != 0;
}

void host_snapshot(struct host_snapshot *ret, const struct health_shm *shm,
                   uint32_t host)
{
	struct health_detail *detail = &ret->detail;
	const struct health_record *newest;

	ret->id = text_at(shm, shm->hosts[host].id);
	ret->address = text_at(shm, shm->hosts[host].address);
	ret->word = health_shm_word(shm, host);
	ret->state = health_word_state(ret->word);
	ret->detail_known = health_shm_detail(shm, host, detail) != 0;
	if (!ret->detail_known)
		memset(detail, 0, sizeof(*detail));
	if (detail->reason_size > strlen(detail->reason))
		detail->reason_size = (uint16_t) strlen(detail->reason);

	ret->history_count = detail->recorded < HEALTH_HISTORY
	                             ? detail->recorded
	                             : HEALTH_HISTORY;
	ret->last = NULL;
	if (ret->history_count > 0) {
		newest = host_snapshot_record(ret, 0);
		if (newest->outcome == health_word_outcome(ret->word))
			ret->last = newest;
	}
}

const struct health_record *
host_snapshot_record(const struct host_snapshot *host, uint32_t age)
{
	uint32_t number = host->detail.recorded - 1 - age;

	return &host->detail.history[number % HEALTH_HISTORY];
}
