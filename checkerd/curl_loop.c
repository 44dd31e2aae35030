/* SPDX-License-Identifier: BSD-2-Clause
 *
 * libcurl's sockets live in an epoll set of their own, and sd-event watches
 * that one set: sd-event runs one source per turn, with a wait of its own
 * each, which at ten thousand checks a second costs more than the checks.
 * Here one turn takes up to EVENTS_PER_TURN ready sockets.
 *
 * Sockets.  libcurl says what it wants to hear of a socket and, right before
 * it closes one, that it wants nothing any more.  The kernel forgets a socket
 * at its close, so nothing is deleted here: the watch is marked as stale, and
 * the number's next use adds it anew, with the next generation.  An event
 * carries the generation it was registered with, so that one for a socket
 * that was closed and reused within a turn is known as such and dropped.
 * Should a socket that libcurl wants nothing of stay open and become ready
 * (a kept connection), then it is deleted; a set that is level-triggered
 * would report it for ever.
 *
 * Time.  libcurl has one deadline, the earliest, and moves it with each
 * transfer.  The timer is armed when that deadline comes closer, never when
 * it moves away: it then fires early, once, and is armed again.  Deadline
 * "now" needs no timer: a deferred source runs at the loop's next turn, and
 * starts all transfers added since the last one.
 *
 * Talks.  What is said over a connection that libcurl only made is not its
 * business, so that their sockets and deadlines are watched here, in the same
 * set and by the same timer.  Few last long: their deadlines are looked
 * through when the earliest that was ever set has come, not kept in order.
 * Sockets of the callers' own are registered once, edge-triggered, after the
 * first attempt to talk: one that need not wait to send is never reported as
 * ready for it.  They stay so while nobody talks over them; one at which
 * something happens then is forgotten, by which the caller knows.
 *
 * Ended transfers are collected after libcurl has returned, so that callbacks
 * run outside of it and may do what they like.
 *
 * Not taken: one multi per group of hosts, which kept connections will want
 * (libcurl walks its whole connection cache once a second).  What is bound to
 * a multi is therefore kept apart from the rest, in struct bundle.
 */
#include "curl_loop.h"

#include "clock.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define EVENTS_PER_TURN   256
#define TIMER_ACCURACY_US USEC_PER_MSEC /* 0 would mean 250 ms */
#define WATCHES_MIN       256
#define NEVER             UINT64_MAX
/* What of a socket of the callers' is watched at all times, and sometimes. */
#define WHAT_COMES (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define ANYTHING   (WHAT_COMES | EPOLLOUT)

/* A multi and what it waits for. */
struct bundle {
	struct curl_loop *loop;
	CURLM *multi;
	uint64_t deadline_us;
};

/* What is known of the socket that has this number. */
struct watch {
	struct bundle *bundle;
	/* NULL: it is the bundle's, or nobody talks over it now */
	struct curl_transfer *talker;
	uint32_t events; /* EPOLL...; 0: libcurl wants nothing of it */
	uint32_t generation;
};

struct curl_loop {
	int epoll_fd;
	sd_event_source *io;
	sd_event_source *timer;
	sd_event_source *defer;
	uint64_t armed_us;     /* what the timer is set to */
	struct watch *watches; /* by file descriptor */
	uint32_t watch_count;
	struct curl_transfer *talkers;
	struct curl_transfer *ended; /* of those, and not yet told */
	uint64_t talk_deadline_us;   /* none of theirs is earlier */
	curl_wake_fn wake;
	void *wake_userdata;
	struct bundle bundle;
};

/* --- sockets ------------------------------------------------------------ */

static struct watch *watch_get(struct curl_loop *loop, int fd)
{
	struct watch *watches;
	uint32_t count = loop->watch_count;

	if ((uint32_t) fd < count)
		return &loop->watches[fd];
	count = count > 0 ? count : WATCHES_MIN;
	while (count <= (uint32_t) fd)
		count *= 2;
	watches = reallocarray(loop->watches, count, sizeof(*watches));
	if (watches == NULL)
		return NULL;
	memset(watches + loop->watch_count, 0,
	       (count - loop->watch_count) * sizeof(*watches));
	loop->watches = watches;
	loop->watch_count = count;
	return &watches[fd];
}

