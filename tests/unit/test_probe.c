/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Probes against real sockets: backends well and sick, what a request looks
 * like on the wire, and what is left behind.
 */
#include "fixture_probe.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/resource.h>

#define UNIX_PATH "unix:/tmp/checkerd-test-probe.sock"

/* --- outcomes --------------------------------------------------------------- */

static const struct story {
	const char *name;
	backend_script script;
	const char *text;
	const char *method;
	enum health_outcome outcome;
	unsigned http_status;
	const char *message;
} stories[] = {
	{ "healthy", script_answer, OK_ANSWER, "GET", HEALTH_L7OK, 200, "" },
	{ "healthy, ended by a close", script_answer_and_close,
	  "HTTP/1.0 200 OK\r\n\r\nok", "GET", HEALTH_L7OK, 200, "" },
	{ "no body", script_answer, "HTTP/1.1 204 No Content\r\n\r\n", "GET",
	  HEALTH_L7OK, 204, "" },
	{ "a redirect is not followed", script_answer,
	  "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
	  "Content-Length: 0\r\n\r\n",
	  "GET", HEALTH_L7OK, 302, "" },
	{ "informational first", script_answer,
	  "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" OK_ANSWER, "GET",
	  HEALTH_L7OK, 200, "" },
	{ "switched protocols", script_answer,
	  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
	  "Connection: Upgrade\r\n\r\n",
	  "GET", HEALTH_L7STS, 101, "101 Switching Protocols, expected 200-399" },
	{ "HEAD has no body to wait for", script_answer,
	  "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "HEAD", HEALTH_L7OK,
	  200, "" },
	{ "chunked", script_answer,
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	  "2\r\nok\r\n0\r\nA: b\r\n\r\n",
	  "GET", HEALTH_L7OK, 200, "" },
	{ "wrong status", script_answer,
	  "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
	  "GET", HEALTH_L7STS, 503,
	  "503 Service Unavailable, expected 200-399" },
	{ "a status with escapes", script_answer,
	  "HTTP/1.1 500 \033[31m\xff\r\nContent-Length: 0\r\n\r\n", "GET",
	  HEALTH_L7STS, 500, "500 ?[31m?, expected 200-399" },
	{ "a long reason", script_answer,
	  "HTTP/1.1 500 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "\r\nContent-Length: 0\r\n\r\n",
	  "GET", HEALTH_L7STS, 500,
	  "500 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, expected "
	  "200-399" },
	{ "no reason", script_answer,
	  "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", "GET", HEALTH_L7STS, 404,
	  "404, expected 200-399" },
	{ "no such status", script_answer,
	  "HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n", "GET", HEALTH_L7STS,
	  999, "999 x, expected 200-399" },
	{ "silent", script_silent, "", "GET", HEALTH_L7TOUT, 0,
	  "no complete answer within 300 ms" },
	{ "a byte at a time", script_slow, OK_ANSWER, "GET", HEALTH_L7TOUT, 0,
	  "no complete answer within 300 ms" },
	{ "body without end, slowly", script_slow,
	  "HTTP/1.1 200 OK\r\n\r\naaaaaaaaaaaaaaaaaaaa", "GET", HEALTH_L7TOUT,
	  0, NULL },
	{ "body cut short", script_answer,
	  "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok", "GET",
	  HEALTH_L7TOUT, 200, NULL },
	{ "body cut short by a close", script_answer_and_close,
	  "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok", "GET",
	  HEALTH_L7RSP, 200, NULL },
	{ "endless body", script_repeat,
	  "HTTP/1.1 200 OK\r\n\r\n0123456789012345678901234567890123456789",
	  "GET", HEALTH_L7OK, 200, "" },
	{ "endless body, wrong status", script_repeat,
	  "HTTP/1.1 500 No\r\n\r\n0123456789012345678901234567890123456789",
	  "GET", HEALTH_L7STS, 500, "500 No, expected 200-399" },
	{ "endless header fields", script_repeat,
	  "HTTP/1.1 200 OK\r\nA: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
	  "GET", HEALTH_L7RSP, 200, "more than 65536 bytes of header fields" },
	{ "one endless header field", script_repeat,
	  "HTTP/1.1 200 OK\r\nA: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "GET",
	  HEALTH_L7RSP, 200, NULL },
	{ "endless informational answers", script_repeat,
	  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", "GET",
	  HEALTH_L7RSP, 100, NULL },
	{ "a chunk of no size", script_answer,
	  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	  "00000000000000000000000000000000000001",
	  "GET", HEALTH_L7RSP, 200, NULL },
	{ "garbage", script_answer_and_close, "\x16\x03\x01\x02\x00\x01\r\n\r\n",
	  "GET", HEALTH_L7RSP, 0, NULL },
	{ "HTTP/0.9", script_answer_and_close, "<html>ok</html>\r\n", "GET",
	  HEALTH_L7RSP, 0, NULL },
	{ "another protocol", script_answer, "SSH-2.0-OpenSSH_9.2p1\r\n", "GET",
	  HEALTH_L7RSP, 0, NULL },
	{ "HTTP/2 unasked", script_answer,
	  "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", HEALTH_L7RSP, 0,
	  NULL },
	{ "closed at once", script_close, "", "GET", HEALTH_L7RSP, 0, NULL },
	{ "closed after the request", script_answer_and_close, "", "GET",
	  HEALTH_L7RSP, 0, NULL },
	{ "reset after the request", script_reset, "", "GET", HEALTH_L7RSP, 0,
	  NULL },
};

