/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A segment that is to take the place of the one in force: made in any
 * thread, while the writer goes on in its own.  To fill 100 000 hosts in takes
 * long; so a draft looks at what the present segment says as any reader does,
 * and before it comes into force it looks again at those hosts that the writer
 * has touched since.  Virtual machines move house like that.
 *
 * With the topology that is in force already there is nothing to be made: the
 * file stays, and a draft only tells what it says of hosts.
 */
#ifndef CHECKERD_SEGMENT_DRAFT_H
#define CHECKERD_SEGMENT_DRAFT_H

#include "../include/health_shm.h"

struct segment_draft;
struct segment_writer;
struct topology;

enum segment_fate { SEGMENT_CREATED, SEGMENT_ADOPTED, SEGMENT_REPLACED };

/* One at a time; the writer may not bring another into force meanwhile.
 * Returns 0, or a negative errno and then nothing is left behind. */
int segment_draft_new(struct segment_draft **ret,
                      struct segment_writer *writer,
                      const struct topology *topology);

/* With the file, unless that came into force: then the one before is
 * unmapped. */
void segment_draft_free(struct segment_draft *draft); /* accepts NULL */

/* What is to be in force. */
const struct health_shm *segment_draft_shm(const struct segment_draft *draft);

enum segment_fate segment_draft_fate(const struct segment_draft *draft);

/* The number that a host has in force -> the one in the draft;
 * HEALTH_ALL_HOSTS: it is gone. */
uint32_t segment_draft_heir(const struct segment_draft *draft, uint32_t host);

/* The other way round; HEALTH_ALL_HOSTS: it is new. */
uint32_t segment_draft_origin(const struct segment_draft *draft, uint32_t host);

/* What the segment in force says of the host with that number in the draft:
 * its word, and its detail.  Zeroes for one that it does not know.  When the
 * writer is just writing them they may be torn: then the host is touched. */
uint64_t segment_draft_recall(struct segment_draft *draft, uint32_t host,
                              struct health_detail *ret);

/* Finds who has been touched since it was recalled, from *at on (a number in
 * force; begin with 0).  Returns the number in the draft, or HEALTH_ALL_HOSTS
 * when there is nobody more.  In the writer's thread only, where a recall then
 * stands. */
uint32_t segment_draft_touched(const struct segment_draft *draft, uint32_t *at);

/* As segment_draft_recall(), of a pool; in the writer's thread only. */
uint64_t segment_draft_recall_pool(const struct segment_draft *draft,
                                   uint32_t pool);

/* What a new file is to say.  Not for SEGMENT_ADOPTED. */
void segment_draft_set(struct segment_draft *draft, uint32_t host,
                       uint64_t word, const struct health_detail *detail);
void segment_draft_set_word(struct segment_draft *draft, uint32_t host,
                            uint64_t word);
void segment_draft_set_pool(struct segment_draft *draft, uint32_t pool,
                            uint64_t word);

#endif