static int watch_set(struct curl_loop *loop, int fd, struct bundle *bundle,
                     struct curl_transfer *talker, uint32_t events)
{
	struct watch *watch;
	struct epoll_event event;
	int op, r;

	watch = watch_get(loop, fd);
	if (watch == NULL)
		return -ENOMEM;
	if (watch->events == 0)
		watch->generation++;
	event.events = events;
	event.data.u64 = (uint64_t) watch->generation << 32 | (uint32_t) fd;
	/* Either may be wrong: the socket may still be registered since libcurl
	 * let go of it, or have been closed and reopened without a word. */
	op = watch->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	r = epoll_ctl(loop->epoll_fd, op, fd, &event);
	if (r < 0 && (errno == EEXIST || errno == ENOENT)) {
		op = errno == EEXIST ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
		r = epoll_ctl(loop->epoll_fd, op, fd, &event);
	}
	if (r < 0)
		return -errno;
	watch->bundle = bundle;
	watch->talker = talker;
	watch->events = events;
	return 0;
}

static void watch_forget(struct curl_loop *loop, int fd)
{
	if ((uint32_t) fd < loop->watch_count)
		loop->watches[fd].events = 0;
}

/* libcurl gives up a whole multi if this returns an error, so the one
 * transfer concerned is marked instead. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userdata,
                     void *socket_userdata)
{
	struct bundle *bundle = userdata;
	struct curl_transfer *transfer;
	uint32_t events;
	int r;

	(void) socket_userdata;
	if (what == CURL_POLL_REMOVE) {
		watch_forget(bundle->loop, fd);
		return 0;
	}
	events = (what & CURL_POLL_IN ? EPOLLIN : 0) |
	         (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	r = watch_set(bundle->loop, fd, bundle, NULL, events);
	if (r < 0 && curl_easy_getinfo(easy, CURLINFO_PRIVATE,
	                               (char **) &transfer) == CURLE_OK)
		transfer->watch_error = r;
	return 0;
}

/* --- talks -------------------------------------------------------------- */

static void talk_unlink(struct curl_transfer *transfer)
{
	struct curl_talk *talk = &transfer->talking;

	if (talk->list == NULL)
		return;
	if (talk->next != NULL)
		talk->next->talking.previous = talk->previous;
	if (talk->previous != NULL)
		talk->previous->talking.next = talk->next;
	else
		*talk->list = talk->next;
	talk->list = NULL;
}

static void talk_link(struct curl_transfer *transfer,
                      struct curl_transfer **list)
{
	struct curl_talk *talk = &transfer->talking;

	talk->list = list;
	talk->previous = NULL;
	talk->next = *list;
	if (talk->next != NULL)
		talk->next->talking.previous = transfer;
	*list = transfer;
}

static void talk_unwatch(struct curl_loop *loop, struct curl_transfer *transfer)
{
	const struct curl_talk *talk = &transfer->talking;

	if (!talk->own_socket)
		watch_forget(loop, talk->fd);
	else if (talk->fd >= 0 && (uint32_t) talk->fd < loop->watch_count)
		loop->watches[talk->fd].talker = NULL;
}

static void talk_end(struct curl_loop *loop, struct curl_transfer *transfer,
                     CURLcode result)
{
	transfer->talking.result = result;
	talk_unwatch(loop, transfer);
	talk_unlink(transfer);
	talk_link(transfer, &loop->ended);
}

/* Of one that was kept from an earlier talk there may be nothing to change. */
static int own_watch(struct curl_loop *loop, struct curl_transfer *transfer,
                     uint32_t events)
{
	struct watch *watch = watch_get(loop, transfer->talking.fd);

	if (watch == NULL)
		return -ENOMEM;
	events = events & EPOLLOUT ? ANYTHING : WHAT_COMES;
	if (watch->bundle != NULL || (watch->events & events) != events)
		return watch_set(loop, transfer->talking.fd, NULL, transfer,
		                 events);
	watch->talker = transfer;
	return 0;
}

