/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What an HTTP request consists of, of whatever version and kind of check.
 *
 * It is exactly what the settings say: path and header fields go out as they
 * are.  libcurl formats what it adds itself twice, and byte by byte, so that
 * the little that is added is made here.
 */
#include "probe_private.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static bool is_named(const char *field, const char *name)
{
	size_t length = strlen(name);

	return strncasecmp(field, name, length) == 0 && field[length] == ':';
}

/* The settings' own field of that name, or NULL. */
static const char *find_header(const struct settings *settings,
                               const char *name)
{
	const char *const *header;

	for (header = settings->headers; *header != NULL; header++)
		if (is_named(*header, name))
			return *header;
	return NULL;
}

static const char *field_value(const char *field)
{
	const char *value = strchr(field, ':') + 1;

	return value + strspn(value, " \t");
}

/* The text of Host and User-Agent, into a buffer that is known to fit. */
static char *add_text(struct curl_slist **node, char *text, const char *name,
                      const char *value)
{
	(*node)->data = text;
	(*node)++;
	return stpcpy(stpcpy(stpcpy(text, name), ": "), value) + 1;
}

/* One block that the probe keeps: the list, then the text of what is made
 * here.  The next host's may be a little longer. */
static struct curl_slist *make_room(struct probe *probe, size_t size)
{
	if (size > probe->http.headers_size) {
		size += ADDRESS_TEXT_SIZE;
		free(probe->http.headers);
		probe->http.headers_size = 0;
		probe->http.headers = malloc(size);
		if (probe->http.headers == NULL)
			return NULL;
		probe->http.headers_size = size;
	}
	return probe->http.headers;
}

const char *probe_host_text(const struct probe *probe, char *buffer)
{
	if (probe->settings->http_host[0] != '\0')
		return probe->settings->http_host;
	if (probe->address.any.sa_family == AF_UNIX)
		return "localhost";
	return address_text(&probe->address, buffer);
}

static bool is_wanted(const struct probe *probe,
                      const struct request_field *field, bool with_body)
{
	return (with_body || !field->with_body) &&
	       (!probe_keeps(probe) || !field->with_close) &&
	       find_header(probe->settings, field->name) == NULL;
}

/* NULL for lack of memory. */
static struct curl_slist *list_fields(struct probe *probe,
                                      const struct request_field *fields,
                                      size_t field_count, bool with_body)
{
	const struct settings *settings = probe->settings;
	char address[ADDRESS_TEXT_SIZE];
	const char *own_host = find_header(settings, "Host");
	const char *host = own_host != NULL ? field_value(own_host)
	                                    : probe_host_text(probe, address);
	struct curl_slist *first, *node;
	size_t count = 0, i;
	char *text;

	while (settings->headers[count] != NULL)
		count++;
	count += field_count + 2;
	first = make_room(probe, count * sizeof(*node) + strlen(host) +
	                                 strlen(settings->user_agent) +
	                                 sizeof("Host: "
	                                        "User-Agent: ") +
	                                 1);
	if (first == NULL)
		return NULL;
	node = first;
	text = (char *) (first + count);
	/* first, as libcurl would */
	text = add_text(&node, text, "Host", host);
	if (settings->user_agent[0] != '\0' &&
	    find_header(settings, "User-Agent") == NULL)
		add_text(&node, text, "User-Agent", settings->user_agent);
	for (i = 0; settings->headers[i] != NULL; i++)
		if (settings->headers[i] != own_host)
			(node++)->data = (char *) settings->headers[i];
	for (i = 0; i < field_count; i++)
		if (is_wanted(probe, &fields[i], with_body))
			(node++)->data = (char *) fields[i].text;
	for (i = 0; first + i + 1 < node; i++)
		first[i].next = &first[i + 1];
	first[i].next = NULL;
	return first;
}

CURLcode probe_set_fields(struct probe *probe,
                          const struct request_field *fields,
                          size_t field_count, bool with_body)
{
	struct curl_slist *list =
		list_fields(probe, fields, field_count, with_body);

	if (list == NULL)
		return CURLE_OUT_OF_MEMORY;
	return curl_easy_setopt(probe->transfer.easy, CURLOPT_HTTPHEADER, list);
}

int probe_write_fields(struct probe *probe, const struct request_field *fields,
                       size_t field_count, struct probe_buffer *ret)
{
	const struct curl_slist *node =
		list_fields(probe, fields, field_count, false);
	int r = node != NULL ? 0 : -ENOMEM;

	for (; r >= 0 && node != NULL; node = node->next) {
		/* which libcurl would not send either */
		if (field_value(node->data)[0] == '\0')
			continue;
		r = probe_buffer_add(ret, node->data, strlen(node->data));
		if (r >= 0)
			r = probe_buffer_add(ret, "\r\n", 2);
	}
	return r < 0 ? r : probe_buffer_add(ret, "\r\n", 2);
}

void probe_clear_http(struct probe *probe)
{
	probe->http.header_bytes = 0;
	probe->http.body_bytes = 0;
	probe->http.status_text[0] = '\0';
}

CURLcode probe_set_http(struct probe *probe, const char *target, bool with_body)
{
	const struct check *check = probe->check;
	CURL *easy = probe->transfer.easy;
	long version = check->http_version;

	probe_clear_http(probe);
	if (version == 0)
		version = probe->settings->http_version == HTTP_1_0
		                  ? CURL_HTTP_VERSION_1_0
		                  : CURL_HTTP_VERSION_1_1;
	curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version);
	/* what is sent in several segments must not wait for the first one's
	 * acknowledgement */
	curl_easy_setopt(
		easy, CURLOPT_TCP_NODELAY,
		with_body || check->tls || check->http_major == '2' ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
	curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	return curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, target);
}
