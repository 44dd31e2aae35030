/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The checks that ask for a connection, with or without TLS, and then may say
 * something, and expect something.
 *
 * An answer has no end that one could know: what was read so far is looked at
 * until it matches, is as long as it may be, or the host closes.  What that
 * may cost in all is bounded (expectation.h).
 *
 * With TLS 1.3 the handshake is over for us before the host has seen our
 * certificate; a check that expects nothing does not wait for its opinion.
 */
#include "clock.h"
#include "probe_private.h"

#include <sys/epoll.h>

static CURLcode prepare(struct probe *probe)
{
	CURL *easy = probe->transfer.easy;

	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
	                 (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	return curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
}

static bool has_answer(const struct settings *settings)
{
	return settings->expectations.answer != NULL;
}

/* Returns CURLE_OK when all is sent. */
static CURLcode say(struct probe *probe)
{
	const struct config_bytes *send = &probe->settings->send;
	CURLcode code = CURLE_OK;
	size_t sent;

	while (probe->talk.sent < send->size && code == CURLE_OK) {
		code = curl_easy_send(probe->transfer.easy,
		                      send->data + probe->talk.sent,
		                      send->size - probe->talk.sent, &sent);
		if (code == CURLE_OK)
			probe->talk.sent += sent;
	}
	return code;
}

/* Reads until there is nothing left (CURLE_AGAIN), or it is complete. */
static CURLcode hear(struct probe *probe, bool *ret_complete)
{
	size_t max = probe->settings->max_body, got;
	char data[4096];
	CURLcode code;

	*ret_complete = false;
	while (probe->body.size < max) {
		got = max - probe->body.size;
		code = curl_easy_recv(probe->transfer.easy, data,
		                      got < sizeof(data) ? got : sizeof(data),
		                      &got);
		if (code != CURLE_OK)
			return code;
		if (got == 0)
			break;
		if (probe->talk.first_byte_us == 0)
			probe->talk.first_byte_us = monotonic_us();
		if (probe_buffer_add(&probe->body, data, got) < 0) {
			probe->stop = STOP_MEMORY;
			return CURLE_OUT_OF_MEMORY;
		}
	}
	*ret_complete = true;
	return CURLE_OK;
}

static uint32_t talk(struct curl_transfer *transfer, CURLcode *ret_result)
{
	struct probe *probe = (struct probe *) transfer;
	struct probe_result *verdict = &probe->talk.verdict;
	bool complete;

	if (probe->talk.began_us == 0)
		probe->talk.began_us = monotonic_us();
	*ret_result = say(probe);
	if (*ret_result == CURLE_AGAIN)
		return EPOLLOUT;
	if (*ret_result != CURLE_OK || !has_answer(probe->settings))
		return 0;
	*ret_result = hear(probe, &complete);
	if (*ret_result != CURLE_OK && *ret_result != CURLE_AGAIN)
		return 0;
	verdict->outcome = expectation_answer(
		&probe->settings->expectations, &probe->talk.progress,
		probe_buffer_text(&probe->body), probe->body.size, complete,
		verdict->message, sizeof(verdict->message));
	if (verdict->outcome == HEALTH_NONE)
		return EPOLLIN;
	*ret_result = CURLE_OK;
	return 0;
}

static bool judge(const struct probe *probe, const struct settings *settings,
                  struct probe_result *result)
{
	if (probe->code != CURLE_OK)
		return false;
	if (has_answer(settings)) {
		result->outcome = probe->talk.verdict.outcome;
		probe_explain(result, "%s", probe->talk.verdict.message);
	} else if (settings->send.size > 0) {
		result->outcome = HEALTH_L7OK;
	} else {
		result->outcome = probe->check->tls ? HEALTH_L6OK : HEALTH_L4OK;
	}
	return true;
}

const struct check check_tcp = {
	.prepare = prepare,
	.talk = talk,
	.judge = judge,
};

const struct check check_tls = {
	.prepare = prepare,
	.talk = talk,
	.judge = judge,
	.tls = true,
	.speaks_first = true,
};
