/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Probes in flight: each is one transfer of libcurl, told to connect where
 * we say, or goes without it (probe_direct.c).
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
 * With TLS the host in the URL is the name that the certificate must have, so
 * that there it is what libcurl is told to connect to that is constant.
 */
#include "probe.h"

#include "clock.h"
#include "probe_private.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#define CONSTANT_URL   "http://127.0.0.1/"
#define CONSTANT_PLACE "::127.0.0.1:80" /* any host and port: there */
#define BODY_IDLE_MAX  (16 * 1024)
#define BUFFER_SIZE    4096L /* answers to checks are short */
/* In the environment: nothing goes direct.  For tests, which compare. */
#define CURL_ONLY "CHECKERD_CURL_ONLY"

static const struct check *const checks[CHECK_KIND_COUNT] = {
	[CHECK_HTTP] = &check_http, [CHECK_HTTPS] = &check_https,
	[CHECK_H2] = &check_h2,     [CHECK_H2C] = &check_h2c,
	[CHECK_GRPC] = &check_grpc, [CHECK_GRPCS] = &check_grpcs,
	[CHECK_TCP] = &check_tcp,   [CHECK_TLS] = &check_tls,
};

static struct probe *probe_of(struct curl_transfer *transfer)
{
	return (struct probe *) transfer;
}

/* --- its time ----------------------------------------------------------- */

static uint64_t patience_us(const struct probe *probe)
{
	return (probe->settings->connect_timeout_ms +
	        probe->settings->read_timeout_ms) *
	       USEC_PER_MSEC;
}

void probe_begin(struct probe *probe)
{
	if (probe->began_us != 0)
		return;
	probe->began_us = monotonic_us();
	probe->until_us = probe->began_us + patience_us(probe);
	probe->transfer.talk_until_us = probe->until_us;
}

/* --- what libcurl asks -------------------------------------------------- */

int probe_open_socket(struct probe *probe)
{
	static const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	static const int off = 0;
	const struct address *address = &probe->address;
	int fd;

	probe_begin(probe);
	probe->phase = PHASE_CONNECT;
	fd = socket(address->any.sa_family,
	            SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		probe->socket_errno = errno;
		return -1;
	}
	if (address->any.sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	/* the request acknowledges the backend's half of the handshake, and
	 * wakes it once */
	if (address->any.sa_family != AF_UNIX && probe->check->speaks_first)
		setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
	return fd;
}

static curl_socket_t on_open_socket(void *userdata, curlsocktype purpose,
                                    struct curl_sockaddr *target)
{
	struct probe *probe = userdata;
	const struct address *address = &probe->address;
	int fd = probe_open_socket(probe);

	(void) purpose;
	if (fd < 0)
		return CURL_SOCKET_BAD;
	target->family = address->any.sa_family;
	target->addrlen = address->length;
	/* libcurl has room for any address behind what it declares */
	memcpy((char *) target + offsetof(struct curl_sockaddr, addr),
	       &address->any, address->length);
	return fd;
}

/* A server may ignore that it was asked for HTTP/2, and libcurl would make do
 * with less. */
static int on_connected(void *userdata, char *remote_ip, char *local_ip,
                        int remote_port, int local_port)
{
	struct probe *probe = userdata;

	(void) remote_ip;
	(void) local_ip;
	(void) remote_port;
	(void) local_port;
	probe_begin(probe);
	probe->phase = PHASE_TALK;
	if (!probe->check->tls || probe->check->http_major != '2' ||
	    probe_tls_has_h2(probe))
		return CURL_PREREQFUNC_OK;
	probe->stop = STOP_ALPN;
	return CURL_PREREQFUNC_ABORT;
}

/* --- what is kept of an answer ------------------------------------------ */

int probe_buffer_add(struct probe_buffer *buffer, const char *data, size_t size)
{
	size_t capacity = buffer->capacity > 0 ? buffer->capacity : 1024;
	char *grown;

	while (capacity - buffer->size < size)
		capacity *= 2;
	if (capacity > buffer->capacity) {
		grown = realloc(buffer->data, capacity);
		if (grown == NULL)
			return -ENOMEM;
		buffer->data = grown;
		buffer->capacity = capacity;
	}
	memcpy(buffer->data + buffer->size, data, size);
	buffer->size += size;
	return 0;
}

const char *probe_buffer_text(const struct probe_buffer *buffer)
{
	return buffer->data != NULL ? buffer->data : "";
}

static void buffer_clear(struct probe_buffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof(*buffer));
}

/* --- what libcurl measured ---------------------------------------------- */

static uint32_t phase_us(const struct probe *probe, CURLINFO phase)
{
	curl_off_t us = 0;

	curl_easy_getinfo(probe->transfer.easy, phase, &us);
	return us < UINT32_MAX ? (uint32_t) us : UINT32_MAX;
}

/* --- the pool ----------------------------------------------------------- */

