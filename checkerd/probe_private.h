/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the probe share, and nobody else sees:
 *
 *	probe.c          those in flight, and the pool they come from
 *	probe_judge.c    what a transfer that failed means
 *	probe_request.c  what an HTTP request consists of
 *	probe_direct.c   plain HTTP without libcurl
 *	probe_http.c     http https h2 h2c: what the answer is worth
 *	probe_grpc.c     grpc grpcs
 *	probe_talk.c     tcp tls
 *	probe_agent.c    no check, but an agent that is asked
 *	probe_tls.c      certificates: the only file that knows OpenSSL
 *	probe_line.c     connections that are kept
 */
#ifndef CHECKERD_PROBE_PRIVATE_H
#define CHECKERD_PROBE_PRIVATE_H

#include "agent_line.h"
#include "curl_loop.h"
#include "http_reader.h"
#include "probe.h"
#include "util.h"

/* Why a callback of ours made libcurl stop. */
enum probe_stop {
	STOP_NONE,
	STOP_ALPN,    /* no HTTP/2 to be had */
	STOP_VERSION, /* an answer in an HTTP that was not asked for */
	STOP_HEADERS, /* more of them than an answer may have */
	STOP_BODY,    /* as much of it as is looked at */
	STOP_MEMORY,
	STOP_SWITCHED /* status 101: what follows is not HTTP */
};

/* How far a transfer has come; kept up by callbacks, since libcurl's times
 * are those of all its attempts. */
enum probe_phase { PHASE_CONNECT, PHASE_HANDSHAKE, PHASE_TALK, PHASE_COUNT };

/* A connection that outlives its probes; see probe_line.c. */
struct kept {
	unsigned references; /* the line, and the probe that uses it */
	struct curl_loop *loop;
	int fd;        /* see probe_direct.c; -1: none, or in use */
	CURLSH *share; /* NULL until libcurl is to keep it */
	enum check_kind check;
	struct address address;
	char *tls; /* all that decides how it was secured */
	uint64_t opened_us;
	void *ssl_ctx; /* see probe_tls.c */
	uint64_t cert_expires_at_us;
};

/* What was received and is kept to look at. */
struct probe_buffer {
	char *data;
	size_t size;
	size_t capacity;
};

struct prober {
	struct curl_loop *loop;
	bool direct;        /* whether anything goes without libcurl */
	uint32_t odd[1024]; /* who does not; see probe_direct.c */
	CURLU *url;         /* that of all probes without TLS, parsed once */
	struct curl_slist *connect_to; /* where all the others go */
	struct trust *trusts;          /* see probe_tls.c */
	struct probe *in_flight;
	struct probe *idle; /* last used first: its memory is warm */
};

/* Probes are pooled, each with its easy handle: what is in flight needs one,
 * a host does not. */
struct probe {
	struct curl_transfer transfer; /* the first: see probe_of() */
	struct prober *prober;
	struct probe *next;     /* in flight or idle */
	struct probe *previous; /* in flight */
	const struct check *check;
	const struct settings *settings;
	struct probe_wants wants;
	probe_done_fn done;
	void *owner;
	CURLcode code;                /* how the transfer ended, */
	struct probe_result measured; /* and what it took: no outcome yet */
	struct address address;
	struct kept *kept; /* or NULL */
	/* Its time counts from when it begins to connect, or to ask over a
	 * connection that was kept: libcurl may come to that late, when many
	 * are started at once. */
	uint64_t began_us; /* 0: not yet */
	uint64_t until_us;
	enum probe_phase phase;
	int socket_errno; /* of opening it; 0: none */
	enum probe_stop stop;
	char error[CURL_ERROR_SIZE]; /* libcurl's words */
	struct probe_buffer body;    /* or whatever tcp and tls servers say */
	struct {
		void *headers; /* see probe_request.c */
		size_t headers_size;
		size_t header_bytes;
		size_t body_bytes;
		unsigned status; /* once it is over; 0: none */
		size_t body_max;
		bool body_wanted;
		struct probe_buffer head; /* if wanted: its lines */
		char status_text[48];     /* the answer's, unchecked */
	} http;
	struct {
		bool used;
		bool opened; /* its connection was not a kept one */
		bool odd;    /* its answer is for libcurl */
		bool drained; /* nothing was left to be read */
		int fd;
		size_t sent;
		uint64_t began_us;
		uint64_t connected_us; /* 0: not, or not by this probe */
		uint64_t first_byte_us;
		struct probe_buffer request;
		struct probe_buffer unread;
		struct http_reader reader;
	} direct;
	struct {
		bool is_grpc; /* so its Content-Type says */
		bool has_status;
		unsigned long status;
		char message[64]; /* the answer's, unchecked */
	} grpc;
	struct {
		bool begun;
		uint64_t first_byte_us; /* 0: none */
		size_t sent;
		struct expectation_progress progress;
		struct probe_result verdict; /* outcome and message */
	} talk;
	struct {
		CURLU *url;
		void *ssl_ctx;
		uint64_t cert_expires_at_us;
		int alert; /* with which the other side gave up; 0: none */
		char problem[HEALTH_MESSAGE_SIZE]; /* of our own files */
	} tls;
};

