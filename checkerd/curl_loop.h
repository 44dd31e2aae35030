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
	CURL *easy; /* its CURLOPT_PRIVATE belongs to the loop */
	curl_done_fn done;
	/* NULL: the transfer is libcurl's from its start to its end.  Else it
	 * ends with CURLE_OPERATION_TIMEDOUT if the talk takes longer. */
	curl_talk_fn talk;
	uint64_t talk_until_us;
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

/* Nothing is called back after this.  The transfer's connection is closed.
 * Transfers that are not in the loop are left alone. */
void curl_loop_remove(struct curl_loop *loop, struct curl_transfer *transfer);

/* `wake` is called at the start of each turn that transfers take. */
void curl_loop_set_wake(struct curl_loop *loop, curl_wake_fn wake,
                        void *userdata);

#endif
