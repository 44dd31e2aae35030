/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Start, signals, reload, the beat, and what systemd is told.  What checkerd
 * is for happens in rounds.c.
 */
#include "daemon.h"

#include "api.h"
#include "clock.h"
#include "config.h"
#include "config_keys.h"
#include "config_value.h"
#include "control.h"
#include "log.h"
#include "message_ids.h"
#include "notify.h"
#include "readers.h"
#include "publication.h"
#include "report_receiver.h"
#include "rounds.h"
#include "segment_draft.h"
#include "segment_writer.h"
#include "util.h"

#include "lag.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#define BEAT_US          LAG_WAKE_US
#define BEAT_ACCURACY_US UINT64_C(10000)

#define TELL_REFUSED_US (10 * USEC_PER_SEC)

/* How long to wait for the lock of a process that is dead. */
#define LOCK_TRIES   100
#define LOCK_STEP_NS 20000000L

/* systemd is told at most this often how things stand */
#define STATUS_BEATS 10

struct daemon {
	const char *path;
	struct config *first; /* what holds from the start on */
	sd_event *event;
	sd_event_source *beat;
	struct segment_writer *writer;
	struct rounds *rounds;
	struct api *api;
	struct control *control;
	struct notify *notify;
	struct readers readers; /* of the segment */
	struct report_receiver *reports; /* NULL: nobody can report */
	uint64_t refused_told; /* reports, as last said */
	uint64_t refused_told_us;
	unsigned beats;
	struct rounds_summary told;
};

/* --- systemd ------------------------------------------------------------ */

static void tell_status(struct daemon *daemon, const char *also)
{
	struct rounds_summary now = rounds_summarize(daemon->rounds);

	if (!*also && memcmp(&now, &daemon->told, sizeof(now)) == 0)
		return;
	daemon->told = now;
	sd_notifyf(0,
	           "%sSTATUS=%" PRIu32 " of %" PRIu32
	           " hosts take traffic, generation %" PRIu64,
	           also, now.up, now.hosts, now.generation);
}

/* Somebody sends what is no report, or may not: once in a while at most. */
static void tell_refused(struct daemon *daemon, uint64_t now_us)
{
	uint64_t refused = daemon->reports
	                           ? report_receiver_refused(daemon->reports)
	                           : 0;

	if (refused == daemon->refused_told ||
	    (daemon->refused_told_us &&
	     now_us - daemon->refused_told_us < TELL_REFUSED_US))
		return;
	log_warning("%" PRIu64 " reports refused, %" PRIu64 " in all: from "
	            "users that are not in report_users, or no reports",
	            refused - daemon->refused_told, refused);
	daemon->refused_told = refused;
	daemon->refused_told_us = now_us;
}

static int on_beat(sd_event_source *source, uint64_t due_us, void *userdata)
{
	struct daemon *daemon = userdata;
	uint64_t now_us;

	(void) due_us;
	rounds_beat(daemon->rounds);
	api_beat(daemon->api);
	if (++daemon->beats % STATUS_BEATS == 0)
		tell_status(daemon, "");
	sd_event_now(daemon->event, CLOCK_MONOTONIC, &now_us);
	tell_refused(daemon, now_us);
	notify_beat(daemon->notify, now_us);
	return sd_event_source_set_time(source, now_us + BEAT_US);
}

/* --- signals ------------------------------------------------------------ */

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info,
                   void *userdata)
{
	struct daemon *daemon = userdata;

	(void) source;
	(void) info;
	return sd_event_exit(daemon->event, 0);
}

static int on_reload(sd_event_source *source,
                     const struct signalfd_siginfo *info, void *userdata)
{
	struct daemon *daemon = userdata;

	(void) source;
	(void) info;
	sd_notify(0, "RELOADING=1");
	control_reload(daemon->control, NULL, NULL);
	return 0;
}

/* What a reload cannot move. */
static void say_postponed(const struct daemon *daemon,
                          const struct config *config)
{
	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];
		char text[CONFIG_PROBLEM_SIZE] = "";
		FILE *stream;

		if (!key->at_start ||
		    config_value_equal(key, config, daemon->first))
			continue;
		stream = fmemopen(text, sizeof(text), "w");
		if (stream) {
			config_value_print_text(key, config, stream);
			fclose(stream);
		}
		log_warning("%s: %s = %s takes effect at the next start",
		            daemon->path, key->name, text);
	}
}

