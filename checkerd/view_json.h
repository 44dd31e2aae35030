/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The documents that programs read: the one of `checkerctl status --json` and
 * the one of an event.
 */
#ifndef CHECKERD_VIEW_JSON_H
#define CHECKERD_VIEW_JSON_H

#include "selection.h"
#include "snapshot.h"

#include <jansson.h>
#include <stdio.h>

/* The document of `checkerctl status --json` in the making, for those who have
 * else to do: a step writes a host. */
struct view_json_status {
	struct tally tally;
	int error; /* 0 or -ENOMEM */
	/* private */
	FILE *out;
	struct walk walk;
	uint32_t pools, hosts; /* so far, of all and of this pool */
	bool in_pool;
};

/* `selection` must live as long.  The segment must be the same at each step. */
void view_json_status_begin(struct view_json_status *status, FILE *out,
                            const struct segment_snapshot *segment,
                            const struct selection *selection);
/* False: it is complete, or `error` is set. */
bool view_json_status_step(struct view_json_status *status);

/* The same at once, on one line.  A fleet is never in memory as a whole.
 * Returns 0 or -ENOMEM; whether writing worked is for ferror() to say. */
int view_json_status(FILE *out, const struct segment_snapshot *segment,
                     const struct selection *selection, struct tally *ret);

/* An element of "pools" up to the [ of its "hosts".  Returns 0 or -ENOMEM. */
int view_json_pool(FILE *out, const struct pool_snapshot *pool);

/* As an element of "hosts"; NULL: out of memory. */
json_t *view_json_host(const struct host_snapshot *host);

/* The same, and the rule that decided in "why". */
json_t *view_json_why(const struct pool_snapshot *pool,
                      const struct host_snapshot *host);

json_t *view_json_event(uint64_t number, const struct health_event *event);

/* {"error":{"code","message","key"}}; the texts may come from outside, `key`
 * may be NULL. */
json_t *view_json_error(const char *code, const char *message, const char *key);

/* Compact, in ASCII, without a line's end; takes over `value`.  Returns 0, or
 * -ENOMEM, also for a `value` of NULL. */
int view_json_dump(FILE *out, json_t *value);

#endif
