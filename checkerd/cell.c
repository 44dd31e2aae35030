/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cells, and the few phrases that more than one view uses.
 */
#include "cell.h"

#include "clock.h"
#include "time_text.h"

#include <stdarg.h>
#include <stdio.h>

void cell_print(struct cell *cell, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(cell->text + cell->used, CELL_SIZE - cell->used,
	                   format, arguments);
	va_end(arguments);
	if (length > 0)
		cell->used += strlen(cell->text + cell->used);
}

void cell_escape(struct cell *cell, const char *data, size_t size)
{
	terminal_escape(cell->text + cell->used, CELL_SIZE - cell->used, data,
	                size);
	cell->used += strlen(cell->text + cell->used);
}

void cell_escape_text(struct cell *cell, struct health_text text)
{
	cell_escape(cell, text.data, text.size);
}

void cell_age(struct cell *cell, uint64_t at_us)
{
	uint64_t now_us = realtime_us();
	char age[TIME_TEXT_SIZE];

	if (at_us == 0)
		cell_print(cell, "-");
	else
		cell_print(cell, "%s",
		           time_text_age(now_us > at_us ? now_us - at_us : 0,
		                         age));
}

void cell_outcome(struct cell *cell, unsigned outcome,
                  const struct health_record *record)
{
	char latency[TIME_TEXT_SIZE];

	cell_print(cell, "%s", health_outcome_name(outcome));
	if (record != NULL && record->http_status != 0)
		cell_print(cell, " %u", record->http_status);
	if (record != NULL && record->total_us != 0)
		cell_print(cell, " %s",
		           time_text_latency(record->total_us, latency));
}