static void on_reloaded(void *owner, const struct config *config)
{
	struct daemon *daemon = owner;

	if (config) {
		say_postponed(daemon, config);
		notify_configure(daemon->notify,
		                 control_files(daemon->control));
		log_fields(
			LOG_NOTICE, MESSAGE_CONFIG_RELOADED, NULL, 0,
			"%s reloaded: %" PRIu32 " hosts in %" PRIu32 " pools",
			daemon->path, config->host_count, config->pool_count);
	} else {
		log_fields(LOG_ERR, MESSAGE_CONFIG_REFUSED, NULL, 0,
		           "%s refused, the running configuration stays",
		           daemon->path);
	}
	tell_status(daemon, "READY=1\n");
}

/* --- nginx -------------------------------------------------------------- */

static enum report_worth on_report(void *owner,
                                   const struct health_report *report,
                                   pid_t sender)
{
	struct daemon *daemon = owner;
	const struct reader hello = { sender, report->reader_version,
		                      report->seq, monotonic_us() };
	enum report_worth worth = rounds_report(daemon->rounds, report);

	if (worth == REPORT_COUNTS && report->kind == HEALTH_REPORT_HELLO)
		readers_hello(&daemon->readers, &hello);
	return worth;
}

/* Checks go on without it. */
static void listen_to_nginx(struct daemon *daemon, const struct config *config)
{
	int r = report_receiver_new(&daemon->reports, daemon->event,
	                            config->report, config->report_users,
	                            on_report, daemon);

	if (r < 0)
		log_warning("report socket %s: %s; failures of live traffic "
		            "will not be heard of",
		            config->report, strerror(-r));
}

/* --- who is told of events ---------------------------------------------- */

static void on_event(void *owner)
{
	struct daemon *daemon = owner;

	notify_poke(daemon->notify);
}

static const struct health_shm *shm_now(void *owner)
{
	struct daemon *daemon = owner;

	return segment_writer_shm(daemon->writer);
}

/* They begin with what the process before may have left untold. */
static int open_notify(struct daemon *daemon)
{
	int r = notify_new(&daemon->notify, daemon->event, shm_now, daemon,
	                   segment_writer_told(daemon->writer));

	if (r < 0)
		return r;
	publish_completed(daemon->writer);
	segment_writer_on_event(daemon->writer, on_event, daemon);
	return 0;
}

/* --- life --------------------------------------------------------------- */

/* One that was killed while it started a program leaves its lock to that for
 * a moment, until the program has begun. */
static int take_segment(struct daemon *daemon, const struct config *config,
                        pid_t *ret_holder)
{
	static const struct timespec step = { .tv_nsec = LOCK_STEP_NS };
	int r;

	for (int i = 0; i < LOCK_TRIES; i++) {
		r = segment_writer_new(&daemon->writer, config->segment,
		                       config->segment_mode, ret_holder);
		if (r != -EBUSY || *ret_holder <= 0 ||
		    kill(*ret_holder, 0) == 0 || errno != ESRCH)
			break;
		nanosleep(&step, NULL);
	}
	return r;
}

static int open_segment(struct daemon *daemon, const struct config *config)
{
	pid_t holder;
	int r = take_segment(daemon, config, &holder);

	if (r == -EBUSY)
		log_error("segment %s is held by another checkerd, pid %ld",
		          config->segment, (long) holder);
	else if (r < 0)
		log_error("segment %s: %s", config->segment, strerror(-r));
	else if (segment_writer_rejected(daemon->writer))
		log_warning("segment %s cannot be adopted: %s; a new one "
		            "takes its place",
		            config->segment,
		            segment_writer_rejected(daemon->writer));
	return r;
}