static void test_outcomes(void **state)
{
	struct settings settings = some_settings();
	const struct story *story;
	struct probe_result result;
	struct backend backend;

	for (story = stories; story < stories + ARRAY_SIZE(stories); story++) {
		backend_start(&backend, "127.0.0.1", story->script,
		              story->text);
		settings.method = story->method;
		result = probe_once(*state, &backend.address, &settings);
		backend_stop(&backend);
		if (result.outcome != story->outcome ||
		    (story->http_status != 0 &&
		     result.http_status != story->http_status) ||
		    (story->message != NULL &&
		     strcmp(result.message, story->message) != 0))
			fail_msg("%s: %s %u \"%s\"", story->name,
			         health_outcome_name(result.outcome),
			         result.http_status, result.message);
		assert_true(result.connect_us > 0);
		assert_true(result.total_us >= result.connect_us);
		assert_true(result.total_us < 450000);
		if (result.outcome != HEALTH_L7OK)
			assert_true(result.message[0] != '\0');
	}
}

static void test_refused_is_L4CON(void **state)
{
	static const char *const addresses[] = { "127.0.0.1", "[::1]",
		                                 UNIX_PATH };
	struct settings settings = some_settings();
	struct probe_result result;
	struct backend backend;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(addresses); i++) {
		backend_listen(&backend, addresses[i], 1);
		close(backend.fd);
		settings.check = i == 0 ? CHECK_TCP : CHECK_HTTP;
		result = probe_once(*state, &backend.address, &settings);
		assert_int_equal(result.outcome, HEALTH_L4CON);
		assert_string_equal(result.message, "Connection refused");
		assert_int_equal(result.connect_us, 0);
	}
	unlink(backend.address.un.sun_path);
	result = probe_once(*state, &backend.address, &settings);
	assert_int_equal(result.outcome, HEALTH_L4CON);
	assert_string_equal(result.message, "No such file or directory");
}

/* Fills a queue that nobody accepts from. */
static void fill_queue(const struct backend *backend, int *fds, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		fds[i] = socket(backend->address.any.sa_family,
		                SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(fds[i], &backend->address.any,
		        backend->address.length);
	}
}

