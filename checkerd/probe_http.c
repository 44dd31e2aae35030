/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The check that sends an HTTP request and looks at the status.
 *
 * The request is exactly what the settings say: path and header fields go
 * out as they are.  The answer must be complete to count, or else longer
 * than what is looked at (BODY_MAX), in which case the status decides.
 *
 * The answer is hostile input.  Its body is thrown away as it comes.  Header
 * fields are counted here, since how much of them libcurl takes has changed
 * from version to version; a single field that exceeds libcurl's own limit is
 * reported as a lack of memory by some versions, which is why that means
 * L7RSP once there is a connection (see probe.c).
 */
#include "probe_private.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BODY_MAX    (256 * 1024)
#define HEADERS_MAX (64 * 1024)
/* libcurl keeps each field, so that each also costs this much */
#define HEADER_OVERHEAD 64

/* --- the request --------------------------------------------------------- */

static bool has_header(const struct settings *settings, const char *name)
{
	size_t length = strlen(name);
	const char *const *header;

	for (header = settings->headers; *header != NULL; header++)
		if (strncasecmp(*header, name, length) == 0 &&
		    (*header)[length] == ':')
			return true;
	return false;
}

/* What is sent, or kept from being sent, unless the settings have a field of
 * that name.  libcurl formats what it adds itself twice, and byte by byte. */
static const struct default_header {
	const char *name;
	const char *text; /* "Name:" keeps libcurl from adding it */
	bool with_body; /* only then */
} default_headers[] = {
	{ "Connection", "Connection: close", false },
	{ "Accept", "Accept:", false },
	/* libcurl would wait for leave to send a long body, */
	{ "Expect", "Expect:", true },
	/* and call any a form */
	{ "Content-Type", "Content-Type:", true },
};

/* The text of Host and User-Agent, into a buffer that is known to fit. */
static char *add_text(struct curl_slist **node, char *text, const char *name,
                      const char *value)
{
	(*node)->data = text;
	(*node)++;
	return stpcpy(stpcpy(stpcpy(text, name), ": "), value) + 1;
}

/* One block that the probe keeps: the list, then the text of what is made
 * here. */
static struct curl_slist *make_room(struct probe *probe, size_t size)
{
	if (size > probe->http.headers_size) {
		free(probe->http.headers);
		probe->http.headers_size = 0;
		probe->http.headers = malloc(size);
		if (probe->http.headers == NULL)
			return NULL;
		probe->http.headers_size = size;
	}
	return probe->http.headers;
}

static CURLcode set_headers(struct probe *probe, bool with_body)
{
	const struct settings *settings = probe->settings;
	char address[ADDRESS_TEXT_SIZE];
	const char *host = settings->http_host;
	struct curl_slist *first, *node;
	size_t count = 0, i;
	char *text;

	if (host[0] == '\0')
		host = probe->address.any.sa_family == AF_UNIX
		               ? "localhost"
		               : address_text(&probe->address, address);
	while (settings->headers[count] != NULL)
		count++;
	count += ARRAY_SIZE(default_headers) + 2;
	first = make_room(probe, count * sizeof(*node) + strlen(host) +
	                                 strlen(settings->user_agent) +
	                                 sizeof("Host: " "User-Agent: ") + 1);
	if (first == NULL)
		return CURLE_OUT_OF_MEMORY;
	node = first;
	text = (char *) (first + count);
	if (!has_header(settings, "Host"))
		text = add_text(&node, text, "Host", host);
	if (settings->user_agent[0] != '\0' &&
	    !has_header(settings, "User-Agent"))
		add_text(&node, text, "User-Agent", settings->user_agent);
	for (i = 0; settings->headers[i] != NULL; i++)
		(node++)->data = (char *) settings->headers[i];
	for (i = 0; i < ARRAY_SIZE(default_headers); i++) {
		if (default_headers[i].with_body && !with_body)
			continue;
		if (!has_header(settings, default_headers[i].name))
			(node++)->data = (char *) default_headers[i].text;
	}
	for (i = 0; first + i + 1 < node; i++)
		first[i].next = &first[i + 1];
	first[i].next = NULL;
	return curl_easy_setopt(probe->transfer.easy, CURLOPT_HTTPHEADER, first);
}

