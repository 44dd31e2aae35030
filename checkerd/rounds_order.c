/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What people order of a host.  An order outranks the verdict, which goes on
 * being found all the same.
 */
#include "rounds_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void rounds_show_order(struct health_detail *detail, const char *reason,
                       uint64_t until_us)
{
	memset(detail->reason, 0, sizeof(detail->reason));
	snprintf(detail->reason, sizeof(detail->reason), "%s",
	         reason ? reason : "");
	detail->reason_size = (uint16_t) strlen(detail->reason);
	detail->until_us = until_us;
}

/* Before the word: who hears of the order can read why. */
static void show(struct rounds *rounds, const struct host *host,
                 const struct rounds_order *order)
{
	struct health_detail *detail =
		segment_writer_edit(rounds->writer, host->index);

	rounds_show_order(detail, order->reason, order->until_us);
	detail->weight = order->weight;
	if (order->raise)
		detail->passcount = 0;
	segment_writer_commit(rounds->writer);
}

int rounds_order(struct rounds *rounds, const char *pool, const char *id,
                 const struct rounds_order *order)
{
	const struct cause cause = { .outcome = HEALTH_ADMIN,
		                     .why = order->why,
		                     .reason = order->told };
	struct host *host = rounds_find(rounds, pool, id);
	uint64_t before;
	bool panic;

	if (!host)
		return -ENOENT;
	before = rounds_word(rounds, host);
	rounds->revision++;
	show(rounds, host, order);
	panic = fleet_order(rounds->fleet, host, order->admin, order->weight);
	if (order->raise)
		panic = fleet_judge(rounds->fleet, host,
		                    (struct verdict) { .verdict = HEALTH_UP },
		                    HEALTH_ADMIN);
	rounds_tell(rounds, host, before, panic, &cause);
	return 0;
}