static void test_full_queue_of_tcp_is_L4TOUT(void **state)
{
	struct settings settings = some_settings();
	struct probe_result result;
	struct backend backend;
	int fds[4];
	size_t i;

	backend_listen(&backend, "127.0.0.1", 1);
	fill_queue(&backend, fds, ARRAY_SIZE(fds));
	settings.connect_timeout_ms = 50;
	for (i = 0; i < 2; i++) {
		settings.check = i == 0 ? CHECK_HTTP : CHECK_TCP;
		result = probe_once(*state, &backend.address, &settings);
		assert_int_equal(result.outcome, HEALTH_L4TOUT);
		assert_string_equal(result.message,
		                    "no connection within 50 ms");
		assert_true(result.total_us >= 50000);
		assert_true(result.total_us < 90000);
	}
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	close(backend.fd);
}

static void test_full_queue_of_unix_is_L4CON(void **state)
{
	struct settings settings = some_settings();
	struct probe_result result;
	struct backend backend;
	int fds[4];
	size_t i;

	/* that one's errno must not be mistaken for the next one's */
	backend_listen(&backend, "127.0.0.1", 1);
	close(backend.fd);
	result = probe_once(*state, &backend.address, &settings);
	assert_string_equal(result.message, "Connection refused");

	backend_listen(&backend, UNIX_PATH, 1);
	fill_queue(&backend, fds, ARRAY_SIZE(fds));
	for (i = 0; i < 2; i++) {
		settings.check = i == 0 ? CHECK_HTTP : CHECK_TCP;
		result = probe_once(*state, &backend.address, &settings);
		assert_int_equal(result.outcome, HEALTH_L4CON);
		assert_string_equal(result.message,
		                    "the queue of connections is full");
	}
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	close(backend.fd);
	unlink(backend.address.un.sun_path);
}

static void test_tcp_check_closes_its_connection(void **state)
{
	static const char *const addresses[] = { "127.0.0.1", "[::1]",
		                                 UNIX_PATH };
	struct settings settings = some_settings();
	struct probe_result result;
	struct backend backend;
	unsigned fds;
	size_t i;

	settings.check = CHECK_TCP;
	for (i = 0; i < ARRAY_SIZE(addresses); i++) {
		fds = open_fds();
		backend_start(&backend, addresses[i], script_silent, "");
		result = probe_once(*state, &backend.address, &settings);
		assert_int_equal(result.outcome, HEALTH_L4OK);
		assert_true(result.connect_us > 0);
		backend_stop(&backend); /* waits for the connection's end */
		assert_int_equal(open_fds(), fds);
	}
}

static void test_short_deadlines_are_kept(void **state)
{
	struct settings settings = some_settings();
	struct probe_result result;
	struct backend backend;

	backend_start(&backend, "127.0.0.1", script_silent, "");
	settings.connect_timeout_ms = 5;
	settings.read_timeout_ms = 5;
	result = probe_once(*state, &backend.address, &settings);
	backend_stop(&backend);
	assert_int_equal(result.outcome, HEALTH_L7TOUT);
	assert_true(result.total_us >= 10000);
	assert_true(result.total_us < 40000);
}

/* --- the request ------------------------------------------------------------- */

static void expect_request(struct fixture *fixture, const char *address,
                           const struct settings *settings,
                           const char *format, bool with_address)
{
	char wanted[1024], text[ADDRESS_TEXT_SIZE];
	struct probe_result result;
	struct backend backend;

	backend_start(&backend, address, script_answer, OK_ANSWER);
	result = probe_once(fixture, &backend.address, settings);
	backend_stop(&backend);
	assert_int_equal(result.outcome, HEALTH_L7OK);
	if (with_address)
		snprintf(wanted, sizeof(wanted), format,
		         address_text(&backend.address, text));
	else
		snprintf(wanted, sizeof(wanted), "%s", format);
	assert_string_equal(backend.request, wanted);
}

