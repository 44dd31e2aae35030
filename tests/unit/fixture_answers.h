/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What servers have been seen to answer, and what none should.
 */
#ifndef CHECKERD_TESTS_FIXTURE_ANSWERS_H
#define CHECKERD_TESTS_FIXTURE_ANSWERS_H

#include <stddef.h>

#define HEAD_1_1 "HTTP/1.1 200 OK\r\n"
#define CHUNKED  HEAD_1_1 "Transfer-Encoding: chunked\r\n\r\n"

struct answer {
	const char *name;
	const char *text;
	size_t size; /* there may be a NUL in it */
};

#define ANSWER(name, text) { name, text, sizeof(text) - 1 }

/* These are understood. */
static const struct answer plain_answers[] = {
	ANSWER("a length", HEAD_1_1 "Content-Length: 2\r\n\r\nok"),
	ANSWER("a length of nothing", HEAD_1_1 "content-length:0\r\n\r\n"),
	ANSWER("until the close", HEAD_1_1 "Server: x\r\n\r\nok"),
	ANSWER("chunks", CHUNKED "2\r\nok\r\nA\r\n0123456789\r\n0\r\n\r\n"),
	ANSWER("no body", "HTTP/1.1 204 No Content\r\n\r\n"),
	ANSWER("not modified", "HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n"),
	ANSWER("no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("an empty reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
	ANSWER("bare line feeds", "HTTP/1.1 404 No\nContent-Length: 2\n\nok"),
	ANSWER("interim answers",
	  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
	  "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nok"),
	ANSWER("HTTP/1.0, kept",
	  "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
	  "Content-Length: 2\r\n\r\nok"),
	ANSWER("about to close",
	  HEAD_1_1 "Connection: close\r\nContent-Length: 2\r\n\r\nok"),
	ANSWER("more than its length",
	       HEAD_1_1 "Content-Length: 2\r\n\r\nokay"),
	ANSWER("less than its length", HEAD_1_1 "Content-Length: 20\r\n\r\nok"),
	ANSWER("a chunk cut short", CHUNKED "20\r\nok"),
	ANSWER("chunks without the last", CHUNKED "2\r\nok\r\n"),
	ANSWER("chunks without their end", CHUNKED "2\r\nok\r\n0\r\n"),
	ANSWER("a chunk size cut short", CHUNKED "2"),
	ANSWER("a body of zeroes",
	  HEAD_1_1 "Content-Length: 4\r\n\r\n\0\0\r\n"),
	ANSWER("status 600", "HTTP/1.1 600 x\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("nothing", ""),
};

/* These are not. */
static const struct answer odd_answers[] = {
	ANSWER("a page", "<html>ok</html>\r\n"),
	ANSWER("garbage", "\x16\x03\x01\x02\r\n\r\n"),
	ANSWER("another protocol", "SSH-2.0-OpenSSH_9.2p1\r\n"),
	ANSWER("ICY", "ICY 200 OK\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("HTTP/2", "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("HTTP/1.2", "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("small letters", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("blanks in the status line",
	  "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("no status", "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("a status of two digits",
	  "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("a status of four",
	       "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("status 099", "HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("status 101", "HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\nxx"),
	ANSWER("an interim answer with a body",
	  "HTTP/1.1 100 x\r\nContent-Length: 2\r\n\r\nok" HEAD_1_1 "\r\n"),
	ANSWER("an empty line first",
	       "\r\n" HEAD_1_1 "Content-Length: 0\r\n\r\n"),
	ANSWER("a folded field",
	  HEAD_1_1 "A: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("a field without a name", HEAD_1_1 ": b\r\n\r\n"),
	ANSWER("a field without a colon",
	  HEAD_1_1 "nothing\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("a blank before the colon",
	  HEAD_1_1 "Content-Length : 2\r\n\r\nok"),
	ANSWER("a zero in a field",
	       HEAD_1_1 "A: \0b\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("half a line's end in a field",
	  HEAD_1_1 "A\r: b\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("two lengths",
	  HEAD_1_1 "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!"),
	ANSWER("the same length twice",
	  HEAD_1_1 "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
	ANSWER("a list of lengths", HEAD_1_1 "Content-Length: 2, 2\r\n\r\nok"),
	ANSWER("a negative length", HEAD_1_1 "Content-Length: -2\r\n\r\nok"),
	ANSWER("a length with a sign", HEAD_1_1 "Content-Length: +2\r\n\r\nok"),
	ANSWER("no length", HEAD_1_1 "Content-Length:\r\n\r\nok"),
	ANSWER("a huge length",
	  HEAD_1_1 "Content-Length: 99999999999999999999\r\n\r\nok"),
	ANSWER("length and chunks", HEAD_1_1 "Content-Length: 3\r\n"
	  "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
	ANSWER("an unknown coding",
	  HEAD_1_1 "Transfer-Encoding: gzip\r\n\r\nok"),
	ANSWER("two codings",
	  HEAD_1_1 "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
	ANSWER("chunks in HTTP/1.0",
	  "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	ANSWER("a connection of many words",
	  HEAD_1_1 "Connection: x, close\r\nContent-Length: 0\r\n\r\n"),
	ANSWER("a chunk with an extension", CHUNKED "2;a=b\r\nok\r\n0\r\n\r\n"),
	ANSWER("a trailer", CHUNKED "2\r\nok\r\n0\r\nA: b\r\n\r\n"),
	ANSWER("a chunk without a size", CHUNKED "\r\nok"),
	ANSWER("a negative chunk", CHUNKED "-2\r\nok\r\n0\r\n\r\n"),
	ANSWER("a chunk of hex", CHUNKED "0x2\r\nok\r\n0\r\n\r\n"),
	ANSWER("a huge chunk", CHUNKED "ffffffffffffffff\r\nok\r\n0\r\n\r\n"),
	ANSWER("a chunk longer than it says", CHUNKED "2\r\nokay\r\n0\r\n\r\n"),
	ANSWER("a head without its end", HEAD_1_1 "A: b\r\n"),
	ANSWER("a line without its end", HEAD_1_1 "A: b"),
	ANSWER("half a status line", "HTTP/1.1 2"),
};

/* The same in each run. */
static inline unsigned next_random(unsigned *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* A few bytes of `text` are others, are missing or come twice. */
static inline size_t mutate(char *text, size_t size, size_t room,
                            unsigned *state)
{
	static const char bytes[] = "\r\n\t :;-+,0129afxH/\0\xff";
	unsigned changes = 1 + next_random(state) % 3;
	size_t at;

	while (changes-- > 0 && size > 1) {
		at = next_random(state) % size;
		switch (next_random(state) % 3) {
		case 0:
			text[at] = bytes[next_random(state) %
			                 (sizeof(bytes) - 1)];
			break;
		case 1:
			memmove(text + at, text + at + 1, --size - at);
			break;
		default:
			if (size >= room)
				break;
			memmove(text + at + 1, text + at, size++ - at);
		}
	}
	return size;
}

#endif
