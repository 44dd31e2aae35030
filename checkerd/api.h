/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The daemon's REST interface: what it can be asked over its sockets.
 */
#ifndef CHECKERD_API_H
#define CHECKERD_API_H

#include <systemd/sd-event.h>

struct api;
struct config;
struct control;
struct notify;
struct readers;
struct report_receiver;
struct rounds;
struct segment_writer;

/* What it speaks of, and through.  `writer` and `readers` must outlive the
 * api; `control` and `rounds` must not, since they answer what they are at
 * when they go.  The others need not. */
struct api_world {
	struct control *control;
	struct rounds *rounds;
	struct segment_writer *writer;
	struct readers *readers;
	const struct notify *notify;
	const struct report_receiver *reports; /* NULL: there is none */
};

/* Listens where `config` says, of which it needs what a start decides.  A place
 * that cannot be listened at is said in the log: checks go on without it.
 * Returns 0 or a negative errno. */
int api_new(struct api **ret, sd_event *event, const struct api_world *world,
            struct config *config);
void api_free(struct api *api); /* accepts NULL */

/* Called a few times a second: who listens to events is told of new ones. */
void api_beat(struct api *api);

#endif