static void test_requests(void **state)
{
	static const char *const headers[] = { "X-One: 1", "Content-Type: a/b",
		                               NULL };
	static const char *const own_headers[] = { "host: from.header",
		                                   "connection: keep-alive",
		                                   "user-agent: mine",
		                                   "accept: a/b", NULL };
	struct settings settings = some_settings();

	expect_request(*state, "127.0.0.1", &settings,
	               "GET / HTTP/1.1\r\nHost: %s\r\n"
	               "User-Agent: checkerd/test\r\n"
	               "Connection: close\r\n\r\n",
	               true);
	settings.path = "/a/../b?c=d%20e";
	expect_request(*state, "[::1]", &settings,
	               "GET /a/../b?c=d%%20e HTTP/1.1\r\nHost: %s\r\n"
	               "User-Agent: checkerd/test\r\n"
	               "Connection: close\r\n\r\n",
	               true);
	settings.path = "/";
	settings.http_version = HTTP_1_0;
	settings.user_agent = "";
	expect_request(*state, UNIX_PATH, &settings,
	               "GET / HTTP/1.0\r\nHost: localhost\r\n"
	               "Connection: close\r\n\r\n",
	               false);
	settings.http_version = HTTP_1_1;
	settings.method = "POST";
	settings.body = "{}";
	settings.http_host = "example.org";
	settings.headers = headers;
	expect_request(*state, "127.0.0.1", &settings,
	               "POST / HTTP/1.1\r\nHost: example.org\r\nX-One: 1\r\n"
	               "Content-Type: a/b\r\nConnection: close\r\n"
	               "Content-Length: 2\r\n\r\n{}",
	               false);
	settings.method = "PUT";
	settings.body = "";
	settings.headers = no_headers;
	settings.user_agent = "other";
	expect_request(*state, "127.0.0.1", &settings,
	               "PUT / HTTP/1.1\r\nHost: example.org\r\n"
	               "User-Agent: other\r\nConnection: close\r\n"
	               "Content-Length: 0\r\n\r\n",
	               false);
	settings.method = "HEAD";
	settings.headers = own_headers;
	expect_request(*state, "127.0.0.1", &settings,
	               "HEAD / HTTP/1.1\r\nHost: from.header\r\n"
	               "connection: keep-alive\r\nuser-agent: mine\r\n"
	               "accept: a/b\r\n\r\n",
	               false);
	settings.method = "OPTIONS";
	settings.headers = no_headers;
	expect_request(*state, "127.0.0.1", &settings,
	               "OPTIONS / HTTP/1.1\r\nHost: example.org\r\n"
	               "User-Agent: other\r\nConnection: close\r\n\r\n",
	               false);
}

static void test_port_override(void **state)
{
	struct settings settings = some_settings();
	struct probe_result result;
	struct backend backend;
	struct address address;

	backend_start(&backend, "127.0.0.1", script_answer, OK_ANSWER);
	address = backend.address;
	address_set_port(&address, 1);
	settings.port = address_port(&backend.address);
	result = probe_once(*state, &address, &settings);
	backend_stop(&backend);
	assert_int_equal(result.outcome, HEALTH_L7OK);
}

/* --- cancelling and starting anywhere ---------------------------------------- */

static void test_cancelled_probe_is_silent(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = some_settings();
	struct backend backend;
	struct seen seen;
	struct probe *probe;
	unsigned fds = open_fds();

	backend_start(&backend, "127.0.0.1", script_silent, "");
	settings.connect_timeout_ms = settings.read_timeout_ms = 10;
	probe_cancel(start(fixture, &backend.address, &settings, &seen));
	probe = start(fixture, &backend.address, &settings, &seen);
	run_for(fixture, 5000);
	probe_cancel(probe);
	run_for(fixture, 30000);
	backend_stop(&backend);
	assert_int_equal(seen.calls, 0);
	assert_int_equal(open_fds(), fds);
	probe_cancel(NULL);
}

