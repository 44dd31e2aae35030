/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What people tell checkerd to do while it runs: reload, and all that changes
 * pools and hosts.  One thing at a time, in the order of asking: each is
 * checked against what the one before left, put on disk, put in force, and
 * only then answered.
 *
 * The ends of leases go the same way.
 */
#ifndef CHECKERD_CONTROL_H
#define CHECKERD_CONTROL_H

#include "changes.h"

#include <systemd/sd-event.h>

struct config_errors;
struct control;
struct rounds;

struct control_answer {
	unsigned status;                    /* of HTTP: 2xx if it was done */
	const char *code, *key, *message;   /* why not; NULL: nothing to say */
	const struct config_errors *errors; /* of the files; NULL: none */
	/* what of the changes gave way to them; NULL: of no reload */
	const struct config_errors *gave_way;
};

typedef void control_done_fn(void *owner, const struct control_answer *answer);

/* Asked right before an operation is made, when all before it are in force:
 * whether it still is what its owner meant (If-Match). */
typedef bool control_still_fn(void *owner);

/* Called after each reload, with the configuration that came into force, or
 * with NULL if it was refused. */
typedef void control_reloaded_fn(void *owner, const struct config *config);

/* `path` is the configuration's and must outlive the control. */
int control_new(struct control **ret, sd_event *event, const char *path,
                control_reloaded_fn *reloaded, void *owner);

/* What waits is answered with 503. */
void control_free(struct control *control); /* accepts NULL */

/* Reads the configuration for the first time, before it returns.  What is
 * wrong is logged.  Returns 0; -EINVAL for one with errors; -ENOMEM. */
int control_load(struct control *control);

/* Puts it in force.  Returns as rounds_install(); `rounds` must outlive the
 * control. */
int control_start(struct control *control, struct rounds *rounds);

/* `done` (may be NULL) is called once, perhaps before this returns. */
void control_reload(struct control *control, control_done_fn *done,
                    void *owner);

/* Copies `operation`.  `still` may be NULL. */
void control_operate(struct control *control, const struct operation *operation,
                     control_still_fn *still, control_done_fn *done,
                     void *owner);

/* As long as it is held, nothing more is begun: what is asked for waits. */
void control_hold(struct control *control, bool held);

/* Rows as in changes.h. */
json_t *control_changes(const struct control *control);

/* As loaded, and later in force. */
const struct config *control_config(const struct control *control);

/* What the files alone say of it. */
const struct config *control_files(const struct control *control);

#endif
