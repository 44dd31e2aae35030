/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The checks that ask grpc.health.v1.Health/Check: gRPC is an HTTP/2 POST
 * whose answer ends with trailers, or consists of nothing else, that hold the
 * status of the call.
 */
#include "grpc_health.h"
#include "probe_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct request_field fields[] = {
	{ "TE", .text = "te: trailers" },
	{ "Content-Type", .text = "content-type: application/grpc" },
	{ "Accept", .text = "Accept:" },
	{ "Expect", .text = "Expect:" },
};

static CURLcode prepare(struct probe *probe)
{
	CURL *easy = probe->transfer.easy;
	uint8_t request[GRPC_HEALTH_REQUEST_SIZE];
	CURLcode code;
	int size;

	memset(&probe->grpc, 0, sizeof(probe->grpc));
	size = grpc_health_request(request, probe->settings->grpc_service);
	if (size < 0)
		return CURLE_URL_MALFORMAT;
	code = probe_set_http(probe, GRPC_HEALTH_PATH, true);
	if (code != CURLE_OK)
		return code;
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long) size);
	code = curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request);
	if (code == CURLE_OK)
		code = probe_set_fields(probe, fields, ARRAY_SIZE(fields),
		                        true);
	probe->http.body_max = GRPC_HEALTH_ANSWER_MAX;
	probe->http.body_wanted = true;
	return code;
}

/* The field's value if it has this name, else NULL.  libcurl gives lines as
 * HTTP/1 has them, which need not end with a NUL. */
static const char *value_of(const char *line, size_t length, const char *name,
                            size_t *ret_length)
{
	size_t name_length = strlen(name);
	const char *at = line + name_length + 1, *end = line + length;

	if (length <= name_length || line[name_length] != ':' ||
	    strncasecmp(line, name, name_length) != 0)
		return NULL;
	while (at < end && *at == ' ')
		at++;
	while (end > at && strchr("\r\n ", end[-1]) != NULL)
		end--;
	*ret_length = (size_t) (end - at);
	return at;
}

/* Anything but a number is a status that nobody knows. */
static unsigned long parse_status(const char *text, size_t length)
{
	unsigned long status = 0;
	size_t i;

	for (i = 0; i < length && i < 9; i++) {
		if (text[i] < '0' || text[i] > '9')
			return ULONG_MAX;
		status = status * 10 + (unsigned long) (text[i] - '0');
	}
	return i == length && length > 0 ? status : ULONG_MAX;
}

static void on_field(struct probe *probe, const char *line, size_t length)
{
	static const char type[] = "application/grpc";
	const char *value;
	size_t size;

	value = value_of(line, length, "content-type", &size);
	if (value != NULL)
		probe->grpc.is_grpc =
			size >= sizeof(type) - 1 &&
			memcmp(value, type, sizeof(type) - 1) == 0;
	value = value_of(line, length, "grpc-status", &size);
	if (value != NULL) {
		probe->grpc.has_status = true;
		probe->grpc.status = parse_status(value, size);
	}
	value = value_of(line, length, "grpc-message", &size);
	if (value != NULL)
		snprintf(probe->grpc.message, sizeof(probe->grpc.message),
		         "%.*s", (int) size, value);
}

/* "service "shop"", as far as there is room for the rest of the sentence. */
static const char *service_text(const struct probe *probe, char *buffer,
                                size_t size)
{
	const char *service = probe->settings->grpc_service;

	if (service[0] == '\0')
		return "the server";
	snprintf(buffer, size, "service \"%.40s%s\"", service,
	         strlen(service) > 40 ? "..." : "");
	return buffer;
}

static void explain_status(const struct probe *probe,
                           struct probe_result *result)
{
	const char *name = grpc_status_name(probe->grpc.status);
	char service[64];

	service_text(probe, service, sizeof(service));
	probe_explain(result, "%s (grpc-status %ld) for %s%s%s",
	              name != NULL ? name : "unknown status",
	              (long) probe->grpc.status,
	              service_text(probe, service, sizeof(service)),
	              probe->grpc.message[0] != '\0' ? ": " : "",
	              probe->grpc.message);
}

static void judge_serving(const struct probe *probe,
                          struct probe_result *result)
{
	enum grpc_serving serving;
	char service[64];
	const char *name;

	if (grpc_health_parse((const uint8_t *) probe_buffer_text(&probe->body),
	                      probe->body.size, &serving) < 0) {
		result->outcome = HEALTH_L7RSP;
		probe_explain(result, "no HealthCheckResponse in the answer");
		return;
	}
	if (serving == GRPC_SERVING) {
		result->outcome = HEALTH_L7OK;
		return;
	}
	result->outcome = HEALTH_L7STS;
	name = grpc_serving_name(serving);
	probe_explain(result, "%s is %s",
	              service_text(probe, service, sizeof(service)),
	              name != NULL ? name : "in an unknown state");
}

static bool judge(const struct probe *probe, const struct settings *settings,
                  struct probe_result *result)
{
	unsigned status = probe->http.status;

	(void) settings; /* all of them expect the same */
	result->http_status = (uint16_t) status;
	if (probe_http_judge_stop(probe, result))
		return true;
	if (probe->code != CURLE_OK && probe->stop != STOP_BODY)
		return false;
	if (status != 200) {
		result->outcome = HEALTH_L7STS;
		probe_explain(result, "HTTP status %s, expected 200",
		              probe->http.status_text);
	} else if (!probe->grpc.is_grpc || probe->stop == STOP_BODY) {
		result->outcome = HEALTH_L7RSP;
		probe_explain(result, "the answer is not gRPC");
	} else if (!probe->grpc.has_status) {
		result->outcome = HEALTH_L7RSP;
		probe_explain(result, "the answer has no grpc-status");
	} else if (probe->grpc.status != 0) {
		result->outcome = HEALTH_L7STS;
		explain_status(probe, result);
	} else {
		judge_serving(probe, result);
	}
	return true;
}

const struct check check_grpc = {
	.prepare = prepare,
	.on_field = on_field,
	.judge = judge,
	.http_version = CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE,
	.http_major = '2',
	.speaks_first = true,
};

const struct check check_grpcs = {
	.prepare = prepare,
	.on_field = on_field,
	.judge = judge,
	.http_version = CURL_HTTP_VERSION_2TLS,
	.http_major = '2',
	.tls = true,
	.speaks_first = true,
};