struct chain {
	struct fixture *fixture;
	const struct settings *settings;
	const struct address *address;
	struct probe *other; /* while it is in flight */
	const struct seen *seen_other;
	unsigned calls;
	unsigned left;
};

static void on_link(void *owner, const struct probe *done)
{
	struct chain *chain = owner;
	struct probe_result result;
	struct probe *probe;

	probe_judge(done, chain->settings, &result);
	assert_int_equal(result.outcome, HEALTH_L7OK);
	chain->calls++;
	if (chain->seen_other->calls == 0)
		probe_cancel(chain->other);
	chain->other = NULL;
	if (chain->left-- > 0)
		assert_int_equal(probe_start(chain->fixture->prober, NULL,
		                             chain->address, chain->settings,
		                             NULL, on_link, chain, &probe),
		                 0);
}

static void test_start_and_cancel_from_within(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = some_settings();
	struct backend backend;
	struct seen seen[2];
	struct chain chain = { .fixture = fixture,
		               .settings = &settings,
		               .address = &backend.address,
		               .seen_other = &seen[0],
		               .left = 10 };
	struct probe *probe;

	settings.read_timeout_ms = 5000;
	backend_start(&backend, "127.0.0.1", script_answer, OK_ANSWER);
	chain.other = start(fixture, &backend.address, &settings, &seen[0]);
	assert_int_equal(probe_start(fixture->prober, NULL, &backend.address,
	                             &settings, NULL, on_link, &chain, &probe),
	                 0);
	/* both answers are there when the loop looks: whichever comes first
	 * must not hear of the other if it cancelled it */
	run_until(fixture, &chain.calls, 11);
	start(fixture, &backend.address, &settings, &seen[1]);
	run_until(fixture, &seen[1].calls, 1);
	backend_stop(&backend);
	assert_in_range(seen[0].calls, 0, 1);
}

static void test_prober_cancels_what_is_in_flight(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = some_settings();
	struct backend backend;
	struct seen seen[3];
	unsigned fds = open_fds();
	size_t i;

	settings.connect_timeout_ms = settings.read_timeout_ms = 10;
	backend_start(&backend, "127.0.0.1", script_silent, "");
	for (i = 0; i < ARRAY_SIZE(seen); i++)
		start(fixture, &backend.address, &settings, &seen[i]);
	run_for(fixture, 5000);
	prober_free(fixture->prober);
	fixture->prober = NULL;
	run_for(fixture, 30000);
	backend_stop(&backend);
	for (i = 0; i < ARRAY_SIZE(seen); i++)
		assert_int_equal(seen[i].calls, 0);
	assert_int_equal(open_fds(), fds);
}

/* Connections in TIME_WAIT from or to the port. */
static unsigned time_waits(uint16_t port)
{
	FILE *file = fopen("/proc/net/tcp", "r");
	unsigned from, to, state, count = 0;
	char line[256];

	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "%*d: %*x:%x %*x:%x %x", &from, &to, &state) ==
		            3 &&
		    state == 6 && (from == port || to == port))
			count++;
	fclose(file);
	return count;
}

static void test_ports_are_free_again(void **state)
{
	static const backend_script scripts[] = { script_answer,
		                                  script_answer_and_close };
	struct settings settings = some_settings();
	struct backend backend;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(scripts); i++) {
		backend_start(&backend, "127.0.0.1", scripts[i], OK_ANSWER);
		for (j = 0; j < 10; j++) {
			settings.check = j % 2 == 0 ? CHECK_HTTP : CHECK_TCP;
			probe_once(*state, &backend.address, &settings);
		}
		backend_stop(&backend);
		assert_int_equal(time_waits(address_port(&backend.address)), 0);
	}
}

/* --- our own limits ----------------------------------------------------------- */

