/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Places in the ring, and whose turn it is.  One event of one receiver is
 * taken up per turn of the loop, so that a burst of events holds up no probe
 * for longer than that takes.
 *
 * Not taken: a queue of our own.  It would hold the same events once more,
 * and need a bound and a policy that the ring has already.
 */
#include "notify_private.h"

#include "clock.h"
#include "log.h"
#include "util.h"
#include "view_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SAY_EVERY_US (10 * USEC_PER_SEC)

struct notify {
	notify_shm_fn shm;
	void *owner;
	struct config *config; /* a reference */
	struct receiver *receivers[NOTIFY_RECEIVERS];
};

/* --- one event ---------------------------------------------------------- */

void notice_free(struct notice *notice)
{
	if (!notice)
		return;
	json_decref(notice->document);
	free(notice->text);
	free(notice);
}

static struct notice *notice_new(uint64_t number,
                                 const struct health_event *event)
{
	struct notice *notice = calloc(1, sizeof(*notice));
	FILE *stream;
	int r = -ENOMEM;

	if (!notice)
		return NULL;
	notice->number = number;
	notice->at_us = event->at_us;
	notice->document = view_json_event(number, event);
	stream = open_memstream(&notice->text, &notice->size);
	if (stream) {
		r = view_json_dump(stream, json_incref(notice->document));
		if (fclose(stream) != 0)
			r = -ENOMEM;
	}
	if (r < 0) {
		notice_free(notice);
		return NULL;
	}
	return notice;
}

/* --- one receiver ------------------------------------------------------- */

static const struct health_shm *shm_of(const struct receiver *receiver)
{
	return receiver->notify->shm(receiver->notify->owner);
}

static void arm(const struct receiver *receiver)
{
	sd_event_source_set_enabled(receiver->turn, SD_EVENT_ONESHOT);
}

void receiver_done(struct receiver *receiver)
{
	receiver->taken--;
	arm(receiver);
}

void receiver_wake(struct receiver *receiver)
{
	receiver->resting = false;
	arm(receiver);
}

void receiver_drop(struct receiver *receiver, uint64_t count, const char *why)
{
	receiver->counters.dropped += count;
	receiver->drops.count += count;
	snprintf(receiver->drops.why, sizeof(receiver->drops.why), "%s", why);
}

static void say_drops(struct receiver *receiver, uint64_t now_us)
{
	if (!receiver->drops.count)
		return;
	log_warning("%s: %" PRIu64 " events dropped, %" PRIu64 " in all: %s",
	            receiver->name, receiver->drops.count,
	            receiver->counters.dropped, receiver->drops.why);
	receiver->drops.count = 0;
	receiver->drops.said_us = now_us;
}

static void deliver(struct receiver *receiver, uint64_t number,
                    const struct health_event *event)
{
	struct notice *notice = notice_new(number, event);

	if (!notice) {
		receiver_drop(receiver, 1, "out of memory");
		return;
	}
	receiver->taken++;
	receiver->deliver(receiver, notice);
}

static int on_turn(sd_event_source *source, void *userdata)
{
	struct receiver *receiver = userdata;
	const struct health_shm *shm = shm_of(receiver);
	uint64_t number, lost = receiver->events.lost;
	struct health_event event;
	bool found;

	(void) source;
	if (receiver->places == 0) {
		event_reader_begin(&receiver->events, false,
		                   health_shm_event_head(shm));
		return 0;
	}
	if (receiver->resting || receiver->taken >= receiver->places)
		return 0;
	found = event_reader_next(&receiver->events, shm, &event, &number);
	if (receiver->events.lost > lost)
		receiver_drop(receiver, receiver->events.lost - lost,
		              "the receiver is slower than events come");
	if (found && !receiver->busy)
		receiver->busy_since_us = monotonic_us();
	receiver->busy = found;
	if (!found)
		return 0;
	arm(receiver);
	deliver(receiver, number, &event);
	return 0;
}

static uint64_t waiting(const struct receiver *receiver)
{
	uint64_t head;

	if (receiver->places == 0)
		return receiver->taken;
	head = health_shm_event_head(shm_of(receiver));
	return receiver->taken + (head >= receiver->events.next
	                                  ? head + 1 - receiver->events.next
	                                  : 0);
}

static int receiver_add(struct notify *notify, struct receiver *receiver,
                        sd_event *event, uint64_t since)
{
	int r = sd_event_add_defer(event, &receiver->turn, on_turn, receiver);

	if (r >= 0)
		r = sd_event_source_set_enabled(receiver->turn, SD_EVENT_OFF);
	receiver->notify = notify;
	event_reader_begin(&receiver->events, false, since);
	return r;
}

/* --- all of them -------------------------------------------------------- */

int notify_new(struct notify **ret, sd_event *event, notify_shm_fn shm,
               void *owner, uint64_t since)
{
	static int (*const makers[])(struct receiver * *ret,
	                             sd_event * event) = {
		[NOTIFY_EXEC] = notify_exec_new,
		[NOTIFY_WEBHOOK] = notify_webhook_new,
	};
	struct notify *notify = calloc(1, sizeof(*notify));
	int r = notify ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(makers); i++) {
		r = makers[i](&notify->receivers[i], event);
		if (r >= 0)
			r = receiver_add(notify, notify->receivers[i], event,
			                 since);
	}
	if (r < 0) {
		notify_free(notify);
		return r;
	}
	notify->shm = shm;
	notify->owner = owner;
	*ret = notify;
	return 0;
}

void notify_free(struct notify *notify)
{
	if (!notify)
		return;
	for (size_t i = 0; i < NOTIFY_RECEIVERS; i++) {
		struct receiver *receiver = notify->receivers[i];
		uint64_t left;

		if (!receiver)
			continue;
		/* without a configuration nobody was ever there */
		left = notify->config ? waiting(receiver) : 0;
		say_drops(receiver, 0);
		if (left)
			log_warning("%s: %" PRIu64
			            " events were still to be delivered",
			            receiver->name, left);
		sd_event_source_disable_unref(receiver->turn);
		receiver->free(receiver);
	}
	config_unref(notify->config);
	free(notify);
}

void notify_configure(struct notify *notify, const struct config *config)
{
	struct config *before = notify->config;

	notify->config = config_ref((struct config *) config);
	for (size_t i = 0; i < NOTIFY_RECEIVERS; i++)
		notify->receivers[i]->configure(notify->receivers[i],
		                                &config->notify);
	config_unref(before);
	notify_poke(notify);
}

void notify_poke(struct notify *notify)
{
	for (size_t i = 0; i < NOTIFY_RECEIVERS; i++)
		arm(notify->receivers[i]);
}

void notify_beat(struct notify *notify, uint64_t now_us)
{
	for (size_t i = 0; i < NOTIFY_RECEIVERS; i++) {
		struct receiver *receiver = notify->receivers[i];

		if (now_us - receiver->drops.said_us >= SAY_EVERY_US)
			say_drops(receiver, now_us);
	}
}

struct notify_counters notify_counters(const struct notify *notify,
                                       enum notify_receiver which)
{
	const struct receiver *receiver = notify->receivers[which];
	struct notify_counters counters = receiver->counters;

	counters.waiting = waiting(receiver);
	return counters;
}
