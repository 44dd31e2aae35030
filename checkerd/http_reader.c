/* SPDX-License-Identifier: BSD-2-Clause */
#include "http_reader.h"

#include <string.h>
#include <strings.h>

#define LENGTH_DIGITS     15
#define CHUNK_SIZE_DIGITS 8
#define CHUNK_LINE_MAX    (CHUNK_SIZE_DIGITS + 2)

struct text {
	const char *data;
	size_t size;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool text_is(struct text text, const char *other)
{
	return text.size == strlen(other) &&
	       strncasecmp(text.data, other, text.size) == 0;
}

/* --- lines -------------------------------------------------------------- */

/* Without its end, which is "\r\n" or "\n". */
static struct text line_text(const char *line, size_t size)
{
	size--;
	if (size > 0 && line[size - 1] == '\r')
		size--;
	return (struct text) { line, size };
}

/* "HTTP/1.1 200 OK", or without a reason. */
static bool read_status(struct http_reader *reader, struct text line)
{
	static const char begin[] = "HTTP/1.";
	const char *at = line.data + strlen(begin);

	if (line.size < strlen("HTTP/1.1 200") ||
	    memcmp(line.data, begin, strlen(begin)) != 0 ||
	    (at[0] != '0' && at[0] != '1') || at[1] != ' ' ||
	    !is_digit(at[2]) || !is_digit(at[3]) || !is_digit(at[4]) ||
	    (line.size > strlen("HTTP/1.1 200") && at[5] != ' '))
		return false;
	reader->old = at[0] == '0';
	reader->status = (unsigned) (at[2] - '0') * 100 +
	                 (unsigned) (at[3] - '0') * 10 +
	                 (unsigned) (at[4] - '0');
	return reader->status >= 100 && reader->status != 101;
}

static bool read_length(struct http_reader *reader, struct text value)
{
	uint64_t length = 0;
	size_t i;

	if (reader->has_length || value.size == 0 || value.size > LENGTH_DIGITS)
		return false;
	for (i = 0; i < value.size; i++) {
		if (!is_digit(value.data[i]))
			return false;
		length = length * 10 + (uint64_t) (value.data[i] - '0');
	}
	reader->has_length = true;
	reader->left = length;
	return true;
}

static bool read_coding(struct http_reader *reader, struct text value)
{
	bool again = reader->chunked;

	reader->chunked = true;
	return !again && text_is(value, "chunked");
}

static bool read_connection(struct http_reader *reader, struct text value)
{
	if (text_is(value, "close"))
		reader->says_close = true;
	else if (text_is(value, "keep-alive"))
		reader->says_keep = true;
	else
		return false;
	return true;
}

static const struct {
	const char *name;
	bool (*read)(struct http_reader *reader, struct text value);
} fields[] = {
	{ "Content-Length", read_length },
	{ "Transfer-Encoding", read_coding },
	{ "Connection", read_connection },
};

static bool read_field(struct http_reader *reader, struct text line)
{
	const char *colon = memchr(line.data, ':', line.size);
	struct text name, value;
	size_t i;

	if (colon == NULL || colon == line.data || is_blank(line.data[0]) ||
	    is_blank(colon[-1]))
		return false;
	name = (struct text) { line.data, (size_t) (colon - line.data) };
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!text_is(name, fields[i].name))
			continue;
		value = (struct text) { colon + 1, line.size - name.size - 1 };
		while (value.size > 0 && is_blank(value.data[0]))
			value.data++, value.size--;
		while (value.size > 0 && is_blank(value.data[value.size - 1]))
			value.size--;
		return fields[i].read(reader, value);
	}
	return true;
}

/* The empty line was read: what follows? */
static bool end_head(struct http_reader *reader)
{
	bool bodiless = reader->bodiless || reader->status == 204 ||
	                reader->status == 304;

	if (reader->chunked && (reader->has_length || reader->old))
		return false;
	if (reader->status < 200) {
		reader->state = HTTP_IN_STATUS;
		return !reader->chunked && !reader->has_length &&
		       !reader->says_close;
	}
	if (bodiless || (reader->has_length && reader->left == 0))
		reader->state = HTTP_AT_END;
	else if (reader->chunked)
		reader->state = HTTP_IN_CHUNK_SIZE;
	else if (reader->has_length)
		reader->state = HTTP_IN_LENGTH;
	else
		reader->state = HTTP_IN_CLOSE;
	return true;
}

static bool read_head_line(struct http_reader *reader, struct text line)
{
	if (reader->state == HTTP_IN_STATUS) {
		reader->state = HTTP_IN_HEAD;
		return read_status(reader, line);
	}
	return line.size > 0 ? read_field(reader, line) : end_head(reader);
}

/* --- chunks ------------------------------------------------------------- */

