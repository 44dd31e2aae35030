/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Plain HTTP over sockets of our own.
 *
 * Ten thousand times a second the same little request: libcurl spends 80 000
 * instructions and 18 system calls on each.  Two thirds of both go into making
 * the connection and closing it, so that a reader of our own behind
 * CURLOPT_CONNECT_ONLY would save little (not taken, for that reason).  Here
 * it is 8 calls for a connection each, and 2 over one that is kept.
 *
 * http_reader.h says which answers are understood.  The rest is libcurl's to
 * judge, as are TLS, HTTP/2 and requests with a body: a probe that meets an
 * odd answer asks again through libcurl within the time that it has left, and
 * the hosts that gave one lately are left to libcurl from the start.
 *
 * Failures of a connection need no understanding.  They are told in libcurl's
 * words, and never tried again, or they would go unseen.
 */
#include "probe_private.h"

#include "clock.h"
#include "hash.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define READ_SIZE 16384

/* --- who is asked here -------------------------------------------------- */

static uint32_t *odd_place(const struct probe *probe, uint32_t *ret_mark)
{
	uint64_t hash = hash_bytes(HASH_BEGIN, &probe->address.any,
	                           probe->address.length);

	*ret_mark = (uint32_t) (hash >> 32) | 1;
	return &probe->prober->odd[hash % ARRAY_SIZE(probe->prober->odd)];
}

/* Hosts that are taken for each other cost time, nothing else. */
static bool is_odd(const struct probe *probe)
{
	uint32_t mark;

	return *odd_place(probe, &mark) == mark;
}

static void set_odd(const struct probe *probe)
{
	uint32_t mark;
	uint32_t *place = odd_place(probe, &mark);

	*place = mark;
}

bool probe_direct_may(const struct probe *probe)
{
	return probe->prober->direct && probe->check == &check_http &&
	       !probe_http_has_body(probe->settings) &&
	       (probe->kept == NULL || probe->kept->share == NULL) &&
	       !is_odd(probe);
}

/* --- the connection ----------------------------------------------------- */

static bool take_kept(struct probe *probe)
{
	struct kept *kept = probe->kept;

	if (kept == NULL || kept->fd < 0)
		return false;
	probe->direct.fd = kept->fd;
	kept->fd = -1;
	/* else the host has closed it, or is about to */
	if (curl_loop_is_quiet(kept->loop, probe->direct.fd))
		return true;
	probe_direct_close(probe);
	return false;
}

static int open_connection(struct probe *probe)
{
	int fd = probe_open_socket(probe);

	if (fd < 0)
		return -1;
	probe->direct.fd = fd;
	if (connect(fd, &probe->address.any, probe->address.length) < 0 &&
	    errno != EINPROGRESS) {
		probe->socket_errno = errno;
		close(fd);
		probe->direct.fd = -1;
		return -1;
	}
	return 0;
}

void probe_direct_close(struct probe *probe)
{
	if (probe->direct.fd >= 0)
		curl_loop_close(probe->prober->loop, probe->direct.fd);
	probe->direct.fd = -1;
}

/* --- the request -------------------------------------------------------- */

static CURLcode failed(struct probe *probe, const char *what, CURLcode code)
{
	snprintf(probe->error, sizeof(probe->error), "%s failure: %s", what,
	         strerror(errno));
	return code;
}

static void connected(struct probe *probe)
{
	probe->phase = PHASE_TALK;
	probe->transfer.talk_until_us = probe->until_us;
	if (probe->direct.opened)
		probe->direct.connected_us = monotonic_us();
}

static CURLcode ask(struct probe *probe)
{
	const struct probe_buffer *request = &probe->direct.request;
	ssize_t sent;

	while (probe->direct.sent < request->size) {
		sent = send(probe->direct.fd,
		            request->data + probe->direct.sent,
		            request->size - probe->direct.sent, MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN)
			return CURLE_AGAIN;
		if (sent < 0 && probe->phase == PHASE_CONNECT) {
			probe->socket_errno = errno;
			return CURLE_COULDNT_CONNECT;
		}
		if (sent < 0)
			return failed(probe, "Send", CURLE_SEND_ERROR);
		if (probe->phase == PHASE_CONNECT)
			connected(probe);
		probe->direct.sent += (size_t) sent;
	}
	return CURLE_OK;
}

/* --- the answer --------------------------------------------------------- */

/* Returns CURLE_AGAIN as long as there is no end of the answer. */
static CURLcode heed(struct probe *probe, const char **data, size_t *size)
{
	enum http_item item;
	const char *text;
	size_t length;

	for (;;) {
		item = http_reader_next(&probe->direct.reader, data, size,
		                        &text, &length);
		if (item == HTTP_LINE &&
		    !probe_http_take_line(probe, text, length))
			return CURLE_WRITE_ERROR;
		if (item == HTTP_BODY &&
		    !probe_http_take_body(probe, text, length))
			return CURLE_WRITE_ERROR;
		if (item == HTTP_MORE)
			return CURLE_AGAIN;
		if (item == HTTP_END)
			return CURLE_OK;
		if (item == HTTP_ODD) {
			probe->direct.odd = true;
			return CURLE_WEIRD_SERVER_REPLY;
		}
	}
}

/* What is left of a line waits for its end. */
static CURLcode heed_all(struct probe *probe, const char *data, size_t size)
{
	struct probe_buffer *unread = &probe->direct.unread;
	bool joined = unread->size > 0;
	CURLcode code;

	if (joined && probe_buffer_add(unread, data, size) < 0)
		goto no_memory;
	if (joined) {
		data = unread->data;
		size = unread->size;
	}
	code = heed(probe, &data, &size);
	unread->size = joined ? size : 0;
	if (joined)
		memmove(unread->data, data, size);
	else if (size > 0 && probe_buffer_add(unread, data, size) < 0)
		goto no_memory;
	return code;
no_memory:
	probe->stop = STOP_MEMORY;
	return CURLE_OUT_OF_MEMORY;
}

