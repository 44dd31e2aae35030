/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Probes in flight: each is one transfer of libcurl, told to connect where
 * we say.
 *
 * libcurl caches what it learns of a host by the host in the URL, and some of
 * its caches are walked for each transfer.  All probes therefore have the
 * same URL, of a host that is never looked at: where to connect is decided
 * when libcurl asks for a socket, and what the Host field says is set apart.
 * With all options that do not depend on the probe set once per handle, a
 * check costs libcurl the same however many hosts there are.
 *
 * Connections are closed by a reset (SO_LINGER 0).  An orderly close would
 * leave the port in TIME_WAIT for a minute, and ten thousand checks a second
 * of a few addresses would be out of ports within seconds.
 *
 * What became of a probe is decided in this order: failures of our own
 * resources, which say nothing about the host; what the kind of check makes
 * of an answer; then failure_outcomes[].
 */
#include "probe.h"

#include "probe_private.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CONSTANT_URL "http://127.0.0.1/"
#define BUFFER_SIZE  4096L /* answers to checks are short */

struct prober {
	struct curl_loop *loop;
	CURLU *url; /* CONSTANT_URL, parsed once */
	struct probe *in_flight;
	struct probe *idle; /* last used first: its memory is warm */
};

static const struct check *const checks[] = {
	[CHECK_HTTP] = &check_http,
	[CHECK_TCP] = &check_tcp,
};

/* What a failed transfer means, before and after there was a connection.
 * Any other code: */
static const struct failure_outcome {
	CURLcode code;
	enum health_outcome connecting;
	enum health_outcome connected;
} failure_outcomes[] = {
	{ CURLE_OPERATION_TIMEDOUT, HEALTH_L4TOUT, HEALTH_L7TOUT },
	{ CURLE_COULDNT_CONNECT, HEALTH_L4CON, HEALTH_L4CON },
}, any_other_failure = { 0, HEALTH_INCONCL, HEALTH_L7RSP };

/* errno of socket() and connect() for which the host is not to blame */
static const int local_errnos[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM,
	                            EADDRNOTAVAIL };

static struct probe *probe_of(struct curl_transfer *transfer)
{
	return (struct probe *) transfer;
}

/* --- what libcurl asks --------------------------------------------------- */

static curl_socket_t on_open_socket(void *userdata, curlsocktype purpose,
                                    struct curl_sockaddr *target)
{
	static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	static const int off = 0;
	struct probe *probe = userdata;
	const struct address *address = &probe->address;
	int fd;

	(void) purpose;
	fd = socket(address->any.sa_family,
	            SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		probe->socket_errno = errno;
		return CURL_SOCKET_BAD;
	}
	if (address->any.sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	/* the request acknowledges the backend's half of the handshake, and
	 * wakes it once */
	if (address->any.sa_family != AF_UNIX && probe->check->speaks_first)
		setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
	target->family = address->any.sa_family;
	target->addrlen = address->length;
	/* libcurl has room for any address behind what it declares */
	memcpy((char *) target + offsetof(struct curl_sockaddr, addr),
	       &address->any, address->length);
	return fd;
}

/* --- what became of it ---------------------------------------------------- */

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
	if (probe->transfer.watch_error != 0)
		error = -probe->transfer.watch_error;
	else if (code == CURLE_COULDNT_CONNECT && is_local(connect_errno(probe)))
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

static void explain_failure(const struct probe *probe, CURLcode code,
                            struct probe_result *result)
{
	const struct settings *settings = probe->settings;

	if (result->outcome == HEALTH_L4TOUT)
		probe_explain(result, "no connection within %u ms",
		              settings->connect_timeout_ms);
	else if (result->outcome == HEALTH_L7TOUT)
		probe_explain(result, "no complete answer within %u ms",
		              settings->connect_timeout_ms +
		                      settings->read_timeout_ms);
	else if (code == CURLE_COULDNT_CONNECT)
		probe_explain(result, "%s", connect_text(probe));
	else
		probe_explain(result, "%s",
		              probe->error[0] != '\0'
		                      ? probe->error
		                      : curl_easy_strerror(code));
}

static void judge_failure(const struct probe *probe, CURLcode code,
                          struct probe_result *result)
{
	const struct failure_outcome *row = &any_other_failure;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(failure_outcomes); i++)
		if (failure_outcomes[i].code == code)
			row = &failure_outcomes[i];
	result->outcome = result->connect_us > 0 ? row->connected
	                                         : row->connecting;
	explain_failure(probe, code, result);
}

static uint32_t phase_us(const struct probe *probe, CURLINFO phase)
{
	curl_off_t us = 0;

	curl_easy_getinfo(probe->transfer.easy, phase, &us);
	return us < UINT32_MAX ? (uint32_t) us : UINT32_MAX;
}

/* --- the pool ------------------------------------------------------------ */

static void probe_free(struct probe *probe)
{
	if (probe == NULL)
		return;
	curl_easy_cleanup(probe->transfer.easy);
	free(probe->http.headers);
	free(probe);
}

static void on_done(struct curl_transfer *transfer, CURLcode code);

