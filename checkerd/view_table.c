/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of `status` and `watch`.
 *
 * The hosts are walked twice, first for the widths and then for the rows, so
 * that a million hosts need no more memory than one.  What changes in between
 * costs a crooked line, not a wrong one.
 */
#include "view.h"

#include "cell.h"
#include "time_text.h"

#include <inttypes.h>

#define GAP 2 /* blanks between columns */

enum column { NAME, ADDRESS, STATE, SINCE, FAIL, LAST, WHY, COLUMN_COUNT };

/* On a terminal, names are cut to `percent` of it, but not below `least`. */
static const struct {
	const char *heading;
	unsigned percent; /* 0: never cut */
	unsigned least;
} columns[COLUMN_COUNT] = {
	[NAME] = { "POOL/HOST", 30, 20 }, [ADDRESS] = { "ADDRESS", 25, 21 },
	[STATE] = { "STATE", 0, 0 },      [SINCE] = { "SINCE", 0, 0 },
	[FAIL] = { "FAIL", 0, 0 },        [LAST] = { "LAST", 0, 0 },
	[WHY] = { "WHY", 0, 0 },
};

struct row {
	struct cell cells[COLUMN_COUNT];
	const char *colour; /* of the state, which says it in words too */
};

static const char *const colours[HEALTH_STATE_COUNT] = {
	[HEALTH_STATE_UNKNOWN] = "36", [HEALTH_STATE_CHECKING] = "36",
	[HEALTH_STATE_UP] = "32",      [HEALTH_STATE_DOWN] = "1;31",
	[HEALTH_STATE_DRAIN] = "33",
};

static void row_clear(struct row *row)
{
	unsigned column;

	for (column = 0; column < COLUMN_COUNT; column++)
		cell_clear(&row->cells[column]);
	row->colour = NULL;
}

static void row_headings(struct row *row)
{
	unsigned column;

	row_clear(row);
	for (column = 0; column < COLUMN_COUNT; column++)
		cell_print(&row->cells[column], "%s", columns[column].heading);
}

/* Empty for a host that is up and well. */
static void fill_why(struct cell *cell, const struct pool_snapshot *pool,
                     const struct host_snapshot *host)
{
	const struct health_detail *detail = &host->detail;
	unsigned outcome = health_word_outcome(host->word);
	char until[TIME_TEXT_SIZE];

	if (detail->flags & HEALTH_DETAIL_TLS_UNVERIFIED)
		cell_print(cell, "TLS not verified; ");
	if (pool->panic && health_word_routable(host->word) &&
	    host->state != HEALTH_STATE_UP)
		cell_print(cell, "panic, takes traffic: ");
	if (health_word_admin(host->word) != HEALTH_AUTO) {
		cell_print(cell, "ordered");
		if (detail->reason_size > 0)
			cell_print(cell, ": ");
		cell_escape(cell, detail->reason, detail->reason_size);
		if (detail->until_us != 0)
			cell_print(cell, ", until %s",
			           time_text_utc(detail->until_us, until));
	} else if (health_word_agent(host->word) != HEALTH_AGENT_NONE) {
		cell_print(cell, "agent: ");
		cell_escape(cell, detail->agent_said,
		            strlen(detail->agent_said));
	} else if (health_outcome_class(outcome) != HEALTH_CLASS_PASS) {
		if (detail->message[0] != '\0' && outcome != HEALTH_ADMIN)
			cell_escape(cell, detail->message,
			            strlen(detail->message));
		else
			cell_print(cell, "%s",
			           health_outcome_sentence(outcome));
	}
}

static void row_fill(struct row *row, const struct pool_snapshot *pool,
                     const struct host_snapshot *host)
{
	row_clear(row);
	cell_escape_text(&row->cells[NAME], pool->name);
	cell_print(&row->cells[NAME], "/");
	cell_escape_text(&row->cells[NAME], host->id);
	cell_escape_text(&row->cells[ADDRESS], host->address);
	cell_print(&row->cells[STATE], "%s", health_state_name(host->state));
	row->colour = colours[host->state];
	cell_age(&row->cells[SINCE], host->detail.changed_at_us);
	cell_print(&row->cells[FAIL], "%u/%u",
	           health_word_failcount(host->word), host->detail.fall);
	cell_outcome(&row->cells[LAST], health_word_outcome(host->word),
	             host->last);
	fill_why(&row->cells[WHY], pool, host);
}

