/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The checks that send an HTTP request and look at the answer: the status,
 * header fields, the body.
 *
 * The answer must be complete to count, or else longer than what is looked at
 * (max_body), in which case what was read decides.
 *
 * The answer is hostile input.  Its body is thrown away as it comes unless
 * somebody expects something of it.  Header fields are counted here, since
 * how much of them libcurl takes has changed from version to version; a
 * single field that exceeds libcurl's own limit is reported as a lack of
 * memory by some versions, which is why that means L7RSP once there is a
 * connection (see probe_judge.c).
 */
#include "probe_private.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX (64 * 1024)
/* libcurl keeps each field, so that each also costs this much */
#define HEADER_OVERHEAD 64

/* --- the request -------------------------------------------------------- */

static const struct request_field fields[] = {
	{ "Connection", "Connection: close", .with_close = true },
	{ "Accept", .text = "Accept:" },
	/* libcurl would wait for leave to send a long body, */
	{ "Expect", "Expect:", .with_body = true },
	/* and call any a form */
	{ "Content-Type", "Content-Type:", .with_body = true },
};

static bool method_wants_body(const char *method)
{
	return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
	       strcmp(method, "PATCH") == 0;
}

/* The order matters: each of these options changes what the others set. */
static CURLcode set_method(CURL *easy, const struct settings *settings,
                           bool with_body)
{
	if (probe_http_is_head(settings))
		return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	if (with_body) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE,
		                 (long) strlen(settings->body));
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, settings->body);
	}
	if (strcmp(settings->method, "GET") == 0)
		return CURLE_OK;
	return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, settings->method);
}

bool probe_http_has_body(const struct settings *settings)
{
	return settings->body[0] != '\0' || method_wants_body(settings->method);
}

bool probe_http_is_head(const struct settings *settings)
{
	return strcmp(settings->method, "HEAD") == 0;
}

static void want_body(struct probe *probe)
{
	probe->http.body_max = probe->settings->max_body;
	probe->http.body_wanted = probe->wants.body;
}

static CURLcode prepare(struct probe *probe)
{
	const struct settings *settings = probe->settings;
	bool with_body = probe_http_has_body(settings);
	CURLcode code;

	code = probe_set_http(probe, settings->path, with_body);
	if (code == CURLE_OK)
		code = set_method(probe->transfer.easy, settings, with_body);
	if (code == CURLE_OK)
		code = probe_set_fields(probe, fields, ARRAY_SIZE(fields),
		                        with_body);
	want_body(probe);
	return code;
}

int probe_http_write(struct probe *probe, struct probe_buffer *ret)
{
	const struct settings *settings = probe->settings;
	const char *const parts[] = {
		settings->method,
		" ",
		settings->path,
		settings->http_version == HTTP_1_0 ? " HTTP/1.0\r\n"
						   : " HTTP/1.1\r\n",
	};
	size_t i;
	int r = 0;

	probe_clear_http(probe);
	want_body(probe);
	ret->size = 0;
	for (i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++)
		r = probe_buffer_add(ret, parts[i], strlen(parts[i]));
	return r < 0 ? r
	             : probe_write_fields(probe, fields, ARRAY_SIZE(fields),
	                                  ret);
}

/* --- any answer --------------------------------------------------------- */

static bool stop(struct probe *probe, enum probe_stop why)
{
	probe->stop = why;
	return false;
}

/* "HTTP/1.1 503 Service Unavailable": from the 503 on. */
static void keep_status_text(struct probe *probe, const char *line,
                             size_t length)
{
	const char *space = memchr(line, ' ', length);
	size_t size;

	if (space == NULL)
		return;
	size = length - (size_t) (space + 1 - line);
	while (size > 0 && strchr("\r\n ", space[size]) != NULL)
		size--;
	if (size >= sizeof(probe->http.status_text))
		size = sizeof(probe->http.status_text) - 1;
	memcpy(probe->http.status_text, space + 1, size);
	probe->http.status_text[size] = '\0';
}

bool probe_http_take_line(struct probe *probe, const char *line, size_t length)
{
	probe->http.header_bytes += length + HEADER_OVERHEAD;
	if (probe->http.header_bytes > HEADERS_MAX)
		return stop(probe, STOP_HEADERS);
	if (length >= 6 && memcmp(line, "HTTP/", 5) == 0) {
		if (line[5] != probe->check->http_major)
			return stop(probe, STOP_VERSION);
		keep_status_text(probe, line, length);
	}
	probe->check->on_field(probe, line, length);
	return probe->stop != STOP_MEMORY;
}

bool probe_http_take_body(struct probe *probe, const char *data, size_t length)
{
	size_t room = probe->http.body_max - probe->http.body_bytes;
	size_t taken = length < room ? length : room;

	if (probe->http.body_wanted &&
	    probe_buffer_add(&probe->body, data, taken) < 0)
		return stop(probe, STOP_MEMORY);
	probe->http.body_bytes += taken;
	return taken == length || stop(probe, STOP_BODY);
}

/* Of what libcurl gives to these, anything but the same size ends the
 * transfer. */
static size_t on_header(char *line, size_t one, size_t length, void *userdata)
{
	struct probe *probe = userdata;
	long status = 0;

	(void) one;
	if (!probe_http_take_line(probe, line, length))
		return 0;
	if (length > 2)
		return length;
	curl_easy_getinfo(probe->transfer.easy, CURLINFO_RESPONSE_CODE,
	                  &status);
	return status != 101 || stop(probe, STOP_SWITCHED) ? length : 0;
}

static size_t on_body(char *data, size_t one, size_t length, void *userdata)
{
	(void) one;
	return probe_http_take_body(userdata, data, length) ? length : 0;
}

