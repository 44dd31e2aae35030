/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The dashboard: a page, its style and its script, which ask the rest of the
 * api.  They are part of the program, so that what is seen always fits what
 * answers, and nothing comes from elsewhere.
 *
 * The page shows texts that came from backends and people.  Its script treats
 * them as text only, and the policy below has the browser see to that: no
 * script or style but ours, and (trusted types) no text ever parsed as HTML.
 */
#include "api_private.h"

#include "dashboard.h"

#include <stdlib.h>
#include <string.h>

#define POLICY                                                                 \
	"default-src 'none'; script-src 'self'; style-src 'self'; "            \
	"connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; "   \
	"base-uri 'none'; form-action 'none'; "                                \
	"require-trusted-types-for 'script'; trusted-types 'none'"

static const struct dashboard_file *find(const char *path)
{
	for (size_t i = 0; i < dashboard_file_count; i++)
		if (strcmp(dashboard_files[i].path, path) == 0)
			return &dashboard_files[i];
	return NULL;
}

/* Browsers and curl say it plainly; who has doubts ("gzip;q=0") gets the
 * file as it is. */
static bool takes_gzip(const struct http_request *request)
{
	const char *accepted = http_request_header(request, "Accept-Encoding");
	const char *gzip = accepted ? strstr(accepted, "gzip") : NULL;

	return gzip && gzip[strlen("gzip")] != ';';
}

void api_get_dashboard(struct api *api, struct http_request *request,
                       const struct path_arguments *arguments)
{
	const char *known = http_request_header(request, "If-None-Match");
	const struct dashboard_file *file = find(http_request_path(request));
	bool packed = takes_gzip(request);
	const struct dashboard_bytes *bytes =
		packed ? &file->gzip : &file->plain;
	char *body;

	(void) api;
	(void) arguments;
	http_reply_header(request, "Content-Security-Policy", POLICY);
	http_reply_header(request, "Cache-Control", "no-cache");
	http_reply_header(request, "Vary", "Accept-Encoding");
	if (known && etag_matches(known, bytes->etag)) {
		http_reply(request, 304, NULL, bytes->etag, NULL, 0);
		return;
	}
	body = malloc(bytes->size);
	if (!body) {
		http_reply_error(request, 503, "no_memory",
		                 "checkerd is short of memory", NULL);
		return;
	}
	memcpy(body, bytes->data, bytes->size);
	if (packed)
		http_reply_header(request, "Content-Encoding", "gzip");
	http_reply(request, 200, file->type, bytes->etag, body, bytes->size);
}
