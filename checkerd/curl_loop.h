/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Transfers of libcurl on the event loop of libsystemd.  This is the only
 * place where the two meet.
 */
#ifndef CHECKERD_CURL_LOOP_H
#define CHECKERD_CURL_LOOP_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct curl_loop;
struct curl_transfer;

/* Called once for each transfer that ended and was not removed, always from
 * the event loop.  The transfer is out of the loop when it is called; any
 * transfer may be added or removed from within. */
typedef void (*curl_done_fn)(struct curl_transfer *transfer, CURLcode result);

/* What goes on over a connection that libcurl only made (with
 * CURLOPT_CONNECT_ONLY).  Called once it stands, and then whenever it is ready
 * for what was waited for; sends and receives with curl_easy_send() and
 * curl_easy_recv() until they would block.  Returns what to wait for next,
 * EPOLLIN or EPOLLOUT, or 0 when it is over: then the transfer ends with
 * *ret_result.  Adds and removes no transfer. */
typedef uint32_t (*curl_talk_fn)(struct curl_transfer *transfer,
                                 CURLcode *ret_result);

/* One transfer, owned by the caller and usually part of something bigger. */
struct curl_transfer {
	/* its CURLOPT_PRIVATE belongs to the loop; not used by
	 * curl_loop_add_socket() */
	CURL *easy;
	curl_done_fn done;
	/* NULL: the transfer is libcurl's from its start to its end.  Else it
	 * ends with CURLE_OPERATION_TIMEDOUT if the talk takes longer; the
	 * talk itself may give itself more time. */
	curl_talk_fn talk;
	uint64_t talk_until_us;
	uint32_t talk_ready; /* out: EPOLL...; 0: it was not waited for yet */
	/* out: 0, or the negative errno with which its socket could not be
	 * watched, after which it can only time out */
	int watch_error;
	/* the loop's */
	bool added;
	struct curl_talk {
		struct curl_transfer *next;
		struct curl_transfer **list; /* in which it is, or NULL */
		struct curl_transfer *previous;
		CURLcode result;
		int fd;
		bool own_socket;
	} talking;
};

/* The loop was woken, or came round, at `now_us` of CLOCK_MONOTONIC. */
typedef void (*curl_wake_fn)(void *userdata, uint64_t now_us);

int curl_loop_new(struct curl_loop **ret, sd_event *event);

/* Accepts NULL.  Whoever added transfers has removed them before.  Not to be
 * called from within a curl_done_fn. */
void curl_loop_free(struct curl_loop *loop);

/* `transfer` starts when the event loop next comes round.  Returns a negative
 * errno if it was not added. */
int curl_loop_add(struct curl_loop *loop, struct curl_transfer *transfer);

/* A talk over a socket of the caller's, connected or about to be, in which
 * libcurl has no part.  It starts at once, and goes on when there may be
 * something to read, or room to send if it last returned EPOLLOUT.  With `fd`
 * negative it is over, with `result`; it can not be called back before the
 * event loop comes round either way.  The socket is watched until
 * curl_loop_close(), which costs less than a watch for each of several
 * talks. */
int curl_loop_add_socket(struct curl_loop *loop,
                         struct curl_transfer *transfer, int fd,
                         CURLcode result);

/* Whether nothing had come over such a socket since its last talk, nor its
 * end, when the loop last came round. */
bool curl_loop_is_quiet(const struct curl_loop *loop, int fd);

/* Closes such a socket, after its talk. */
void curl_loop_close(struct curl_loop *loop, int fd);

/* Nothing is called back after this.  The transfer's connection is closed,
 * unless its socket is the caller's.  Transfers that are not in the loop are
 * left alone. */
void curl_loop_remove(struct curl_loop *loop, struct curl_transfer *transfer);

/* Has the loop come round now, for all that is ready.  Not to be called from
 * within a callback of a transfer.  Returns a negative errno. */
int curl_loop_turn(struct curl_loop *loop);

/* `wake` is called at the start of each turn that transfers take. */
void curl_loop_set_wake(struct curl_loop *loop, curl_wake_fn wake,
                        void *userdata);

#endif