/* A kind of check. */
struct check {
	/* For each probe: the options that differ.  Returns anything but
	 * CURLE_OK only for lack of memory. */
	CURLcode (*prepare)(struct probe *probe);
	/* A line of an answer's head or trailer. */
	void (*on_field)(struct probe *probe, const char *line, size_t length);
	/* Decides on what came back, for `settings`.  Returns false if
	 * probe->code is a failure that means the same for all kinds. */
	bool (*judge)(const struct probe *probe,
	              const struct settings *settings,
	              struct probe_result *result);
	/* What the answer says of the host's use; NULL: never anything. */
	void (*advise)(const struct probe *probe, struct agent_advice *advice);
	curl_talk_fn talk; /* see curl_loop.h */
	long http_version; /* CURL_HTTP_VERSION_...; 0: the settings' */
	char http_major;   /* '1' or '2' */
	bool tls;
	bool speaks_first; /* sends something once it is connected */
};

extern const struct check check_http;
extern const struct check check_https;
extern const struct check check_h2;
extern const struct check check_h2c;
extern const struct check check_grpc;
extern const struct check check_grpcs;
extern const struct check check_tcp;
extern const struct check check_tls;
extern const struct check check_agent;

/* --- probe.c ------------------------------------------------------------ */

/* Returns 0 or -ENOMEM. */
int probe_buffer_add(struct probe_buffer *buffer, const char *data,
                     size_t size);

/* Its time begins, if it has not yet. */
void probe_begin(struct probe *probe);

/* A socket for its address, not yet connected.  Returns -1 with its
 * socket_errno set if there is none to be had. */
int probe_open_socket(struct probe *probe);

/* As if nothing had come back yet, ... */
void probe_rewind(struct probe *probe);
/* ... and once more, in the time that is left. */
int probe_relaunch(struct probe *probe);

/* Never NULL. */
const char *probe_buffer_text(const struct probe_buffer *buffer);

/* --- probe_judge.c ------------------------------------------------------ */

/* Sets the sentence for people.  What came from outside may be in it: bytes
 * that are not printable ASCII are replaced. */
void probe_explain(struct probe_result *result, const char *format, ...)
	PRINTF_LIKE(2, 3);

/* --- probe_request.c ---------------------------------------------------- */

/* "Name: value", or "Name:" to keep libcurl from adding it; sent unless the
 * settings have a field of that name. */
struct request_field {
	const char *name;
	const char *text;
	bool with_body;  /* only then */
	bool with_close; /* only if the connection is not kept */
};

CURLcode probe_set_fields(struct probe *probe,
                          const struct request_field *fields,
                          size_t field_count, bool with_body);

/* The same as text, added to *ret.  Returns 0 or -ENOMEM. */
int probe_write_fields(struct probe *probe, const struct request_field *fields,
                       size_t field_count, struct probe_buffer *ret);

/* Nothing of an answer was seen yet. */
void probe_clear_http(struct probe *probe);

/* The options of any HTTP, and GET until something else is set. */
CURLcode probe_set_http(struct probe *probe, const char *target,
                        bool with_body);

/* What Host says, or would say. */
const char *probe_host_text(const struct probe *probe, char *buffer);

/* --- probe_http.c ------------------------------------------------------- */

/* The callbacks of all kinds of HTTP.  Constant for a handle. */
CURLcode probe_http_init(struct probe *probe);

/* A line of a head, or a piece of a body.  Returns false if that is enough,
 * for what probe->stop says. */
bool probe_http_take_line(struct probe *probe, const char *line, size_t length);
bool probe_http_take_body(struct probe *probe, const char *data, size_t length);

bool probe_http_has_body(const struct settings *settings);
bool probe_http_is_head(const struct settings *settings);

/* The whole request, of a kind without a body.  Returns 0 or -ENOMEM. */
int probe_http_write(struct probe *probe, struct probe_buffer *ret);

/* An answer that none of them can use.  Returns false if it can be. */
bool probe_http_judge_stop(const struct probe *probe,
                           struct probe_result *result);

/* --- probe_direct.c ----------------------------------------------------- */

/* Whether it can do without libcurl. */
bool probe_direct_may(const struct probe *probe);
int probe_direct_launch(struct probe *probe);
/* It ended with `code`, but the answer is to be had otherwise, and was asked
 * for. */
bool probe_direct_again(struct probe *probe, CURLcode code);
void probe_direct_measure(struct probe *probe);
/* Its connection is the line's again, or closed. */
void probe_direct_give_back(struct probe *probe, CURLcode code);
void probe_direct_close(struct probe *probe);

/* --- probe_talk.c ------------------------------------------------------- */

/* A connection, and nothing else of libcurl's. */
CURLcode probe_talk_prepare(struct probe *probe);

/* Returns CURLE_OK when all is sent. */
CURLcode probe_say(struct probe *probe, const struct config_bytes *bytes);

/* Reads into the body until there is nothing left (CURLE_AGAIN), or there are
 * `max` bytes or its end (CURLE_OK). */
CURLcode probe_hear(struct probe *probe, size_t max);

/* --- probe_tls.c -------------------------------------------------------- */

CURLcode probe_tls_init(struct probe *probe); /* constant for a handle */
CURLcode probe_tls_prepare(struct probe *probe);
/* What ALPN came to, once connected. */
bool probe_tls_has_h2(const struct probe *probe);
/* What TLS does for a connection reaches the probe from here on, ... */
void probe_tls_attach(struct probe *probe);
/* ... and from here on no more. */
void probe_tls_release(struct probe *probe);
void kept_tls_release(struct kept *kept);
void prober_tls_release(struct prober *prober);

/* --- probe_line.c ------------------------------------------------------- */

/* Whether its connection is to last. */
bool probe_keeps(const struct probe *probe);

/* The line's connection if it may serve this probe, else room for one. */
int probe_line_take(struct probe_line *line, struct probe *probe);
/* Has libcurl use it, or none. */
int probe_line_share(struct probe *probe);
/* After the probe. */
void probe_line_give_back(struct probe *probe);

#endif
