/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What checkerctl prints for people.  Everything from the segment is escaped;
 * only on a terminal is anything cut.
 */
#ifndef CHECKERD_VIEW_H
#define CHECKERD_VIEW_H

#include "selection.h"
#include "snapshot.h"
#include "terminal.h"

#include <stdio.h>

/* Where the segment is, and how alive its writer. */
void view_segment(FILE *out, const struct terminal *terminal,
                  const struct segment_snapshot *segment);

/* One row for each selected host below a heading, `rows` of them at most, and
 * how many are up. */
void view_table(FILE *out, const struct terminal *terminal,
                const struct selection *selection, unsigned rows,
                struct tally *ret);

/* Everything about one host. */
void view_host(FILE *out, const struct pool_snapshot *pool,
               const struct host_snapshot *host);

void view_event(FILE *out, uint64_t number, const struct health_event *event);

#endif