static int open_loop(struct daemon *daemon)
{
	static const int stops[] = { SIGTERM, SIGINT };
	uint64_t now_us;
	int r;

	r = sd_event_default(&daemon->event);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(stops); i++)
		r = sd_event_add_signal(daemon->event, NULL,
		                        stops[i] | SD_EVENT_SIGNAL_PROCMASK,
		                        on_stop, daemon);
	if (r >= 0)
		r = sd_event_add_signal(daemon->event, NULL,
		                        SIGHUP | SD_EVENT_SIGNAL_PROCMASK,
		                        on_reload, daemon);
	if (r >= 0)
		r = sd_event_now(daemon->event, CLOCK_MONOTONIC, &now_us);
	if (r >= 0)
		r = sd_event_add_time(daemon->event, &daemon->beat,
		                      CLOCK_MONOTONIC, now_us + BEAT_US,
		                      BEAT_ACCURACY_US, on_beat, daemon);
	if (r >= 0)
		r = sd_event_source_set_enabled(daemon->beat, SD_EVENT_ON);
	if (r >= 0)
		r = sd_event_source_set_exit_on_failure(daemon->beat, true);
	if (r >= 0)
		r = sd_event_set_watchdog(daemon->event, true);
	if (r < 0)
		log_error("cannot set up the event loop: %s", strerror(-r));
	return r;
}

static int open_api(struct daemon *daemon)
{
	const struct api_world world = {
		.control = daemon->control,
		.rounds = daemon->rounds,
		.writer = daemon->writer,
		.readers = &daemon->readers,
		.notify = daemon->notify,
		.reports = daemon->reports,
	};

	return api_new(&daemon->api, daemon->event, &world, daemon->first);
}

static int start(struct daemon *daemon)
{
	static const char *const fates[] = {
		[SEGMENT_CREATED] = "a new segment",
		[SEGMENT_ADOPTED] = "the segment of the process before",
		[SEGMENT_REPLACED] = "a new segment with the states of the "
				     "one before",
	};
	const struct config *config;
	int fate = 0, r;

	r = control_load(daemon->control);
	if (r < 0)
		return r;
	config = control_config(daemon->control);
	r = config_copy_start(&daemon->first, config);
	if (r >= 0)
		r = open_segment(daemon, config);
	if (r < 0)
		return r;
	r = open_notify(daemon);
	if (r >= 0)
		r = rounds_new(&daemon->rounds, daemon->event, daemon->writer);
	if (r >= 0)
		r = control_start(daemon->control, daemon->rounds);
	if (r >= 0) {
		fate = r;
		listen_to_nginx(daemon, config);
		r = open_api(daemon);
	}
	if (r < 0) {
		log_error("cannot start with segment %s: %s", config->segment,
		          strerror(-r));
		return r;
	}
	notify_configure(daemon->notify, control_files(daemon->control));
	log_fields(LOG_NOTICE, MESSAGE_STARTED, NULL, 0,
	           "checkerd " CHECKERD_VERSION " checks %" PRIu32
	           " hosts in %" PRIu32 " pools, with %s",
	           config->host_count, config->pool_count, fates[fate]);
	tell_status(daemon, "READY=1\n");
	return 0;
}

static void stop(struct daemon *daemon)
{
	control_free(daemon->control);
	report_receiver_free(daemon->reports);
	rounds_free(daemon->rounds);
	api_free(daemon->api);
	notify_free(daemon->notify);
	segment_writer_free(daemon->writer);
	config_unref(daemon->first);
	sd_event_source_unref(daemon->beat);
	sd_event_unref(daemon->event);
}

/* What a reload frees, in one piece or in a few, goes back at once: left to
 * itself, malloc learns from the first of them to keep all that follow. */
static void limit_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}

int daemon_run(const char *path)
{
	struct daemon daemon = { .path = path };
	int r;

	limit_memory();
	/* whoever read our standard error may have gone */
	signal(SIGPIPE, SIG_IGN);
	log_open();
	r = open_loop(&daemon);
	if (r >= 0)
		r = control_new(&daemon.control, daemon.event, path,
		                on_reloaded, &daemon);
	if (r >= 0)
		r = start(&daemon);
	if (r >= 0)
		r = sd_event_loop(daemon.event);
	if (r >= 0)
		log_fields(LOG_NOTICE, MESSAGE_STOPPED, NULL, 0,
		           "stopped; the segment stays for the next start");
	sd_notify(0, "STOPPING=1");
	stop(&daemon);
	return r;
}
