/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Escaping and measuring, with the C library's idea of width: a character
 * that the locale cannot show has none, and is escaped as well.
 */
#include "terminal.h"

#include "utf8.h"
#include "util.h"

#include <string.h>
#include <sys/ioctl.h>
#include <wchar.h>

/* Characters with a width, or none, that change what stands around them. */
static const struct {
	uint32_t first;
	uint32_t last;
} unsafe[] = {
	{ 0x0000, 0x001f },   /* C0 */
	{ 0x007f, 0x009f },   /* DEL, C1 */
	{ 0x00ad, 0x00ad },   /* soft hyphen */
	{ 0x061c, 0x061c },   /* Arabic letter mark */
	{ 0x200b, 0x200f },   /* zero width, directional marks */
	{ 0x2028, 0x202e },   /* separators, embeddings, overrides */
	{ 0x2060, 0x206f },   /* word joiner, isolates */
	{ 0xfeff, 0xfeff },   /* byte order mark */
	{ 0xfff9, 0xfffb },   /* interlinear annotations */
	{ 0xe0000, 0xe0fff }, /* tags */
};

void terminal_measure(struct terminal *ret, int fd)
{
	struct winsize size;
	const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");

	*ret = (struct terminal) { .tty = isatty(fd) };
	if (!ret->tty)
		return;
	ret->draws = term != NULL && strcmp(term, "dumb") != 0;
	ret->colours = ret->draws && (no_colour == NULL || *no_colour == '\0');
	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 ||
	    size.ws_row == 0)
		size = (struct winsize) { .ws_col = 80, .ws_row = 24 };
	ret->columns = size.ws_col;
	ret->rows = size.ws_row;
}

static bool showable(uint32_t character)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(unsafe); i++)
		if (character >= unsafe[i].first && character <= unsafe[i].last)
			return false;
	return wcwidth((wchar_t) character) >= 0;
}

/* One character of `data`, or one byte that is none, as it can be shown; it is
 * terminated.  Returns how many bytes it was. */
static size_t escape_next(char *ret, const char *data, size_t size)
{
	uint32_t character;
	size_t length, i;

	length = utf8_next(data, size, &character);
	if (length > 0 && showable(character)) {
		memcpy(ret, data, length);
		ret[length] = '\0';
		return length;
	}
	length = length > 0 ? length : 1;
	for (i = 0; i < length; i++)
		snprintf(ret + 4 * i, 5, "\\x%02x", (unsigned char) data[i]);
	return length;
}

char *terminal_escape(char *buffer, size_t buffer_size, const char *data,
                      size_t size)
{
	char shown[TERMINAL_ESCAPED_SIZE(4)];
	size_t used = 0, length;

	while (size > 0) {
		length = escape_next(shown, data, size);
		if (used + strlen(shown) >= buffer_size)
			break;
		memcpy(buffer + used, shown, strlen(shown));
		used += strlen(shown);
		data += length;
		size -= length;
	}
	buffer[used] = '\0';
	return buffer;
}

void terminal_print(FILE *out, const char *data, size_t size)
{
	char shown[TERMINAL_ESCAPED_SIZE(4)];
	size_t length;

	while (size > 0) {
		length = escape_next(shown, data, size);
		fputs(shown, out);
		data += length;
		size -= length;
	}
}

/* The bytes of `escaped` that take at most `columns`; how many they take is
 * stored in *ret_columns. */
static size_t fitting(const char *escaped, unsigned columns,
                      unsigned *ret_columns)
{
	size_t at = 0, size = strlen(escaped), length;
	uint32_t character;
	int width;

	*ret_columns = 0;
	while (at < size) {
		length = utf8_next(escaped + at, size - at, &character);
		if (length == 0)
			break;
		width = wcwidth((wchar_t) character);
		if (width > 0 && *ret_columns + (unsigned) width > columns)
			break;
		*ret_columns += width > 0 ? (unsigned) width : 0;
		at += length;
	}
	return at;
}

unsigned terminal_columns(const char *escaped)
{
	unsigned columns;

	fitting(escaped, (unsigned) -1, &columns);
	return columns;
}

void terminal_cut(char *escaped, size_t buffer_size, unsigned columns)
{
	const char *ellipsis = wcwidth(L'…') == 1 ? "…" : "~";
	unsigned taken;
	size_t at;

	if (columns == 0) {
		escaped[0] = '\0';
		return;
	}
	if (escaped[fitting(escaped, columns, &taken)] == '\0')
		return;
	at = fitting(escaped, columns - 1, &taken);
	if (at + strlen(ellipsis) < buffer_size)
		strcpy(escaped + at, ellipsis);
	else
		escaped[at] = '\0';
}