static CURLcode set_constant_options(struct probe *probe)
{
	CURL *easy = probe->transfer.easy;
	CURLcode code = CURLE_OK;
	size_t i;

	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, probe);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, probe->error);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_SIZE);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, -1L);
	for (i = 0; i < ARRAY_SIZE(checks) && code == CURLE_OK; i++)
		if (checks[i]->init != NULL)
			code = checks[i]->init(probe);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_CURLU, 
		                        probe->prober->url);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
	/* else the environment is searched each time */
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	return code;
}

static struct probe *probe_new(struct prober *prober)
{
	struct probe *probe;

	probe = calloc(1, sizeof(*probe));
	if (probe == NULL)
		return NULL;
	probe->prober = prober;
	probe->transfer.done = on_done;
	probe->transfer.easy = curl_easy_init();
	if (probe->transfer.easy == NULL ||
	    set_constant_options(probe) != CURLE_OK) {
		probe_free(probe);
		return NULL;
	}
	return probe;
}

static struct probe *take_idle(struct prober *prober)
{
	struct probe *probe = prober->idle;

	if (probe == NULL)
		return probe_new(prober);
	prober->idle = probe->next;
	return probe;
}

static void put_idle(struct probe *probe)
{
	probe->next = probe->prober->idle;
	probe->prober->idle = probe;
}

static void link_in_flight(struct probe *probe)
{
	struct prober *prober = probe->prober;

	probe->previous = NULL;
	probe->next = prober->in_flight;
	if (probe->next != NULL)
		probe->next->previous = probe;
	prober->in_flight = probe;
}

static void unlink_in_flight(struct probe *probe)
{
	if (probe->next != NULL)
		probe->next->previous = probe->previous;
	if (probe->previous != NULL)
		probe->previous->next = probe->next;
	else
		probe->prober->in_flight = probe->next;
}

/* --- for the callers ------------------------------------------------------ */

static void on_done(struct curl_transfer *transfer, CURLcode code)
{
	struct probe *probe = probe_of(transfer);
	probe_done_fn done = probe->done;
	void *owner = probe->owner;
	struct probe_result result = { 0 };

	result.connect_us = phase_us(probe, CURLINFO_CONNECT_TIME_T);
	result.first_byte_us = phase_us(probe, CURLINFO_STARTTRANSFER_TIME_T);
	result.total_us = phase_us(probe, CURLINFO_TOTAL_TIME_T);
	if (!judge_local(probe, code, &result) &&
	    !probe->check->judge(probe, code, &result))
		judge_failure(probe, code, &result);
	unlink_in_flight(probe);
	/* A handle never forgets an errno, and would blame it for a later
	 * failure that has none. */
	if (code == CURLE_COULDNT_CONNECT)
		probe_free(probe);
	else
		put_idle(probe);
	done(owner, &result);
}

int probe_start(struct prober *prober, const struct address *address,
                const struct settings *settings, probe_done_fn done,
                void *owner, struct probe **ret)
{
	struct probe *probe;
	CURL *easy;
	int r;

	probe = take_idle(prober);
	if (probe == NULL)
		return -ENOMEM;
	probe->check = checks[settings->check];
	probe->settings = settings;
	probe->done = done;
	probe->owner = owner;
	probe->address = *address;
	if (settings->port != 0)
		address_set_port(&probe->address, settings->port);
	probe->socket_errno = 0;
	probe->stop = STOP_NONE;
	probe->error[0] = '\0';

	easy = probe->transfer.easy;
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
	                 (long) settings->connect_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
	                 (long) settings->connect_timeout_ms +
	                         (long) settings->read_timeout_ms);
	r = probe->check->prepare(probe) == CURLE_OK ? 0 : -ENOMEM;
	if (r >= 0)
		r = curl_loop_add(prober->loop, &probe->transfer);
	if (r < 0) {
		put_idle(probe);
		return r;
	}
	link_in_flight(probe);
	*ret = probe;
	return 0;
}

void probe_cancel(struct probe *probe)
{
	if (probe == NULL)
		return;
	curl_loop_remove(probe->prober->loop, &probe->transfer);
	unlink_in_flight(probe);
	put_idle(probe);
}

int prober_new(struct prober **ret, struct curl_loop *loop)
{
	struct prober *prober;

	prober = calloc(1, sizeof(*prober));
	if (prober == NULL)
		return -ENOMEM;
	prober->loop = loop;
	prober->url = curl_url();
	if (prober->url == NULL ||
	    curl_url_set(prober->url, CURLUPART_URL, CONSTANT_URL, 0) !=
	            CURLUE_OK) {
		prober_free(prober);
		return -ENOMEM;
	}
	*ret = prober;
	return 0;
}

void prober_free(struct prober *prober)
{
	struct probe *probe;

	if (prober == NULL)
		return;
	while (prober->in_flight != NULL)
		probe_cancel(prober->in_flight);
	while ((probe = prober->idle) != NULL) {
		prober->idle = probe->next;
		probe_free(probe);
	}
	curl_url_cleanup(prober->url);
	free(prober);
}