CURLcode probe_http_init(struct probe *probe)
{
	CURL *easy = probe->transfer.easy;

	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, probe);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, probe);
	return curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
}

bool probe_http_judge_stop(const struct probe *probe,
                           struct probe_result *result)
{
	if (probe->stop == STOP_VERSION)
		probe_explain(result, "the answer is not HTTP/%c",
		              probe->check->http_major);
	else if (probe->stop == STOP_HEADERS)
		probe_explain(result, "more than %d bytes of header fields",
		              HEADERS_MAX);
	else
		return false;
	result->outcome = HEALTH_L7RSP;
	return true;
}

/* --- what it is worth --------------------------------------------------- */

void probe_wants_add(struct probe_wants *wants, const struct settings *settings)
{
	const struct expectations *expectations = &settings->expectations;

	wants->head = wants->head || expectations->headers != NULL ||
	              settings->agent.kind == AGENT_HEADER;
	wants->body = wants->body || expectations->body != NULL ||
	              expectations->fail_body != NULL;
}

static void on_field(struct probe *probe, const char *line, size_t length)
{
	if (probe->wants.head &&
	    probe_buffer_add(&probe->http.head, line, length) < 0)
		probe->stop = STOP_MEMORY;
}

static enum health_outcome judge_head(const struct probe *probe,
                                      const struct expectations *expectations,
                                      struct probe_result *result)
{
	struct expectation_progress progress = { 0 };
	const char *line = probe_buffer_text(&probe->http.head);
	const char *end = line + probe->http.head.size, *next;

	for (; line < end; line = next) {
		next = memchr(line, '\n', (size_t) (end - line));
		next = next != NULL ? next + 1 : end;
		expectation_header(expectations, &progress, line,
		                   (size_t) (next - line));
	}
	return expectation_headers(expectations, &progress, result->message,
	                           sizeof(result->message));
}

/* Whatever the answer is worth: one that fails may say why.  A status line
 * starts over, since what came before it was an interim answer. */
static void advise(const struct probe *probe, struct agent_advice *advice)
{
	static const char name[] = AGENT_FIELD ":";
	const char *line = probe_buffer_text(&probe->http.head);
	const char *end = line + probe->http.head.size, *next;

	for (; line < end; line = next) {
		next = memchr(line, '\n', (size_t) (end - line));
		next = next != NULL ? next + 1 : end;
		if (next - line > 5 && memcmp(line, "HTTP/", 5) == 0)
			memset(advice, 0, sizeof(*advice));
		if ((size_t) (next - line) > strlen(name) &&
		    strncasecmp(line, name, strlen(name)) == 0)
			agent_line_parse(advice, line + strlen(name),
			                 (size_t) (next - line) - strlen(name));
	}
}

/* The set as a person would write it: "200-299, 404". */
static void mask_text(const struct status_mask *mask, char *buffer, size_t size)
{
	unsigned first, last = 0;
	size_t used = 0;

	buffer[0] = '\0';
	for (first = 100; first <= 599; first = last + 1) {
		last = first;
		if (!status_mask_test(mask, first))
			continue;
		while (last < 599 && status_mask_test(mask, last + 1))
			last++;
		if (size - used < sizeof("..., 100-199, ...")) {
			snprintf(buffer + used, size - used, ", ...");
			return;
		}
		used += (size_t) snprintf(buffer + used, size - used, "%s%u",
		                          used > 0 ? ", " : "", first);
		if (last > first)
			used += (size_t) snprintf(buffer + used, size - used,
			                          "-%u", last);
	}
}

static void judge_status(const struct probe *probe,
                         const struct status_mask *pass, unsigned status,
                         struct probe_result *result)
{
	char expected[64];

	if (status_mask_test(pass, status))
		return;
	result->outcome = HEALTH_L7STS;
	mask_text(pass, expected, sizeof(expected));
	probe_explain(result, "%s, expected %s", probe->http.status_text,
	              expected);
}

static bool judge(const struct probe *probe, const struct settings *settings,
                  struct probe_result *result)
{
	const struct expectations *expectations = &settings->expectations;
	unsigned status = probe->http.status;

	result->http_status = (uint16_t) status;
	if (probe_http_judge_stop(probe, result))
		return true;
	if (probe->code != CURLE_OK && probe->stop != STOP_BODY &&
	    probe->stop != STOP_SWITCHED)
		return false;
	judge_status(probe, &settings->pass_status, status, result);
	if (result->outcome == HEALTH_NONE)
		result->outcome = judge_head(probe, expectations, result);
	if (result->outcome == HEALTH_NONE)
		result->outcome = expectation_body(
			expectations, probe_buffer_text(&probe->body),
			probe->body.size, result->message,
			sizeof(result->message));
	if (result->outcome == HEALTH_NONE)
		result->outcome = HEALTH_L7OK;
	return true;
}

const struct check check_http = {
	.prepare = prepare,
	.on_field = on_field,
	.advise = advise,
	.judge = judge,
	.http_major = '1',
	.speaks_first = true,
};

const struct check check_https = {
	.prepare = prepare,
	.on_field = on_field,
	.advise = advise,
	.judge = judge,
	.http_major = '1',
	.tls = true,
	.speaks_first = true,
};

const struct check check_h2 = {
	.prepare = prepare,
	.on_field = on_field,
	.advise = advise,
	.judge = judge,
	.http_version = CURL_HTTP_VERSION_2TLS,
	.http_major = '2',
	.tls = true,
	.speaks_first = true,
};

const struct check check_h2c = {
	.prepare = prepare,
	.on_field = on_field,
	.advise = advise,
	.judge = judge,
	.http_version = CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE,
	.http_major = '2',
	.speaks_first = true,
};
