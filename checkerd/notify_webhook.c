/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Each event is posted to a URL, one at a time, until there is a receipt or
 * the event is too old.
 *
 * The posts have a multi of their own, so that nothing that libcurl does for
 * them is done among the probes'.  They share the thread: whatever blocks
 * would make probes late.  A name is looked up by a thread of libcurl's, and
 * CURLOPT_QUICK_EXIT lets go of it when the post's time is over, where libcurl
 * would else wait for it to end.  Authorities are looked up one by one where
 * the system has them in a folder, and kept for a minute where they come from
 * a file: reading all of the system's takes 15 ms and more.
 *
 * How long to wait is the receiver's affair, not the event's: it goes on over
 * an event that was given up, so that a dead receiver is not stormed by all
 * that waits.
 *
 * The URL and the headers may hold secrets, and are never logged.
 */
#include "notify_private.h"

#include "backoff.h"
#include "clock.h"
#include "curl_loop.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

/* Of an answer nobody wants more; it only keeps the connection usable. */
#define ANSWER_MAX 65536

#define CA_CACHE_S  60L
#define ACCURACY_US (10 * USEC_PER_MSEC)

struct notify_webhook {
	struct receiver receiver;
	struct curl_loop *loop;
	sd_event_source *timer;     /* enabled: waits to go on */
	struct notice *notice;      /* NULL: none */
	struct curl_transfer post;  /* easy is NULL between posts */
	struct curl_slist *headers; /* of the post */
	size_t answer_size;
	bool posted;       /* the notice, once at least */
	uint64_t failures; /* in a row */
	const struct notify_config *config;
	char error[CURL_ERROR_SIZE];
};

/* --- one post ----------------------------------------------------------- */

static size_t on_answer(char *data, size_t size, size_t count, void *userdata)
{
	struct notify_webhook *webhook = userdata;

	(void) data;
	webhook->answer_size += size * count;
	return webhook->answer_size <= ANSWER_MAX ? size * count : 0;
}

static void post_clear(struct notify_webhook *webhook)
{
	if (webhook->post.easy)
		curl_loop_remove(webhook->loop, &webhook->post);
	curl_easy_cleanup(webhook->post.easy);
	curl_slist_free_all(webhook->headers);
	webhook->post = (struct curl_transfer) { 0 };
	webhook->headers = NULL;
	webhook->answer_size = 0;
}

static bool names_type(const char *header)
{
	return strncasecmp(header, "Content-Type:", 13) == 0;
}

static int add_header(struct curl_slist **list, const char *header)
{
	struct curl_slist *longer = curl_slist_append(*list, header);

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int make_headers(struct notify_webhook *webhook)
{
	const char *const *header = webhook->config->webhook_headers;
	bool typed = false;
	int r = 0;

	for (; r >= 0 && *header; header++) {
		typed = typed || names_type(*header);
		r = add_header(&webhook->headers, *header);
	}
	if (r >= 0 && !typed)
		r = add_header(&webhook->headers,
		               "Content-Type: application/json");
	return r;
}

static CURLcode trust(CURL *easy, const char *file)
{
	char *folder = NULL;

	if (strcmp(file, CONFIG_SYSTEM_CA) != 0) {
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
		return curl_easy_setopt(easy, CURLOPT_CAINFO, file);
	}
	if (curl_easy_getinfo(easy, CURLINFO_CAPATH, &folder) == CURLE_OK &&
	    folder)
		return curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
	return CURLE_OK;
}

static int post_make(struct notify_webhook *webhook)
{
	const struct notify_config *config = webhook->config;
	CURL *easy = curl_easy_init();
	CURLcode code;
	int r;

	webhook->post.easy = easy;
	r = easy ? make_headers(webhook) : -ENOMEM;
	if (r < 0)
		return r;
	webhook->error[0] = '\0';
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, webhook->error);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
	                 (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
	                 (long) config->webhook_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, webhook->headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, webhook);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, webhook->notice->text);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE,
	                 (long) webhook->notice->size);
	code = trust(easy, config->webhook_ca);
	if (!code)
		code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR,
		                        "http,https");
	if (!code)
		code = curl_easy_setopt(easy, CURLOPT_USERAGENT,
		                        "checkerd/" CHECKERD_VERSION);
	if (!code)
		code = curl_easy_setopt(easy, CURLOPT_URL, config->webhook);
	return code ? -ENOMEM : 0;
}

/* --- what came of it ---------------------------------------------------- */

static void done_with_notice(struct notify_webhook *webhook)
{
	notice_free(webhook->notice);
	webhook->notice = NULL;
	webhook->posted = false;
	receiver_done(&webhook->receiver);
}

static void rest(struct notify_webhook *webhook)
{
	uint32_t chance = 0;
	uint64_t delay_ms;

	webhook->receiver.resting = true;
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) < 0)
		chance = (uint32_t) monotonic_us();
	delay_ms = backoff_ms(webhook->failures, chance);
	sd_event_source_set_time(webhook->timer,
	                         monotonic_us() + delay_ms * USEC_PER_MSEC);
	sd_event_source_set_enabled(webhook->timer, SD_EVENT_ONESHOT);
}

/* By the clock that people set, but no older than it can have become since
 * the receiver last had nothing to do: that clock may have jumped. */