static int hex_value(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, c | 0x20) : NULL;

	return at != NULL && (is_digit(c) || c >= 'A') ? (int) (at - digits)
	                                               : -1;
}

/* "1f4".  Extensions are odd: they would cost time without being counted. */
static bool read_chunk_size(struct http_reader *reader, struct text line)
{
	size_t i;

	reader->left = 0;
	for (i = 0; i < line.size; i++) {
		if (hex_value(line.data[i]) < 0)
			return false;
		reader->left =
			reader->left * 16 + (uint64_t) hex_value(line.data[i]);
	}
	reader->state = reader->left > 0 ? HTTP_IN_CHUNK : HTTP_IN_TRAILER;
	return line.size > 0 && line.size <= CHUNK_SIZE_DIGITS;
}

/* A line that is no part of head or body. */
static bool read_chunk_line(struct http_reader *reader, struct text line)
{
	if (reader->state == HTTP_IN_CHUNK_SIZE)
		return read_chunk_size(reader, line);
	reader->state = reader->state == HTTP_IN_CHUNK_END ? HTTP_IN_CHUNK_SIZE
	                                                   : HTTP_AT_END;
	return line.size == 0;
}

/* --- the answer --------------------------------------------------------- */

static bool may_begin_status(const char *data, size_t size)
{
	static const char begin[] = "HTTP/1.";

	return memcmp(data, begin,
	              size < strlen(begin) ? size : strlen(begin)) == 0;
}

static void take(const char **data, size_t *size, size_t taken)
{
	*data += taken;
	*size -= taken;
}

/* What no line has: a zero, or half an end. */
static bool has_oddities(const char *line, size_t size)
{
	const char *cr = memchr(line, '\r', size);

	return memchr(line, '\0', size) != NULL ||
	       (cr != NULL && cr + 1 < line + size && cr[1] != '\n');
}

static enum http_item next_line(struct http_reader *reader, const char **data,
                                size_t *size, struct text *ret)
{
	bool in_head = reader->state <= HTTP_IN_HEAD;
	const char *line = *data;
	const char *end = memchr(line, '\n', *size);
	size_t length = end != NULL ? (size_t) (end + 1 - line) : *size;

	reader->begun = true;
	if (length > (in_head ? HTTP_LINE_MAX : CHUNK_LINE_MAX) ||
	    has_oddities(line, length) ||
	    (reader->state == HTTP_IN_STATUS &&
	     !may_begin_status(line, length)))
		return HTTP_ODD;
	if (end == NULL)
		return HTTP_MORE;
	*ret = (struct text) { line, length };
	take(data, size, length);
	if (!(in_head ? read_head_line
	              : read_chunk_line)(reader, line_text(line, length)))
		return HTTP_ODD;
	return in_head ? HTTP_LINE : HTTP_MORE;
}

static enum http_item next_body(struct http_reader *reader, const char **data,
                                size_t *size, struct text *ret)
{
	bool counted = reader->state != HTTP_IN_CLOSE;
	size_t length = *size;

	if (counted && length > reader->left)
		length = (size_t) reader->left;
	*ret = (struct text) { *data, length };
	take(data, size, length);
	if (counted)
		reader->left -= length;
	if (counted && reader->left == 0)
		reader->state = reader->state == HTTP_IN_CHUNK
		                        ? HTTP_IN_CHUNK_END
		                        : HTTP_AT_END;
	return HTTP_BODY;
}

enum http_item http_reader_next(struct http_reader *reader, const char **data,
                                size_t *size, const char **ret_text,
                                size_t *ret_size)
{
	enum http_item item = HTTP_MORE;
	struct text text = { NULL, 0 };
	size_t before;

	do {
		before = *size;
		if (reader->state == HTTP_AT_END)
			return HTTP_END;
		if (*size == 0)
			return HTTP_MORE;
		if (reader->state == HTTP_IN_LENGTH ||
		    reader->state == HTTP_IN_CHUNK ||
		    reader->state == HTTP_IN_CLOSE)
			item = next_body(reader, data, size, &text);
		else
			item = next_line(reader, data, size, &text);
	} while (item == HTTP_MORE && *size < before);
	*ret_text = text.data;
	*ret_size = text.size;
	return item;
}

enum http_item http_reader_close(const struct http_reader *reader)
{
	if (reader->state == HTTP_IN_CLOSE || reader->state == HTTP_AT_END)
		return HTTP_END;
	/* some take a head without an end for a whole one */
	if (reader->begun && reader->state <= HTTP_IN_HEAD)
		return HTTP_ODD;
	return HTTP_MORE;
}

bool http_reader_keeps(const struct http_reader *reader)
{
	return reader->state == HTTP_AT_END && !reader->says_close &&
	       (!reader->old || reader->says_keep);
}