static bool method_wants_body(const char *method)
{
	return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
	       strcmp(method, "PATCH") == 0;
}

/* The order matters: each of these options changes what the others set. */
static CURLcode set_method(CURL *easy, const struct settings *settings,
                           bool with_body)
{
	CURLcode code;

	if (strcmp(settings->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
		return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	}
	code = curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	if (code != CURLE_OK)
		return code;
	if (with_body) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE,
		                 (long) strlen(settings->body));
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, settings->body);
	}
	return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST,
	                        strcmp(settings->method, "GET") == 0
	                                ? NULL
	                                : settings->method);
}

static CURLcode prepare(struct probe *probe)
{
	const struct settings *settings = probe->settings;
	CURL *easy = probe->transfer.easy;
	bool with_body = settings->body[0] != '\0' ||
	                 method_wants_body(settings->method);
	CURLcode code;

	probe->http.header_bytes = 0;
	probe->http.body_bytes = 0;
	probe->http.status_text[0] = '\0';
	curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
	                 settings->http_version == HTTP_1_0
	                         ? (long) CURL_HTTP_VERSION_1_0
	                         : (long) CURL_HTTP_VERSION_1_1);
	/* head and body are two segments, and the second must not wait for
	 * the first one's acknowledgement */
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, with_body ? 1L : 0L);
	code = set_method(easy, settings, with_body);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET,
		                        settings->path);
	if (code == CURLE_OK)
		code = set_headers(probe, with_body);
	return code;
}

/* --- the answer ---------------------------------------------------------- */

static size_t stop(struct probe *probe, enum probe_stop why)
{
	probe->stop = why;
	return 0; /* anything but what was given ends the transfer */
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

static size_t on_header(char *line, size_t one, size_t length, void *userdata)
{
	struct probe *probe = userdata;
	long status = 0;

	(void) one;
	probe->http.header_bytes += length + HEADER_OVERHEAD;
	if (probe->http.header_bytes > HEADERS_MAX)
		return stop(probe, STOP_HEADERS);
	if (length >= 6 && memcmp(line, "HTTP/", 5) == 0) {
		if (line[5] != '1')
			return stop(probe, STOP_VERSION);
		keep_status_text(probe, line, length);
	} else if (length <= 2) {
		curl_easy_getinfo(probe->transfer.easy, CURLINFO_RESPONSE_CODE,
		                  &status);
		if (status == 101)
			return stop(probe, STOP_SWITCHED);
	}
	return length;
}

static size_t on_body(char *data, size_t one, size_t length, void *userdata)
{
	struct probe *probe = userdata;

	(void) data;
	(void) one;
	probe->http.body_bytes += length;
	if (probe->http.body_bytes > BODY_MAX)
		return stop(probe, STOP_BODY);
	return length;
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

static bool judge(const struct probe *probe, CURLcode code,
                  struct probe_result *result)
{
	char expected[64];
	long status = 0;

	curl_easy_getinfo(probe->transfer.easy, CURLINFO_RESPONSE_CODE,
	                  &status);
	result->http_status = (uint16_t) status;
	if (probe->stop == STOP_VERSION) {
		result->outcome = HEALTH_L7RSP;
		probe_explain(result, "the answer is not HTTP/1");
		return true;
	}
	if (probe->stop == STOP_HEADERS) {
		result->outcome = HEALTH_L7RSP;
		probe_explain(result, "more than %d bytes of header fields",
		              HEADERS_MAX);
		return true;
	}
	if (code != CURLE_OK && probe->stop != STOP_BODY &&
	    probe->stop != STOP_SWITCHED)
		return false;
	if (status_mask_test(&probe->settings->pass_status,
	                     (unsigned) status)) {
		result->outcome = HEALTH_L7OK;
		return true;
	}
	result->outcome = HEALTH_L7STS;
	mask_text(&probe->settings->pass_status, expected, sizeof(expected));
	probe_explain(result, "%s, expected %s", probe->http.status_text,
	              expected);
	return true;
}

static CURLcode init(struct probe *probe)
{
	CURL *easy = probe->transfer.easy;

	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, probe);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, probe);
	return curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
}

const struct check check_http = {
	.init = init,
	.prepare = prepare,
	.judge = judge,
	.speaks_first = true,
};