static bool is_too_old(const struct notify_webhook *webhook)
{
	uint64_t now_us = realtime_us(), at_us = webhook->notice->at_us;
	uint64_t busy_us = monotonic_us() - webhook->receiver.busy_since_us;
	uint64_t age_us = now_us > at_us ? now_us - at_us : 0;

	return (age_us < busy_us ? age_us : busy_us) >=
	       webhook->config->webhook_retry_ms * USEC_PER_MSEC;
}

static void succeeded(struct notify_webhook *webhook)
{
	if (webhook->failures > 0)
		log_notice("webhook: event %" PRIu64
		           " delivered, after %" PRIu64 " failures in a row",
		           webhook->notice->number, webhook->failures);
	webhook->failures = 0;
	webhook->receiver.counters.delivered++;
	done_with_notice(webhook);
}

static void failed(struct notify_webhook *webhook, const char *why)
{
	char sentence[sizeof(webhook->receiver.drops.why)];
	bool given_up = is_too_old(webhook);

	webhook->receiver.counters.failed++;
	if (webhook->failures++ == 0)
		log_warning("webhook: event %" PRIu64 " not delivered: %s%s",
		            webhook->notice->number, why,
		            given_up ? ""
		                     : "; it is tried again, later events "
		                       "wait");
	if (given_up) {
		snprintf(sentence, sizeof(sentence),
		         "too old to be tried again; last, %s", why);
		receiver_drop(&webhook->receiver, 1, sentence);
		done_with_notice(webhook);
	}
	rest(webhook);
}

static void on_posted(struct curl_transfer *transfer, CURLcode result)
{
	struct notify_webhook *webhook =
		(struct notify_webhook *) ((char *) transfer -
	                                   offsetof(struct notify_webhook,
	                                            post));
	char why[sizeof(webhook->error)];
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status > 0)
		snprintf(why, sizeof(why), "status %ld", status);
	else
		snprintf(why, sizeof(why), "%s",
		         webhook->error[0] != '\0'
		                 ? webhook->error
		                 : curl_easy_strerror(result));
	post_clear(webhook);
	/* whatever became of the rest of the answer */
	if (status / 100 == 2)
		succeeded(webhook);
	else
		failed(webhook, why);
}

static void post(struct notify_webhook *webhook)
{
	int r = post_make(webhook);

	if (r >= 0) {
		webhook->post.done = on_posted;
		r = curl_loop_add(webhook->loop, &webhook->post);
	}
	webhook->receiver.counters.retried += webhook->posted;
	webhook->posted = true;
	if (r < 0) {
		post_clear(webhook);
		failed(webhook, strerror(-r));
	}
}

/* --- a receiver --------------------------------------------------------- */

static void go_on(struct notify_webhook *webhook)
{
	sd_event_source_set_enabled(webhook->timer, SD_EVENT_OFF);
	receiver_wake(&webhook->receiver);
	if (webhook->notice && webhook->receiver.places > 0)
		post(webhook);
	else if (webhook->notice)
		done_with_notice(webhook);
}

static int on_timer(sd_event_source *source, uint64_t due_us, void *userdata)
{
	(void) source;
	(void) due_us;
	go_on(userdata);
	return 0;
}

static void deliver(struct receiver *receiver, struct notice *notice)
{
	struct notify_webhook *webhook = (struct notify_webhook *) receiver;

	webhook->notice = notice;
	post(webhook);
}

static bool same_receiver(const struct notify_config *a,
                          const struct notify_config *b)
{
	const char *const *of_a = a->webhook_headers;
	const char *const *of_b = b->webhook_headers;

	for (; *of_a && *of_b && strcmp(*of_a, *of_b) == 0; of_a++, of_b++)
		;
	return !*of_a && !*of_b && strcmp(a->webhook, b->webhook) == 0 &&
	       strcmp(a->webhook_ca, b->webhook_ca) == 0;
}

/* A post that is under way goes on as it began; one that waits for its time
 * has found another receiver. */
static void configure(struct receiver *receiver,
                      const struct notify_config *config)
{
	struct notify_webhook *webhook = (struct notify_webhook *) receiver;
	const struct notify_config *before = webhook->config;

	webhook->config = config;
	receiver->places = *config->webhook != '\0';
	if (!before || same_receiver(before, config))
		return;
	webhook->failures = 0;
	if (receiver->resting)
		go_on(webhook);
}

static void release(struct receiver *receiver)
{
	struct notify_webhook *webhook = (struct notify_webhook *) receiver;

	post_clear(webhook);
	notice_free(webhook->notice);
	sd_event_source_disable_unref(webhook->timer);
	curl_loop_free(webhook->loop);
	free(webhook);
}

int notify_webhook_new(struct receiver **ret, sd_event *event)
{
	struct notify_webhook *webhook = calloc(1, sizeof(*webhook));
	int r;

	if (!webhook)
		return -ENOMEM;
	webhook->receiver = (struct receiver) {
		.name = "webhook",
		.configure = configure,
		.deliver = deliver,
		.free = release,
	};
	r = curl_loop_new(&webhook->loop, event);
	if (r >= 0)
		r = sd_event_add_time(event, &webhook->timer, CLOCK_MONOTONIC,
		                      UINT64_MAX, ACCURACY_US, on_timer,
		                      webhook);
	if (r >= 0)
		r = sd_event_source_set_enabled(webhook->timer, SD_EVENT_OFF);
	if (r < 0) {
		release(&webhook->receiver);
		return r;
	}
	*ret = &webhook->receiver;
	return 0;
}