static void probe_free(struct probe *probe)
{
	if (probe == NULL)
		return;
	curl_easy_cleanup(probe->transfer.easy);
	curl_url_cleanup(probe->tls.url);
	free(probe->http.headers);
	buffer_clear(&probe->body);
	buffer_clear(&probe->http.head);
	buffer_clear(&probe->direct.request);
	buffer_clear(&probe->direct.unread);
	free(probe);
}

static void on_done(struct curl_transfer *transfer, CURLcode code);

static CURLcode set_constant_options(struct probe *probe)
{
	CURL *easy = probe->transfer.easy;
	CURLcode code;

	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, probe);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, probe);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, probe->error);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_SIZE);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, -1L);
	code = probe_http_init(probe);
	if (code == CURLE_OK)
		code = probe_tls_init(probe);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR,
		                        "http,https");
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
	probe->direct.fd = -1;
	return probe;
}

/* Those that go direct never need a handle. */
static bool has_handle(struct probe *probe)
{
	CURL *easy = probe->transfer.easy;

	if (easy != NULL)
		return true;
	probe->transfer.easy = easy = curl_easy_init();
	if (easy != NULL && set_constant_options(probe) == CURLE_OK)
		return true;
	curl_easy_cleanup(easy);
	probe->transfer.easy = NULL;
	return false;
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

/* --- its end ------------------------------------------------------------ */

static void curl_measure(struct probe *probe)
{
	struct probe_result *result = &probe->measured;
	long opened = 0, status = 0;
	uint64_t first_us = probe->talk.first_byte_us;
	uint32_t past_us;

	curl_easy_getinfo(probe->transfer.easy, CURLINFO_RESPONSE_CODE,
	                  &status);
	probe->http.status = (unsigned) status;
	curl_easy_getinfo(probe->transfer.easy, CURLINFO_NUM_CONNECTS, &opened);
	result->total_us = phase_us(probe, CURLINFO_TOTAL_TIME_T);
	result->first_byte_us = phase_us(probe, CURLINFO_STARTTRANSFER_TIME_T);
	result->cert_expires_at_us = probe->tls.cert_expires_at_us;
	if (opened > 0) {
		result->connect_us = phase_us(probe, CURLINFO_CONNECT_TIME_T);
		result->tls_us = phase_us(probe, CURLINFO_APPCONNECT_TIME_T);
	} else if (probe->kept != NULL) {
		result->cert_expires_at_us = probe->kept->cert_expires_at_us;
	}
	/* libcurl's end with the connection */
	if (probe->talk.begun) {
		past_us = (uint32_t) (monotonic_us() - probe->began_us);
		if (past_us > result->total_us)
			result->total_us = past_us;
		result->first_byte_us =
			first_us ? (uint32_t) (first_us - probe->began_us) : 0;
	}
}

static void measure(struct probe *probe)
{
	probe->measured = (struct probe_result) { 0 };
	if (probe->direct.used)
		probe_direct_measure(probe);
	else
		curl_measure(probe);
}

/* Into the pool, without what it was sent for. */
static void end(struct probe *probe, bool reusable)
{
	if (probe->body.capacity > BODY_IDLE_MAX)
		buffer_clear(&probe->body);
	if (probe->http.head.capacity > BODY_IDLE_MAX)
		buffer_clear(&probe->http.head);
	unlink_in_flight(probe);
	if (reusable)
		put_idle(probe);
	else
		probe_free(probe);
}

/* Not 0, which would be for ever. */
static long time_left_ms(const struct probe *probe)
{
	uint64_t now_us = monotonic_us();

	if (probe->began_us == 0)
		return (long) (patience_us(probe) / USEC_PER_MSEC);
	if (now_us >= probe->until_us)
		return 1;
	return (long) ((probe->until_us - now_us + USEC_PER_MSEC - 1) /
	               USEC_PER_MSEC);
}

/* A kept connection that ends before anything came back tells nothing of the
 * host.  libcurl then asks again over a new one by itself, but five times in
 * all the life of a handle, and fails the sixth. */
static bool curl_again(struct probe *probe, CURLcode code)
{
	CURL *easy = probe->transfer.easy;
	uint64_t now_us = monotonic_us();
	long opened = 0;

	curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &opened);
	if (probe->kept == NULL || opened > 0 || code == CURLE_OK ||
	    code == CURLE_OPERATION_TIMEDOUT || probe->http.header_bytes > 0 ||
	    now_us >= probe->until_us)
		return false;
	probe->error[0] = '\0';
	probe->tls.alert = 0;
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, time_left_ms(probe));
	return curl_loop_add(probe->prober->loop, &probe->transfer) >= 0;
}

/* --- for the callers ---------------------------------------------------- */

static void on_done(struct curl_transfer *transfer, CURLcode code)
{
	struct probe *probe = probe_of(transfer);

	if (probe->direct.used ? probe_direct_again(probe, code)
	                       : curl_again(probe, code))
		return;
	probe->code = code;
	measure(probe);
	/* before `done`, which may start the line's next probe */
	if (probe->direct.used)
		probe_direct_give_back(probe, code);
	probe_line_give_back(probe);
	probe->done(probe->owner, probe);
	/* A handle never forgets an errno, and would blame it for a later
	 * failure that has none. */
	end(probe, probe->direct.used || code != CURLE_COULDNT_CONNECT);
}

