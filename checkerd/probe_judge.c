/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What became of a probe, decided in this order: failures of our own
 * resources, which say nothing about the host; what TLS was refused; what the
 * kind of check makes of an answer; then failure_outcomes[].
 */
#include "probe_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a failed transfer means, by how far it had come. */
static const struct failure_outcome {
	CURLcode code;
	enum health_outcome outcomes[PHASE_COUNT];
} failure_outcomes[] = {
	{ CURLE_OPERATION_TIMEDOUT,
	  { HEALTH_L4TOUT, HEALTH_L6TLS, HEALTH_L7TOUT } },
	{ CURLE_COULDNT_CONNECT, { HEALTH_L4CON, HEALTH_L4CON, HEALTH_L4CON } },
	{ CURLE_PEER_FAILED_VERIFICATION,
	  { HEALTH_INCONCL, HEALTH_L6CERT, HEALTH_L7RSP } },
}, any_other_failure = { 0, { HEALTH_INCONCL, HEALTH_L6TLS, HEALTH_L7RSP } };

/* errno of socket() and connect() for which the host is not to blame */
static const int local_errnos[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM,
	                            EADDRNOTAVAIL };

void probe_explain(struct probe_result *result, const char *format, ...)
{
	va_list arguments;
	char *at;

	va_start(arguments, format);
	vsnprintf(result->message, sizeof(result->message), format, arguments);
	va_end(arguments);
	for (at = result->message; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
}

static bool is_local(long error)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(local_errnos); i++)
		if (error == local_errnos[i])
			return true;
	return false;
}

/* The errno behind CURLE_COULDNT_CONNECT. */
static long connect_errno(const struct probe *probe)
{
	long error = 0;

	if (probe->socket_errno != 0)
		return probe->socket_errno;
	curl_easy_getinfo(probe->transfer.easy, CURLINFO_OS_ERRNO, &error);
	return error;
}

static bool judge_local(const struct probe *probe, CURLcode code,
                        struct probe_result *result)
{
	long error;

	if (code == CURLE_OK)
		return false;
	/* the files that tls_ca, tls_cert and tls_key name */
	if (code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CERTPROBLEM) {
		result->outcome = HEALTH_INCONCL;
		probe_explain(result, "no probe: %s",
		              probe->tls.problem[0] != '\0' ? probe->tls.problem
		                                            : probe->error);
		return true;
	}
	if (probe->stop == STOP_MEMORY)
		error = ENOMEM;
	else if (probe->transfer.watch_error != 0)
		error = -probe->transfer.watch_error;
	else if (code == CURLE_COULDNT_CONNECT &&
	         is_local(connect_errno(probe)))
		error = connect_errno(probe);
	else
		return false;
	result->outcome = HEALTH_INCONCL;
	probe_explain(result, "no probe: %s", strerror((int) error));
	return true;
}

static const char *connect_text(const struct probe *probe)
{
	long error = connect_errno(probe);

	/* that of a unix socket: "try again", and nothing to wait for */
	if (error == 0 || error == EAGAIN)
		return "the queue of connections is full";
	return strerror((int) error);
}

/* Without TLS nothing but its silence tells that a server has none. */
static bool has_no_h2(const struct probe *probe)
{
	return probe->phase == PHASE_TALK && !probe->check->tls &&
	       probe->check->http_major == '2' && probe->http.header_bytes == 0;
}

/* libcurl's words, but for the place that it thinks it is connected to. */
static void explain_in_words(const struct probe *probe, CURLcode code,
                             struct probe_result *result)
{
	const char *words = probe->error[0] != '\0' ? probe->error
	                                            : curl_easy_strerror(code);
	const char *place = strstr(words, " in connection to ");

	probe_explain(result, "%s%.*s", has_no_h2(probe) ? "no HTTP/2: " : "",
	              place != NULL ? (int) (place - words)
	                            : HEALTH_MESSAGE_SIZE,
	              words);
}

static void explain_timeout(const struct probe *probe,
                            struct probe_result *result)
{
	const struct settings *settings = probe->settings;

	result->timed_out = true;
	if (probe->phase == PHASE_CONNECT)
		probe_explain(result, "no connection within %u ms",
		              settings->connect_timeout_ms);
	else if (probe->phase == PHASE_HANDSHAKE)
		probe_explain(result, "no TLS handshake within %u ms",
		              settings->connect_timeout_ms);
	else
		probe_explain(result, "no complete answer within %u ms",
		              settings->connect_timeout_ms +
		                      settings->read_timeout_ms);
}

static void judge_failure(const struct probe *probe, CURLcode code,
                          struct probe_result *result)
{
	const struct failure_outcome *row = &any_other_failure;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(failure_outcomes); i++)
		if (failure_outcomes[i].code == code)
			row = &failure_outcomes[i];
	result->outcome = row->outcomes[probe->phase];
	if (code == CURLE_OPERATION_TIMEDOUT)
		explain_timeout(probe, result);
	else if (code == CURLE_COULDNT_CONNECT)
		probe_explain(result, "%s", connect_text(probe));
	else
		explain_in_words(probe, code, result);
}

/* libcurl may have stumbled over the connection's end first, and only found
 * the alert when it closed. */
static void explain_alert(const struct probe *probe, CURLcode code,
                          struct probe_result *result)
{
	if (strstr(probe->error, "alert") != NULL)
		explain_in_words(probe, code, result);
	else
		probe_explain(result, "TLS alert %d from the server",
		              probe->tls.alert);
}

static bool judge_tls(const struct probe *probe, CURLcode code,
                      struct probe_result *result)
{
	if (probe->stop == STOP_ALPN)
		probe_explain(
			result,
			"no HTTP/2: the server has not agreed to it (ALPN)");
	else if (code != CURLE_OK && probe->tls.alert != 0)
		explain_alert(probe, code, result);
	else
		return false;
	result->outcome = HEALTH_L6TLS;
	return true;
}

void probe_advice(const struct probe *probe, struct agent_advice *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (probe->check->advise != NULL)
		probe->check->advise(probe, ret);
}

void probe_judge(const struct probe *probe, const struct settings *settings,
                 struct probe_result *ret)
{
	*ret = probe->measured;
	if (!judge_local(probe, probe->code, ret) &&
	    !judge_tls(probe, probe->code, ret) &&
	    !probe->check->judge(probe, settings, ret))
		judge_failure(probe, probe->code, ret);
}
