/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The server by itself: answers now and later, to clients that wait and to
 * such that have left, and streams.
 */
#include "unit.h"

#include "clock.h"
#include "http_server.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define PATIENCE_US (10 * USEC_PER_SEC)

struct fixture {
	sd_event *event;
	struct http_server *server;
	char folder[32];
	char path[64];
	struct http_request *kept[4]; /* those of /later */
	unsigned kept_count;
	unsigned handled;
	/* of /stream */
	const char *next;
	unsigned released;
};

static ssize_t pull(void *owner, char *buffer, size_t size)
{
	struct fixture *fixture = owner;
	size_t length = fixture->next ? strlen(fixture->next) : 0;

	if (length > 0 && strcmp(fixture->next, "end") == 0)
		return -1;
	assert_true(length <= size);
	memcpy(buffer, fixture->next ? fixture->next : "", length);
	fixture->next = NULL;
	return (ssize_t) length;
}

static void release(void *owner)
{
	struct fixture *fixture = owner;

	fixture->released++;
}

static void reply(struct http_request *request, const char *text)
{
	char *body = strdup(text);

	http_reply(request, 200, "text/plain", NULL, body, strlen(body));
}

static void echo(struct http_request *request)
{
	size_t size;
	const char *body = http_request_body(request, &size);
	const char *query = http_request_query(request, "q");
	uid_t uid = (uid_t) -1;
	pid_t pid = 0;
	char *text;

	assert_true(http_request_peer(request, &uid, &pid));
	assert_int_equal(uid, geteuid());
	assert_int_equal(pid, getpid());
	if (asprintf(&text, "%s %s q=%s x=%s %.*s",
	             http_request_method(request), http_request_path(request),
	             query ? query : "-",
	             http_request_header(request, "x-x")
	                     ? http_request_header(request, "x-x")
	                     : "-",
	             (int) size, body) > 0)
		http_reply(request, 200, "text/plain", "\"tag\"", text,
		           strlen(text));
}

static void handle(void *owner, struct http_request *request)
{
	struct fixture *fixture = owner;
	const char *path = http_request_path(request);

	fixture->handled++;
	if (strcmp(path, "/later") == 0)
		fixture->kept[fixture->kept_count++] = request;
	else if (strcmp(path, "/stream") == 0)
		http_stream(request, "text/plain", pull, release, fixture);
	else if (strcmp(path, "/error") == 0)
		http_reply_error(request, 422, "bad\"", "b\377d", "key");
	else
		echo(request);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->folder, "/tmp/http_server.XXXXXX");
	if (!mkdtemp(fixture->folder) || sd_event_new(&fixture->event) < 0)
		return -1;
	snprintf(fixture->path, sizeof(fixture->path), "%s/socket",
	         fixture->folder);
	if (http_server_new(&fixture->server, fixture->event, handle, fixture) <
	            0 ||
	    http_server_listen_unix(fixture->server, fixture->path, 0600,
	                            HTTP_CONTROL) < 0)
		return -1;
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	http_server_free(fixture->server);
	sd_event_unref(fixture->event);
	assert_int_equal(rmdir(fixture->folder), 0); /* the socket is gone */
	free(fixture);
	return 0;
}

static int client(const struct fixture *fixture, const char *data)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, fixture->path);
	assert_int_equal(
		connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
	assert_int_equal(send(fd, data, strlen(data), MSG_NOSIGNAL),
	                 strlen(data));
	return fd;
}

static int ask(const struct fixture *fixture, const char *method,
               const char *target)
{
	char text[256];

	snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: h\r\n\r\n",
	         method, target);
	return client(fixture, text);
}

/* The loop goes round until `fd` has said `wanted`, or for NULL has ended;
 * `ret` has 4096 bytes. */
static void expect(struct fixture *fixture, int fd, const char *wanted,
                   char *ret)
{
	uint64_t end_us = monotonic_us() + PATIENCE_US;
	size_t used = 0;
	ssize_t size;

	do {
		sd_event_run(fixture->event, 10000);
		size = recv(fd, ret + used, 4095 - used, 0);
		used += size > 0 ? (size_t) size : 0;
		ret[used] = '\0';
		if (wanted ? strstr(ret, wanted) != NULL : size == 0)
			return;
	} while (monotonic_us() < end_us && (size != 0 || !wanted));
	fail_msg("expected \"%s\", got \"%s\"", wanted ? wanted : "the end",
	         ret);
}

static void run_until(struct fixture *fixture, const unsigned *count,
                      unsigned wanted)
{
	uint64_t end_us = monotonic_us() + PATIENCE_US;

	while (*count < wanted && monotonic_us() < end_us)
		sd_event_run(fixture->event, 10000);
	assert_int_equal(*count, wanted);
}

static void a_request_is_told_as_it_is(void **state)
{
	struct fixture *fixture = *state;
	char text[4096];
	int fd = client(fixture, "POST /a%2Fb?q=1%202 HTTP/1.1\r\nHost: h\r\n"
	                         "X-X: y\r\nContent-Type: application/json\r\n"
	                         "Content-Length: 4\r\n\r\n");

	sd_event_run(fixture->event, 10000);
	assert_int_equal(fixture->handled, 0);
	assert_int_equal(send(fd, "body", 4, 0), 4);
	expect(fixture, fd, "POST /a%2Fb q=1 2 x=y body", text);
	assert_int_equal(fixture->handled, 1);
	assert_non_null(strstr(text, "HTTP/1.1 200 "));
	assert_non_null(strstr(text, "ETag: \"tag\"\r\n"));
	assert_non_null(strstr(text, "Content-Type: text/plain\r\n"));
	close(fd);
}