static void row_measure(const struct row *row, const struct terminal *terminal,
                        unsigned *widths)
{
	unsigned column, width, limit;

	for (column = 0; column < WHY; column++) {
		width = terminal_columns(row->cells[column].text);
		limit = terminal->columns * columns[column].percent / 100;
		if (limit < columns[column].least)
			limit = columns[column].least;
		if (terminal->tty && columns[column].percent != 0 &&
		    width > limit)
			width = limit;
		if (width > widths[column])
			widths[column] = width;
	}
}

/* The cells are cut in place. */
static void row_print(FILE *out, const struct terminal *terminal,
                      struct row *row, const unsigned *widths)
{
	unsigned column, left = terminal->columns, width, last = 0;
	struct cell *cell;

	for (column = 0; column < COLUMN_COUNT; column++)
		if (row->cells[column].used > 0)
			last = column;
	for (column = 0; column <= last; column++) {
		cell = &row->cells[column];
		width = column < WHY ? widths[column] : left;
		if (terminal->tty)
			terminal_cut(cell->text, CELL_SIZE,
			             width < left ? width : left);
		if (column == STATE && terminal->colours && row->colour != NULL)
			fprintf(out, "\033[%sm%s\033[m", row->colour,
			        cell->text);
		else
			fputs(cell->text, out);
		if (column == last || (terminal->tty && left <= width + GAP))
			break;
		fprintf(out, "%*s",
		        (int) (width - terminal_columns(cell->text) + GAP), "");
		left -= width + GAP;
	}
	fputc('\n', out);
}

void view_segment(FILE *out, const struct terminal *terminal,
                  const struct segment_snapshot *segment)
{
	char line[SEGMENT_READER_ERROR_SIZE], age[TIME_TEXT_SIZE];
	bool known = segment->heartbeat_age_us != SNAPSHOT_AGE_UNKNOWN;

	/* The path comes last: it is what may be cut. */
	snprintf(line, sizeof(line),
	         "generation %" PRIu64 ", heartbeat %s%s, writer %" PRIu64
	         ", %s",
	         segment->generation,
	         known ? time_text_latency(segment->heartbeat_age_us, age)
	               : "of another boot",
	         known ? " ago" : "", segment->writer_pid, segment->path);
	if (terminal->tty)
		terminal_cut(line, sizeof(line), terminal->columns);
	fprintf(out, "%s\n", line);
	if (segment->stale)
		fprintf(out, "STALE: checkerd is stopped or stuck; "
		             "this is what it last knew\n");
}

void view_table(FILE *out, const struct terminal *terminal,
                const struct selection *selection, unsigned rows,
                struct tally *ret)
{
	unsigned widths[COLUMN_COUNT] = { 0 }, shown = 0;
	struct walk walk;
	struct row row;

	*ret = (struct tally) { 0 };
	row_headings(&row);
	row_measure(&row, terminal, widths);
	for (walk_begin(&walk, selection); walk_next(&walk);) {
		ret->up += walk.host.state == HEALTH_STATE_UP;
		if (++ret->total > rows)
			continue;
		row_fill(&row, &walk.pool, &walk.host);
		row_measure(&row, terminal, widths);
	}

	row_headings(&row);
	row_print(out, terminal, &row, widths);
	for (walk_begin(&walk, selection); shown < rows && walk_next(&walk);
	     shown++) {
		row_fill(&row, &walk.pool, &walk.host);
		row_print(out, terminal, &row, widths);
	}
	fprintf(out, "%u of %u up", ret->up, ret->total);
	if (ret->total > shown)
		fprintf(out, ", %u not shown", ret->total - shown);
	fputc('\n', out);
}