static void talk_on(struct curl_loop *loop, struct curl_transfer *transfer)
{
	CURLcode result = CURLE_OK;
	uint32_t events;
	int r;

	events = transfer->talk(transfer, &result);
	if (events == 0) {
		talk_end(loop, transfer, result);
		return;
	}
	r = transfer->talking.own_socket
	            ? own_watch(loop, transfer, events)
	            : watch_set(loop, transfer->talking.fd, NULL, transfer,
	                        events);
	if (r < 0) {
		transfer->watch_error = r;
		talk_end(loop, transfer, CURLE_RECV_ERROR);
	}
}

static void talk_start(struct curl_loop *loop, struct curl_transfer *transfer,
                       int fd)
{
	transfer->talk_ready = 0;
	transfer->talking.fd = fd;
	talk_link(transfer, &loop->talkers);
	if (transfer->talk_until_us < loop->talk_deadline_us)
		loop->talk_deadline_us = transfer->talk_until_us;
	talk_on(loop, transfer);
}

/* libcurl has made its connection. */
static void talk_begin(struct curl_loop *loop, struct curl_transfer *transfer)
{
	curl_socket_t fd = CURL_SOCKET_BAD;

	curl_easy_getinfo(transfer->easy, CURLINFO_ACTIVESOCKET, &fd);
	talk_start(loop, transfer, fd);
}

static void end_late_talks(struct curl_loop *loop, uint64_t now)
{
	struct curl_transfer *transfer, *next;

	if (loop->talk_deadline_us > now)
		return;
	loop->talk_deadline_us = NEVER;
	for (transfer = loop->talkers; transfer != NULL; transfer = next) {
		next = transfer->talking.next;
		if (transfer->talk_until_us <= now)
			talk_end(loop, transfer, CURLE_OPERATION_TIMEDOUT);
		else if (transfer->talk_until_us < loop->talk_deadline_us)
			loop->talk_deadline_us = transfer->talk_until_us;
	}
}

/* --- a ready socket ----------------------------------------------------- */

static void socket_ready(struct curl_loop *loop,
                         const struct epoll_event *event)
{
	int fd = (int) (uint32_t) event->data.u64;
	uint32_t generation = (uint32_t) (event->data.u64 >> 32);
	const struct watch *watch = &loop->watches[fd];
	int running;

	if (watch->generation != generation)
		return;
	if (watch->events == 0) {
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return;
	}
	if (watch->talker != NULL) {
		watch->talker->talk_ready = event->events;
		talk_on(loop, watch->talker);
		return;
	}
	if (watch->bundle == NULL) {
		if (event->events != EPOLLOUT)
			watch_forget(loop, fd);
		return;
	}
	curl_multi_socket_action(
		watch->bundle->multi, fd,
		(event->events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			(event->events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			(event->events & (EPOLLERR | EPOLLHUP)
	                         ? CURL_CSELECT_ERR
	                         : 0),
		&running);
}

/* --- time --------------------------------------------------------------- */

static int on_deadline(CURLM *multi, long timeout_ms, void *userdata)
{
	struct bundle *bundle = userdata;

	(void) multi;
	if (timeout_ms < 0)
		bundle->deadline_us = NEVER;
	else if (timeout_ms == 0)
		bundle->deadline_us = 0;
	else /* libcurl rounds down, and looks in vain if woken before */
		bundle->deadline_us = monotonic_us() + ((uint64_t) timeout_ms +
		                                        1) * USEC_PER_MSEC;
	return 0;
}

/* Sees to it that the loop comes round in time for the next deadline. */
static int schedule_turn(struct curl_loop *loop)
{
	uint64_t deadline_us = loop->bundle.deadline_us;
	int r;

	if (loop->talk_deadline_us < deadline_us)
		deadline_us = loop->talk_deadline_us;

	if (deadline_us == 0 || loop->ended != NULL)
		return sd_event_source_set_enabled(loop->defer,
		                                   SD_EVENT_ONESHOT);
	if (deadline_us >= loop->armed_us)
		return 0;
	r = sd_event_source_set_time(loop->timer, deadline_us);
	if (r >= 0)
		r = sd_event_source_set_enabled(loop->timer, SD_EVENT_ONESHOT);
	if (r >= 0)
		loop->armed_us = deadline_us;
	return r;
}

/* --- a turn ------------------------------------------------------------- */

static uint64_t begin_turn(struct curl_loop *loop)
{
	uint64_t now = monotonic_us();

	if (loop->wake != NULL)
		loop->wake(loop->wake_userdata, now);
	return now;
}

static void tell(struct curl_loop *loop, struct curl_transfer *transfer,
                 CURLcode result)
{
	curl_loop_remove(loop, transfer);
	transfer->done(transfer, result);
}

static int end_turn(struct curl_loop *loop)
{
	CURLM *multi = loop->bundle.multi;
	struct curl_transfer *transfer;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL) {
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
		                  (char **) &transfer);
		if (transfer->talk != NULL && message->data.result == CURLE_OK)
			talk_begin(loop, transfer);
		else
			tell(loop, transfer, message->data.result);
	}
	while ((transfer = loop->ended) != NULL)
		tell(loop, transfer, transfer->talking.result);
	return schedule_turn(loop);
}