static void test_no_descriptors_is_INCONCL(void **state)
{
	struct settings settings = some_settings();
	struct rlimit limit, low;
	struct probe_result result;
	struct backend backend;

	backend_start(&backend, "127.0.0.1", script_answer, OK_ANSWER);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	result = probe_once(*state, &backend.address, &settings);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(result.outcome, HEALTH_INCONCL);
	assert_string_equal(result.message, "no probe: Too many open files");

	result = probe_once(*state, &backend.address, &settings);
	backend_stop(&backend);
	assert_int_equal(result.outcome, HEALTH_L7OK);
}

#define MANY 2000

static void test_many_in_flight(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = some_settings();
	struct seen *seen = calloc(MANY, sizeof(*seen));
	struct backend silent;
	unsigned fds, calls = 0;
	size_t i, round, heap[2];

	settings.connect_timeout_ms = 2000;
	settings.read_timeout_ms = 0;
	/* a queue that takes them all, and nobody who answers */
	backend_listen(&silent, "127.0.0.1", 4096);
	fds = open_fds();
	for (round = 0; round < 2; round++) {
		settings.connect_timeout_ms = 500;
		for (i = 0; i < MANY; i++)
			start(fixture, &silent.address, &settings, &seen[i]);
		for (i = 0; i < MANY; i++) {
			run_until(fixture, &seen[i].calls, 1);
			assert_int_equal(seen[i].calls, 1);
			assert_int_equal(seen[i].result.outcome,
			                 HEALTH_L7TOUT);
			calls++;
		}
		assert_int_equal(open_fds(), fds);
		heap[round] = mallinfo2().uordblks;
	}
	assert_int_equal(calls, 2 * MANY);
	/* the second round ran on what the first had made */
	assert_true(heap[1] < heap[0] + 64 * 1024);
	close(silent.fd);
	free(seen);
}

/* Each of the floods, by many at once: what is held must not depend on how
 * much they send. */
static void test_memory_is_bounded(void **state)
{
	static const char *const floods[] = {
		"HTTP/1.1 200 OK\r\n\r\n01234567890123456789",
		"HTTP/1.1 200 OK\r\nA:\r\nA:\r\nA:\r\nA:\r\n",
		"HTTP/1.1 200 OK\r\nA: aaaaaaaaaaaaaaaaaaaa",
		"HTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\n",
	};
	struct fixture *fixture = *state;
	struct settings settings = some_settings();
	struct seen seen[20];
	struct backend backend;
	size_t i, flood, before;

	settings.read_timeout_ms = 5000;
	for (flood = 0; flood < ARRAY_SIZE(floods); flood++) {
		backend_start(&backend, "127.0.0.1", script_repeat,
		              floods[flood]);
		for (i = 0; i < ARRAY_SIZE(seen); i++)
			start(fixture, &backend.address, &settings, &seen[i]);
		before = mallinfo2().uordblks;
		for (i = 0; i < ARRAY_SIZE(seen); i++) {
			while (seen[i].calls == 0) {
				sd_event_run(fixture->event, USEC_PER_SEC);
				assert_true(mallinfo2().uordblks <
				            before + ARRAY_SIZE(seen) * 400 *
				                             1024);
			}
			assert_int_equal(seen[i].result.outcome,
			                 flood == 0 ? HEALTH_L7OK
			                            : HEALTH_L7RSP);
		}
		backend_stop(&backend);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(test_outcomes),
		TEST(test_refused_is_L4CON),
		TEST(test_full_queue_of_tcp_is_L4TOUT),
		TEST(test_full_queue_of_unix_is_L4CON),
		TEST(test_tcp_check_closes_its_connection),
		TEST(test_short_deadlines_are_kept),
		TEST(test_requests),
		TEST(test_port_override),
		TEST(test_cancelled_probe_is_silent),
		TEST(test_start_and_cancel_from_within),
		TEST(test_prober_cancels_what_is_in_flight),
		TEST(test_ports_are_free_again),
		TEST(test_no_descriptors_is_INCONCL),
		TEST(test_many_in_flight),
		TEST(test_memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
