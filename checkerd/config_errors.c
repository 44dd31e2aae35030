/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is wrong with a configuration.
 *
 * Adding never fails: an error whose text found no memory still counts, and
 * a configuration with a count is refused.
 */
#include "config_errors.h"

#include "parse.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

/* Sections and names of files are shown as they were written. */
static void make_printable(char *text)
{
	if (text_is_printable(text, strlen(text)))
		return;
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

void config_errors_add(struct config_errors *errors,
                       const struct config_place *place, const char *key,
                       const char *format, ...)
{
	CLEANUP(free_pointer) char *what = NULL;
	char line[16] = "";
	va_list arguments;
	char *text;

	errors->count++;
	if (errors->kept == CONFIG_ERRORS_MAX)
		return;
	va_start(arguments, format);
	if (vasprintf(&what, format, arguments) < 0)
		what = NULL;
	va_end(arguments);
	if (what)
		make_printable(what);
	if (errors->count == 1) {
		errors->key = copy(key);
		errors->what = copy(what);
	}
	if (place->line > 0)
		snprintf(line, sizeof(line), ":%u", place->line);
	if (!what || asprintf(&text, "%s%s:%s%s%s%s%s%s %s", place->file, line,
	                      place->section ? " [" : "",
	                      place->section ? place->section : "",
	                      place->section ? "]" : "", key ? " " : "",
	                      key ? key : "", key ? ":" : "", what) < 0)
		return;
	make_printable(text);
	errors->sections[errors->kept] = copy(place->section);
	errors->texts[errors->kept++] = text;
}

void config_errors_print(const struct config_errors *errors, FILE *stream)
{
	for (size_t i = 0; i < errors->kept; i++)
		fprintf(stream, "%s\n", errors->texts[i]);
	if (errors->count > errors->kept)
		fprintf(stream, "... and %zu more errors\n",
		        errors->count - errors->kept);
}

void config_errors_clear(struct config_errors *errors)
{
	for (size_t i = 0; i < errors->kept; i++) {
		free(errors->texts[i]);
		free(errors->sections[i]);
	}
	free(errors->key);
	free(errors->what);
	*errors = (struct config_errors) { 0 };
}

const char *config_quote(char *buffer, const char *text)
{
	size_t length = strlen(text), kept = length;
	bool printable = text_is_printable(text, length);
	char *at = buffer;

	if (length > CONFIG_QUOTE_SIZE - 6) {
		kept = CONFIG_QUOTE_SIZE - 6;
		while (printable && ((unsigned char) text[kept] >> 6) == 2)
			kept--;
	}
	*at++ = '"';
	for (size_t i = 0; i < kept; i++) {
		bool ascii = text[i] >= ' ' && text[i] < 0x7f;

		*at++ = printable || ascii ? text[i] : '?';
	}
	strcpy(at, kept < length ? "...\"" : "\"");
	return buffer;
}