static void run_deadlines(struct curl_loop *loop, uint64_t now)
{
	int running;

	if (loop->bundle.deadline_us > now)
		return;
	/* libcurl tells the next deadline, but not that there is none */
	loop->bundle.deadline_us = NEVER;
	curl_multi_socket_action(loop->bundle.multi, CURL_SOCKET_TIMEOUT, 0,
	                         &running);
}

int curl_loop_turn(struct curl_loop *loop)
{
	struct epoll_event events[EVENTS_PER_TURN];
	int count, i;

	begin_turn(loop);
	count = epoll_wait(loop->epoll_fd, events, ARRAY_SIZE(events), 0);
	for (i = 0; i < count; i++)
		socket_ready(loop, &events[i]);
	return end_turn(loop);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents,
                 void *userdata)
{
	(void) source;
	(void) fd;
	(void) revents;
	return curl_loop_turn(userdata);
}

static int on_timer(sd_event_source *source, uint64_t at_us, void *userdata)
{
	struct curl_loop *loop = userdata;
	uint64_t now;

	(void) source;
	(void) at_us;
	loop->armed_us = NEVER;
	now = begin_turn(loop);
	run_deadlines(loop, now);
	end_late_talks(loop, now);
	return end_turn(loop);
}

static int on_defer(sd_event_source *source, void *userdata)
{
	struct curl_loop *loop = userdata;

	(void) source;
	run_deadlines(loop, begin_turn(loop));
	return end_turn(loop);
}

/* --- for the callers ---------------------------------------------------- */

int curl_loop_add(struct curl_loop *loop, struct curl_transfer *transfer)
{
	CURLMcode code;
	int r;

	assert(!transfer->added);
	transfer->watch_error = 0;
	transfer->talking.own_socket = false;
	if (curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer) !=
	    CURLE_OK)
		return -ENOMEM;
	code = curl_multi_add_handle(loop->bundle.multi, transfer->easy);
	assert(code != CURLM_BAD_EASY_HANDLE && code != CURLM_ADDED_ALREADY);
	if (code != CURLM_OK)
		return -ENOMEM;
	transfer->added = true;
	r = schedule_turn(loop);
	if (r < 0)
		curl_loop_remove(loop, transfer);
	return r;
}

