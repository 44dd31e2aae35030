/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers are looked at field by field: what a later daemon adds is passed
 * over, and what this one should have said but did not is a "-".
 */
#include "view_answer.h"

#include "terminal.h"
#include "time_text.h"
#include "util.h"

#include <errno.h>
#include <string.h>

/* What a person can do about a status, where the daemon's own sentence is
 * about what is wrong. */
static const struct {
	unsigned status;
	const char *text;
} remedies[] = {
	{ 404, "`checkerctl status` lists pools and hosts" },
	{ 405, "this socket only shows; give the control socket with -S" },
	{ 409, "change what exists with `weight` or `pool set`, or remove it "
	       "first" },
	{ 503, "try again in a moment" },
	{ 507, "nothing was changed; make room for checkerd's state_dir" },
};

static void print_string(FILE *out, const json_t *string)
{
	terminal_print(out, json_string_value(string),
	               json_string_length(string));
}

static void print_value(FILE *out, const json_t *value)
{
	char *text CLEANUP(free_pointer) = NULL;

	if (json_is_string(value)) {
		print_string(out, value);
		return;
	}
	if (value != NULL && !json_is_null(value))
		text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII |
		                                 JSON_COMPACT);
	fputs(text != NULL ? text : "-", out);
}

/* A string or nothing: NULL, also for "". */
static const json_t *text_of(const json_t *document, const char *key)
{
	const json_t *value = json_object_get(document, key);

	return json_string_length(value) > 0 ? value : NULL;
}

static void print_field(FILE *out, const char *before, const json_t *document,
                        const char *key)
{
	fputs(before, out);
	print_value(out, json_object_get(document, key));
}

static void print_name(FILE *out, const char *name)
{
	terminal_print(out, name, strlen(name));
}

int view_answer_host(FILE *out, const char *name, const json_t *document)
{
	const json_t *admin = text_of(document, "admin");

	if (!json_is_object(document))
		return -EPROTO;
	print_name(out, name);
	print_field(out, "  ", document, "address");
	print_field(out, "  ", document, "state");
	print_field(out, "  weight ", document, "weight");
	if (admin != NULL && strcmp(json_string_value(admin), "auto") != 0) {
		fputs("  ordered", out);
		if (text_of(document, "reason") != NULL)
			print_field(out, ": ", document, "reason");
		if (text_of(document, "until") != NULL)
			print_field(out, ", until ", document, "until");
	}
	fputc('\n', out);
	return 0;
}

int view_answer_pool(FILE *out, const char *name, const json_t *document)
{
	if (!json_is_object(document))
		return -EPROTO;
	print_name(out, name);
	print_field(out, "  upstream ", document, "upstream");
	print_field(out, "  priority ", document, "priority");
	print_field(out, "  balance ", document, "balance");
	fputc('\n', out);
	return 0;
}

/* Phases are counted from the probe's start; 0: not reached. */
static void print_phase(FILE *out, const char *before, const json_t *document,
                        const char *key)
{
	json_int_t at_us = json_integer_value(json_object_get(document, key));
	char text[TIME_TEXT_SIZE];

	fprintf(out, "%s%s", before,
	        at_us > 0 ? time_text_latency((uint64_t) at_us, text) : "-");
}

int view_answer_probe(FILE *out, const char *name, const json_t *document)
{
	const json_t *last =
		json_array_get(json_object_get(document, "history"), 0);

	if (!json_is_object(document))
		return -EPROTO;
	print_name(out, name);
	print_field(out, "  ", document, "state");
	print_field(out, "  ", last, "outcome");
	if (json_integer_value(json_object_get(last, "http_status")) > 0)
		print_field(out, " ", last, "http_status");
	if (text_of(document, "detail") != NULL)
		print_field(out, "  ", document, "detail");
	print_phase(out, "\n  connected ", last, "connect_us");
	print_phase(out, ", TLS ", last, "tls_us");
	print_phase(out, ", first byte ", last, "first_byte_us");
	print_phase(out, ", all ", last, "total_us");
	fputc('\n', out);
	return 0;
}

static void print_lines(FILE *out, const json_t *lines)
{
	const json_t *line;
	size_t i;

	json_array_foreach(lines, i, line)
	{
		print_value(out, line);
		fputc('\n', out);
	}
}

int view_answer_reload(FILE *out, const char *name, const json_t *document)
{
	(void) name;
	if (!json_is_object(document))
		return -EPROTO;
	print_field(out, "reloaded: pools ", document, "pools");
	print_field(out, ", hosts ", document, "hosts");
	fputc('\n', out);
	print_lines(out, json_object_get(document, "gave_way"));
	return 0;
}

static void print_change(FILE *out, const json_t *change)
{
	print_field(out, "", change, "pool");
	if (text_of(change, "host") != NULL)
		print_field(out, "/", change, "host");
	print_field(out, "  ", change, "key");
	print_field(out, "  ", change, "ini");
	print_field(out, " -> ", change, "runtime");
	print_field(out, "  since ", change, "since");
	print_field(out, " by uid ", change, "by");
	if (text_of(change, "reason") != NULL)
		print_field(out, ": ", change, "reason");
	if (text_of(change, "until") != NULL)
		print_field(out, ", until ", change, "until");
	fputc('\n', out);
}

int view_answer_changes(FILE *out, const char *name, const json_t *document)
{
	const json_t *changes = json_object_get(document, "changes"), *change;
	size_t i;

	(void) name;
	if (!json_is_array(changes))
		return -EPROTO;
	json_array_foreach(changes, i, change) print_change(out, change);
	if (json_array_size(changes) == 0)
		fputs("no differences: all is as in the configuration\n", out);
	return 0;
}

void view_answer_error(FILE *out, unsigned status, const json_t *document)
{
	const json_t *error = json_object_get(document, "error");
	size_t i;

	fputs("checkerctl: ", out);
	if (text_of(error, "key") != NULL) {
		print_field(out, "", error, "key");
		fputs(": ", out);
	}
	if (text_of(error, "message") != NULL)
		print_field(out, "", error, "message");
	else
		fprintf(out, "refused with HTTP status %u, without a reason",
		        status);
	fputc('\n', out);
	print_lines(out, json_object_get(error, "errors"));
	for (i = 0; i < ARRAY_SIZE(remedies); i++)
		if (remedies[i].status == status)
			fprintf(out, "checkerctl: %s\n", remedies[i].text);
}