static void an_error_is_json_whatever_it_says(void **state)
{
	struct fixture *fixture = *state;
	int fd = ask(fixture, "GET", "/error");
	char text[4096];

	expect(fixture, fd,
	       "{\"error\":{\"code\":\"bad\\\"\",\"message\":\"b\\uFFFDd\","
	       "\"key\":\"key\"}}\n",
	       text);
	assert_non_null(strstr(text, "HTTP/1.1 422 "));
	close(fd);
}

static void an_answer_may_come_later(void **state)
{
	struct fixture *fixture = *state;
	int first = ask(fixture, "GET", "/later");
	int second;
	char text[4096];

	run_until(fixture, &fixture->kept_count, 1);
	second = ask(fixture, "GET", "/later");
	run_until(fixture, &fixture->kept_count, 2);
	assert_int_equal(recv(first, text, sizeof(text), 0), -1);
	assert_int_equal(errno, EAGAIN);

	reply(fixture->kept[1], "two");
	expect(fixture, second, "\r\n\r\ntwo", text);
	reply(fixture->kept[0], "one");
	expect(fixture, first, "\r\n\r\none", text);
	assert_int_equal(fixture->handled, 2);
	close(first);
	close(second);
}

static void who_left_is_answered_in_vain(void **state)
{
	struct fixture *fixture = *state;
	char text[4096];
	int fd = ask(fixture, "GET", "/later");

	run_until(fixture, &fixture->kept_count, 1);
	close(fd);
	sd_event_run(fixture->event, 1000);
	reply(fixture->kept[0], "nobody hears this");
	fd = ask(fixture, "GET", "/here");
	expect(fixture, fd, "GET /here", text);
	close(fd);
}

/* Nothing is left over: the sanitizer says. */
static void the_end_waits_for_nobody(void **state)
{
	struct fixture *fixture = *state;
	int waiting = ask(fixture, "GET", "/later");
	int stream = ask(fixture, "GET", "/stream");
	int half = client(fixture, "GET /half HT");

	run_until(fixture, &fixture->handled, 2);
	http_server_free(fixture->server);
	fixture->server = NULL;
	assert_int_equal(fixture->released, 1);
	close(waiting);
	close(stream);
	close(half);
}

static void a_stream_goes_on_when_woken(void **state)
{
	struct fixture *fixture = *state;
	int fd = ask(fixture, "GET", "/stream");
	char text[4096];

	fixture->next = "first";
	expect(fixture, fd, "first\r\n", text);
	fixture->next = "second";
	http_server_wake(fixture->server);
	http_server_wake(fixture->server);
	expect(fixture, fd, "second\r\n", text);
	http_server_wake(fixture->server); /* in vain */
	sd_event_run(fixture->event, 1000);
	fixture->next = "end";
	http_server_wake(fixture->server);
	expect(fixture, fd, "0\r\n\r\n", text);
	run_until(fixture, &fixture->released, 1);
	close(fd);
}

static void a_stream_ends_with_its_client(void **state)
{
	struct fixture *fixture = *state;
	int fd = ask(fixture, "GET", "/stream");
	char text[4096];

	fixture->next = "first";
	expect(fixture, fd, "first\r\n", text);
	close(fd);
	fixture->next = "second";
	http_server_wake(fixture->server);
	run_until(fixture, &fixture->released, 1);
}

static void an_idle_server_stands_still(void **state)
{
	struct fixture *fixture = *state;
	int fds[] = { ask(fixture, "GET", "/later"),
		      ask(fixture, "GET", "/stream"),
		      client(fixture, "GET /half HT"), client(fixture, "") };
	uint64_t end_us;
	unsigned turns = 0;

	run_until(fixture, &fixture->handled, 2);
	end_us = monotonic_us() + 50 * USEC_PER_MSEC;
	while (monotonic_us() < end_us) {
		sd_event_run(fixture->event, 20 * USEC_PER_MSEC);
		turns++;
	}
	assert_true(turns < 20);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static void what_is_in_the_way_stays_unless_it_is_dead(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_un dead = { .sun_family = AF_UNIX };
	struct stat status;
	FILE *file;
	int fd;

	assert_int_equal(http_server_listen_unix(fixture->server, fixture->path,
	                                         0600, HTTP_CONTROL),
	                 -EADDRINUSE);
	snprintf(dead.sun_path, sizeof(dead.sun_path), "%s/other",
	         fixture->folder);
	file = fopen(dead.sun_path, "w");
	fclose(file);
	assert_int_equal(http_server_listen_unix(fixture->server, dead.sun_path,
	                                         0600, HTTP_CONTROL),
	                 -EEXIST);
	unlink(dead.sun_path);

	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *) &dead, sizeof(dead)), 0);
	close(fd);
	assert_int_equal(http_server_listen_unix(fixture->server, dead.sun_path,
	                                         0666, HTTP_READ_ONLY),
	                 0);
	assert_int_equal(stat(dead.sun_path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0666);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_told_as_it_is),
		TEST(an_error_is_json_whatever_it_says),
		TEST(an_answer_may_come_later),
		TEST(who_left_is_answered_in_vain),
		TEST(the_end_waits_for_nobody),
		TEST(a_stream_goes_on_when_woken),
		TEST(a_stream_ends_with_its_client),
		TEST(an_idle_server_stands_still),
		TEST(what_is_in_the_way_stays_unless_it_is_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
