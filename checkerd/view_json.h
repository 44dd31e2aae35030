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

/* On one line.  Written host by host: a fleet is never in memory as a whole.
 * Returns 0 or -ENOMEM; whether writing worked is for ferror() to say. */
int view_json_status(FILE *out, const struct segment_snapshot *segment,
                     const struct selection *selection, struct tally *ret);

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
