/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a segment says at one moment, in plain structs: the segment, one of
 * its pools, one of its hosts.  The views print nothing else.
 *
 * Texts point into the mapping and are cut at the sizes that the contract
 * allows, so that a damaged file cannot make a line endless.  They are not
 * escaped.
 */
#ifndef CHECKERD_SNAPSHOT_H
#define CHECKERD_SNAPSHOT_H

#include "segment_reader.h"

#include <stdbool.h>

/* Twenty missed beats.  checkerctl takes one look, so it compares clocks,
 * which is sound on one machine; nginx watches the heartbeat move. */
#define SNAPSHOT_STALE_US    (5 * USEC_PER_SEC)
#define SNAPSHOT_AGE_UNKNOWN UINT64_MAX

struct segment_snapshot {
	const char *path;
	uint64_t generation;       /* without HEALTH_SUPERSEDED */
	uint64_t heartbeat_age_us; /* or SNAPSHOT_AGE_UNKNOWN */
	bool stale;
	uint64_t writer_pid;
	uint64_t started_at_us;
};

struct pool_snapshot {
	struct health_text name;
	struct health_text upstream;
	uint32_t first_host;
	uint32_t host_count;
	unsigned priority;
	unsigned balance;
	uint32_t up;
	bool panic;
};

struct host_snapshot {
	struct health_text id;
	struct health_text address;
	uint64_t word;
	enum health_state state;
	bool detail_known; /* else the writer died in it, and it is all zero */
	struct health_detail detail;
	/* of the probe that the word's outcome comes from; NULL: none */
	const struct health_record *last;
	uint32_t history_count;
};

void segment_snapshot(struct segment_snapshot *ret,
                      const struct segment_reader *reader);

/* Indices are below the counts of `shm`. */
void pool_snapshot(struct pool_snapshot *ret, const struct health_shm *shm,
                   uint32_t pool);
void host_snapshot(struct host_snapshot *ret, const struct health_shm *shm,
                   uint32_t host);

/* Record `age` of the flight recorder, 0 being the newest; `age` is below
 * history_count. */
const struct health_record *
host_snapshot_record(const struct host_snapshot *host, uint32_t age);

#endif
