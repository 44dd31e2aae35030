/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A daemon without its sockets: configuration, state file, segment and rounds
 * are the real ones, in a directory of their own, and there is no network.
 *
 * It is made once, since that takes as long as a thousand inputs.  Who changes
 * something puts it back.
 */
#ifndef CHECKERD_FUZZ_WORLD_H
#define CHECKERD_FUZZ_WORLD_H

#include "no_network.h"
#include "scratch.h"

#include "control.h"
#include "log.h"
#include "notify.h"
#include "readers.h"
#include "rounds.h"
#include "segment_writer.h"

#include <sys/stat.h>

struct world {
	sd_event *event;
	struct control *control;
	struct segment_writer *writer;
	struct rounds *rounds;
	struct notify *notify;
	struct readers readers;
	struct config *config;
};

static inline const struct health_shm *world_shm(void *owner)
{
	const struct world *world = owner;

	return segment_writer_shm(world->writer);
}

static inline void world_reloaded(void *owner, const struct config *config)
{
	const struct world *world = owner;

	if (config)
		notify_configure(world->notify, config);
}

/* `text` is the configuration, without [checkerd]. */
static inline void world_make(struct world *world, const char *text)
{
	static char path[SCRATCH_PATH_SIZE];
	char state[SCRATCH_PATH_SIZE], segment[SCRATCH_PATH_SIZE];
	char *whole;
	pid_t holder;

	log_set_level(-1);
	HOLDS(mkdir(scratch_path(state, "state"), 0700) == 0);
	HOLDS(asprintf(&whole, "[checkerd]\nsegment = %s\nstate_dir = %s\n%s",
	               scratch_path(segment, "segment"), state, text) > 0);
	scratch_write(scratch_path(path, "main.ini"), whole, strlen(whole));
	free(whole);
	HOLDS(sd_event_new(&world->event) == 0);
	HOLDS(control_new(&world->control, world->event, path, world_reloaded,
	                  world) >= 0);
	HOLDS(control_load(world->control) == 0);
	world->config =
		config_ref((struct config *) control_config(world->control));
	HOLDS(segment_writer_new(&world->writer, segment, 0600, &holder) == 0);
	HOLDS(notify_new(&world->notify, world->event, world_shm, world, 0) >=
	      0);
	HOLDS(rounds_new(&world->rounds, world->event, world->writer) >= 0);
	HOLDS(control_start(world->control, world->rounds) >= 0);
	notify_configure(world->notify, world->config);
}

/* Lets things happen until `flag` is set. */
static inline void world_run_until(struct world *world, const bool *flag)
{
	for (int turns = 0; !*flag; turns++) {
		HOLDS(turns < 100000);
		HOLDS(sd_event_run(world->event, USEC_PER_SEC) >= 0);
	}
}

/* Lets happen what needs no waiting for, within bounds. */
static inline void world_run(struct world *world)
{
	for (int turns = 0; turns < 100; turns++)
		if (sd_event_run(world->event, 0) <= 0)
			return;
}

#endif
