/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What probe.c and the kinds of check (probe_http.c, probe_tcp.c) share, and
 * nobody else sees.
 */
#ifndef CHECKERD_PROBE_PRIVATE_H
#define CHECKERD_PROBE_PRIVATE_H

#include "curl_loop.h"
#include "probe.h"
#include "util.h"

/* Why a callback of ours made libcurl stop. */
enum probe_stop {
	STOP_NONE,
	STOP_VERSION, /* an answer in an HTTP that was not asked for */
	STOP_HEADERS, /* more of them than an answer may have */
	STOP_BODY, /* as much of it as is looked at */
	STOP_SWITCHED /* status 101: what follows is not HTTP */
};

/* Probes are pooled, each with its easy handle: what is in flight needs one,
 * a host does not. */
struct probe {
	struct curl_transfer transfer; /* the first: see probe_of() */
	struct prober *prober;
	struct probe *next; /* in flight or idle */
	struct probe *previous; /* in flight */
	const struct check *check;
	const struct settings *settings;
	probe_done_fn done;
	void *owner;
	struct address address;
	int socket_errno; /* of opening it; 0: none */
	enum probe_stop stop;
	char error[CURL_ERROR_SIZE]; /* libcurl's words */
	struct {
		void *headers; /* see probe_http.c */
		size_t headers_size;
		size_t header_bytes;
		size_t body_bytes;
		char status_text[48]; /* the answer's, unchecked */
	} http;
};

/* A kind of check. */
struct check {
	/* For each new handle: the options that never change.  Returns
	 * anything but CURLE_OK only for lack of memory, as prepare(). */
	CURLcode (*init)(struct probe *probe);
	/* For each probe: those that do. */
	CURLcode (*prepare)(struct probe *probe);
	/* Decides on what came back.  Returns false if `code` is a failure
	 * that means the same for all kinds. */
	bool (*judge)(const struct probe *probe, CURLcode code,
	              struct probe_result *result);
	bool speaks_first; /* sends a request once it is connected */
};

extern const struct check check_http;
extern const struct check check_tcp;

/* Sets the sentence for people.  What came from outside may be in it: bytes
 * that are not printable ASCII are replaced. */
void probe_explain(struct probe_result *result, const char *format, ...)
        PRINTF_LIKE(2, 3);

#endif