void probe_rewind(struct probe *probe)
{
	probe->phase = PHASE_CONNECT;
	probe->socket_errno = 0;
	probe->stop = STOP_NONE;
	probe->error[0] = '\0';
	probe->body.size = 0;
	probe->http.head.size = 0;
	memset(&probe->talk, 0, sizeof(probe->talk));
	probe->tls.cert_expires_at_us = 0;
	probe->tls.alert = 0;
	probe->tls.problem[0] = '\0';
}

static int prepare(struct probe *probe)
{
	const struct settings *settings = probe->settings;
	CURL *easy = probe->transfer.easy;
	CURLcode code;

	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
	                 (long) settings->connect_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, time_left_ms(probe));
	probe->transfer.talk = probe->check->talk;
	curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN,
	                 probe->check->http_major != 0 ? 1L : 0L);
	if (probe->check->tls) {
		code = probe_tls_prepare(probe);
	} else {
		curl_easy_setopt(easy, CURLOPT_CONNECT_TO, NULL);
		code = curl_easy_setopt(easy, CURLOPT_CURLU,
		                        probe->prober->url);
	}
	if (code == CURLE_OK)
		code = probe->check->prepare(probe);
	if (code == CURLE_URL_MALFORMAT)
		return -EINVAL;
	return code == CURLE_OK ? 0 : -ENOMEM;
}

/* One to be completed and launched; NULL if there is no memory for it. */
static struct probe *ready(struct prober *prober, const struct check *check,
                           const struct address *address,
                           const struct settings *settings, probe_done_fn done,
                           void *owner)
{
	struct probe *probe = take_idle(prober);

	if (probe == NULL)
		return NULL;
	probe->check = check;
	probe->settings = settings;
	probe->wants = (struct probe_wants) { 0 };
	probe->done = done;
	probe->owner = owner;
	address_copy(&probe->address, address);
	return probe;
}

static int curl_launch(struct probe *probe)
{
	int r;

	probe->direct.used = false;
	if (!has_handle(probe))
		return -ENOMEM;
	r = probe_line_share(probe);
	if (r >= 0)
		r = prepare(probe);
	return r < 0 ? r : curl_loop_add(probe->prober->loop, &probe->transfer);
}

int probe_relaunch(struct probe *probe)
{
	return probe_direct_may(probe) ? probe_direct_launch(probe)
	                               : curl_launch(probe);
}

static int launch(struct probe *probe, struct probe_line *line,
                  struct probe **ret)
{
	int r;

	probe_rewind(probe);
	probe->began_us = 0;
	probe->until_us = 0;
	link_in_flight(probe);
	r = probe_line_take(line, probe);
	if (r >= 0)
		r = probe_relaunch(probe);
	if (r < 0) {
		probe_line_give_back(probe);
		end(probe, true);
		return r;
	}
	*ret = probe;
	return 0;
}

int probe_start(struct prober *prober, struct probe_line *line,
                const struct address *address, const struct settings *settings,
                const struct probe_wants *wants, probe_done_fn done,
                void *owner, struct probe **ret)
{
	struct probe *probe;

	assert(settings->check != CHECK_NONE);
	probe = ready(prober, checks[settings->check], address, settings, done,
	              owner);
	if (probe == NULL)
		return -ENOMEM;
	if (wants != NULL)
		probe->wants = *wants;
	else
		probe_wants_add(&probe->wants, settings);
	if (settings->port != 0)
		address_set_port(&probe->address, settings->port);
	return launch(probe, line, ret);
}

int probe_ask(struct prober *prober, const struct address *address,
              const struct settings *settings, probe_done_fn done, void *owner,
              struct probe **ret)
{
	struct probe *probe =
		ready(prober, &check_agent, address, settings, done, owner);

	return probe != NULL ? launch(probe, NULL, ret) : -ENOMEM;
}

void probe_cancel(struct probe *probe)
{
	if (probe == NULL)
		return;
	curl_loop_remove(probe->prober->loop, &probe->transfer);
	probe_direct_close(probe);
	probe_line_give_back(probe);
	end(probe, true);
}

int prober_new(struct prober **ret, struct curl_loop *loop)
{
	struct prober *prober;

	prober = calloc(1, sizeof(*prober));
	if (prober == NULL)
		return -ENOMEM;
	prober->loop = loop;
	prober->direct = getenv(CURL_ONLY) == NULL;
	prober->url = curl_url();
	prober->connect_to = curl_slist_append(NULL, CONSTANT_PLACE);
	if (prober->url == NULL || prober->connect_to == NULL ||
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
	prober_tls_release(prober);
	curl_url_cleanup(prober->url);
	curl_slist_free_all(prober->connect_to);
	free(prober);
}
