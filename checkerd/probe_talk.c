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

CURLcode probe_talk_prepare(struct probe *probe)
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

CURLcode probe_say(struct probe *probe, const struct config_bytes *bytes)
{
	CURLcode code = CURLE_OK;
	size_t sent;

	probe->talk.begun = true;
	while (probe->talk.sent < bytes->size && code == CURLE_OK) {
		code = curl_easy_send(probe->transfer.easy,
		                      bytes->data + probe->talk.sent,
		                      bytes->size - probe->talk.sent, &sent);
		if (code == CURLE_OK)
			probe->talk.sent += sent;
	}
	return code;
}

CURLcode probe_hear(struct probe *probe, size_t max)
{
	char data[4096];
	CURLcode code;
	size_t got;

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
	return CURLE_OK;
}

static uint32_t talk(struct curl_transfer *transfer, CURLcode *ret_result)
{
	struct probe *probe = (struct probe *) transfer;
	struct probe_result *verdict = &probe->talk.verdict;
	const struct settings *settings = probe->settings;

	*ret_result = probe_say(probe, &settings->send);
	if (*ret_result == CURLE_AGAIN)
		return EPOLLOUT;
	if (*ret_result != CURLE_OK || !has_answer(settings))
		return 0;
	*ret_result = probe_hear(probe, settings->max_body);
	if (*ret_result != CURLE_OK && *ret_result != CURLE_AGAIN)
		return 0;
	verdict->outcome = expectation_answer(
		&settings->expectations, &probe->talk.progress,
		probe_buffer_text(&probe->body), probe->body.size,
		*ret_result == CURLE_OK, verdict->message, sizeof(verdict->message));
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
	.prepare = probe_talk_prepare,
	.talk = talk,
	.judge = judge,
};

const struct check check_tls = {
	.prepare = probe_talk_prepare,
	.talk = talk,
	.judge = judge,
	.tls = true,
	.speaks_first = true,
};