int curl_loop_add_socket(struct curl_loop *loop, struct curl_transfer *transfer,
                         int fd, CURLcode result)
{
	int r;

	assert(!transfer->added);
	transfer->watch_error = 0;
	transfer->added = true;
	transfer->talking.own_socket = true;
	if (fd >= 0) {
		talk_start(loop, transfer, fd);
	} else {
		transfer->talking.fd = fd;
		talk_link(transfer, &loop->talkers);
		talk_end(loop, transfer, result);
	}
	r = schedule_turn(loop);
	if (r < 0)
		curl_loop_remove(loop, transfer);
	return r;
}

bool curl_loop_is_quiet(const struct curl_loop *loop, int fd)
{
	return (uint32_t) fd < loop->watch_count &&
	       loop->watches[fd].bundle == NULL &&
	       loop->watches[fd].events != 0;
}

void curl_loop_close(struct curl_loop *loop, int fd)
{
	watch_forget(loop, fd);
	close(fd);
}

void curl_loop_remove(struct curl_loop *loop, struct curl_transfer *transfer)
{
	if (!transfer->added)
		return;
	transfer->added = false;
	if (transfer->talking.list != NULL) {
		talk_unwatch(loop, transfer);
		talk_unlink(transfer);
	}
	if (!transfer->talking.own_socket)
		curl_multi_remove_handle(loop->bundle.multi, transfer->easy);
}

void curl_loop_set_wake(struct curl_loop *loop, curl_wake_fn wake,
                        void *userdata)
{
	loop->wake = wake;
	loop->wake_userdata = userdata;
}

static int bundle_init(struct bundle *bundle, struct curl_loop *loop)
{
	bundle->loop = loop;
	bundle->deadline_us = NEVER;
	bundle->multi = curl_multi_init();
	if (bundle->multi == NULL)
		return -ENOMEM;
	curl_multi_setopt(bundle->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(bundle->multi, CURLMOPT_SOCKETDATA, bundle);
	curl_multi_setopt(bundle->multi, CURLMOPT_TIMERFUNCTION, on_deadline);
	curl_multi_setopt(bundle->multi, CURLMOPT_TIMERDATA, bundle);
	curl_multi_setopt(bundle->multi, CURLMOPT_PIPELINING,
	                  (long) CURLPIPE_NOTHING);
	return 0;
}

static int sources_init(struct curl_loop *loop, sd_event *event)
{
	int r;

	r = sd_event_add_io(event, &loop->io, loop->epoll_fd, EPOLLIN, on_io,
	                    loop);
	if (r < 0)
		return r;
	r = sd_event_add_time(event, &loop->timer, CLOCK_MONOTONIC, NEVER,
	                      TIMER_ACCURACY_US, on_timer, loop);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(loop->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_add_defer(event, &loop->defer, on_defer, loop);
	if (r < 0)
		return r;
	/* no checks at all is worse than none of this process */
	sd_event_source_set_exit_on_failure(loop->io, true);
	sd_event_source_set_exit_on_failure(loop->timer, true);
	sd_event_source_set_exit_on_failure(loop->defer, true);
	return sd_event_source_set_enabled(loop->defer, SD_EVENT_OFF);
}

int curl_loop_new(struct curl_loop **ret, sd_event *event)
{
	struct curl_loop *loop;
	int r;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	loop = calloc(1, sizeof(*loop));
	if (loop == NULL) {
		curl_global_cleanup();
		return -ENOMEM;
	}
	loop->armed_us = NEVER;
	loop->talk_deadline_us = NEVER;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r = loop->epoll_fd < 0 ? -errno : bundle_init(&loop->bundle, loop);
	if (r >= 0)
		r = sources_init(loop, event);
	if (r < 0) {
		curl_loop_free(loop);
		return r;
	}
	*ret = loop;
	return 0;
}

void curl_loop_free(struct curl_loop *loop)
{
	if (loop == NULL)
		return;
	/* while the watches are there: it closes what connections it has */
	curl_multi_cleanup(loop->bundle.multi);
	sd_event_source_disable_unref(loop->io);
	sd_event_source_disable_unref(loop->timer);
	sd_event_source_disable_unref(loop->defer);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	free(loop->watches);
	free(loop);
	curl_global_cleanup();
}
