/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads the answer to one HTTP/1 request, as it comes in, from bytes that the
 * caller keeps.
 *
 * It understands what servers ordinarily say: a status line, header fields of
 * a line each, a body whose end is known from one Content-Length, from chunks
 * or from the connection's end.  Anything that people have ever disagreed
 * about (folded fields, several lengths, trailers, a body of unknown coding)
 * is HTTP_ODD, and for somebody else to make sense of.
 *
 * It holds nothing back and copies nothing, so that its memory is this struct.
 */
#ifndef CHECKERD_HTTP_READER_H
#define CHECKERD_HTTP_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A longer line is odd.  As much may be left unread. */
#define HTTP_LINE_MAX 8192

enum http_item {
	HTTP_MORE, /* needed: what is left goes before it */
	HTTP_LINE, /* of a head, with its end; an interim answer has one too */
	HTTP_BODY, /* the next bytes of it */
	HTTP_END,  /* of the answer; what is left is not part of it */
	HTTP_ODD,  /* not understood, now and for good */
};

struct http_reader {
	enum {
		HTTP_IN_STATUS, /* the zero that it starts with */
		HTTP_IN_HEAD,
		HTTP_IN_LENGTH,
		HTTP_IN_CHUNK_SIZE,
		HTTP_IN_CHUNK,
		HTTP_IN_CHUNK_END,
		HTTP_IN_TRAILER,
		HTTP_IN_CLOSE, /* the body lasts until then */
		HTTP_AT_END,
	} state;
	bool bodiless; /* set by the caller: it was a HEAD request */
	bool begun;
	bool old; /* HTTP/1.0 */
	bool has_length;
	bool chunked;
	bool says_close;
	bool says_keep;
	unsigned status; /* 0: none yet */
	uint64_t left;   /* of the body or the chunk */
};

/* Takes the next item off the front of *data. */
enum http_item http_reader_next(struct http_reader *reader, const char **data,
                                size_t *size, const char **ret_text,
                                size_t *ret_size);

/* No more will come, and nothing is left: HTTP_END if that is how the answer
 * ends, HTTP_MORE if some of it is missing, or all. */
enum http_item http_reader_close(const struct http_reader *reader);

/* At its end: whether another request may follow. */
bool http_reader_keeps(const struct http_reader *reader);

#endif