static CURLcode closed(struct probe *probe)
{
	const struct http_reader *reader = &probe->direct.reader;
	enum http_item item = http_reader_close(reader);

	if (item == HTTP_END)
		return CURLE_OK;
	probe->direct.odd = item == HTTP_ODD;
	if (!reader->begun) {
		snprintf(probe->error, sizeof(probe->error),
		         "Empty reply from server");
		return CURLE_GOT_NOTHING;
	}
	if (reader->chunked)
		snprintf(
			probe->error, sizeof(probe->error),
			"transfer closed with outstanding read data remaining");
	else
		snprintf(probe->error, sizeof(probe->error),
		         "transfer closed with %llu bytes remaining to read",
		         (unsigned long long) reader->left);
	return CURLE_PARTIAL_FILE;
}

static CURLcode hear(struct probe *probe)
{
	char data[READ_SIZE];
	CURLcode code = CURLE_AGAIN;
	ssize_t got;

	while (code == CURLE_AGAIN) {
		got = recv(probe->direct.fd, data, sizeof(data), 0);
		if (got < 0 && errno == EAGAIN)
			return CURLE_AGAIN;
		if (got < 0)
			return failed(probe, "Recv", CURLE_RECV_ERROR);
		if (got == 0)
			return closed(probe);
		probe->direct.drained = (size_t) got < sizeof(data);
		if (probe->direct.first_byte_us == 0)
			probe->direct.first_byte_us = monotonic_us();
		code = heed_all(probe, data, (size_t) got);
	}
	return code;
}

static uint32_t talk(struct curl_transfer *transfer, CURLcode *ret_result)
{
	struct probe *probe = (struct probe *) transfer;

	*ret_result = ask(probe);
	if (*ret_result == CURLE_AGAIN)
		return EPOLLOUT;
	/* nothing but what is reported is worth a look */
	if (*ret_result == CURLE_OK)
		*ret_result = transfer->talk_ready & ~(uint32_t) EPOLLOUT
		                      ? hear(probe)
		                      : CURLE_AGAIN;
	return *ret_result == CURLE_AGAIN ? EPOLLIN : 0;
}

/* --- the probe ---------------------------------------------------------- */

int probe_direct_launch(struct probe *probe)
{
	const struct settings *settings = probe->settings;
	int r;

	probe->direct.used = true;
	probe->direct.odd = false;
	probe->direct.began_us = monotonic_us();
	probe->direct.connected_us = 0;
	probe->direct.first_byte_us = 0;
	probe->direct.sent = 0;
	probe->direct.drained = false;
	probe->direct.unread.size = 0;
	probe->direct.reader = (struct http_reader) {
		.bodiless = probe_http_is_head(settings),
	};
	r = probe_http_write(probe, &probe->direct.request);
	if (r < 0)
		return r;
	probe->direct.opened = !take_kept(probe);
	probe_begin(probe);
	probe->transfer.talk = talk;
	probe->transfer.talk_until_us =
		probe->direct.began_us +
		settings->connect_timeout_ms * USEC_PER_MSEC;
	if (probe->transfer.talk_until_us > probe->until_us)
		probe->transfer.talk_until_us = probe->until_us;
	if (probe->direct.opened)
		open_connection(probe);
	else
		connected(probe);
	r = curl_loop_add_socket(probe->prober->loop, &probe->transfer,
	                         probe->direct.fd, CURLE_COULDNT_CONNECT);
	if (r < 0)
		probe_direct_close(probe);
	return r;
}

/* A kept connection that ended before anything came back. */
static bool was_stale(const struct probe *probe, CURLcode code)
{
	return !probe->direct.opened && code != CURLE_OK &&
	       code != CURLE_OPERATION_TIMEDOUT &&
	       probe->direct.first_byte_us == 0;
}

bool probe_direct_again(struct probe *probe, CURLcode code)
{
	bool odd = probe->direct.odd;

	if ((!odd && !was_stale(probe, code)) ||
	    monotonic_us() >= probe->until_us)
		return false;
	probe_direct_close(probe);
	if (odd) {
		set_odd(probe);
		probe->direct.used = false;
	}
	probe_rewind(probe);
	return probe_relaunch(probe) >= 0;
}

static uint32_t since(uint64_t from_us, uint64_t to_us)
{
	return to_us > from_us ? (uint32_t) (to_us - from_us) : 0;
}

void probe_direct_measure(struct probe *probe)
{
	struct probe_result *result = &probe->measured;
	uint64_t began_us = probe->direct.began_us;

	probe->http.status = probe->direct.reader.status;
	result->total_us = since(began_us, monotonic_us());
	result->connect_us = since(began_us, probe->direct.connected_us);
	result->first_byte_us = since(began_us, probe->direct.first_byte_us);
}

/* No more has come than the answer, as far as anybody can tell. */
static bool is_at_rest(const struct probe *probe)
{
	return probe->direct.drained && probe->direct.unread.size == 0 &&
	       !(probe->transfer.talk_ready & (EPOLLRDHUP | EPOLLHUP));
}

void probe_direct_give_back(struct probe *probe, CURLcode code)
{
	struct kept *kept = probe->kept;

	if (kept != NULL && code == CURLE_OK && is_at_rest(probe) &&
	    http_reader_keeps(&probe->direct.reader)) {
		kept->fd = probe->direct.fd;
		probe->direct.fd = -1;
	}
	probe_direct_close(probe);
}
