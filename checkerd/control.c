/* SPDX-License-Identifier: BSD-2-Clause */
#include "control.h"

#include "clock.h"
#include "config_errors.h"
#include "config_loader.h"
#include "log.h"
#include "message_ids.h"
#include "rounds.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LEASE_ACCURACY_US UINT64_C(10000)
#define LEASE_RETRY_US    USEC_PER_SEC

/* Leases that ended together end in turns of so long, between probes. */
#define TURN_US USEC_PER_MSEC

/* Something to do, and whom to tell. */
struct task {
	struct task *next;
	bool reload;
	struct operation operation; /* unless it is a reload; owned */
	control_still_fn *still;
	control_done_fn *done; /* NULL: nobody */
	void *owner;
	bool rebuilds; /* a new configuration is made for it */
	int failure;   /* it is refused once the disk is as it was before */
	json_t *ended; /* leases: their rows, and how many have been ended */
	size_t ended_count;
};

struct control {
	struct config_loader *loader;
	struct rounds *rounds;
	sd_event_source *lease;
	sd_event_source *turn; /* leases of the current task */
	struct config *config; /* in force */
	control_reloaded_fn *reloaded;
	void *owner;
	struct task *first, **last;
	struct task *current; /* the loader is at it */
	bool advancing;
	bool held;
	bool unkept; /* the changes as they were loaded: not yet on disk */
};

/* --- tasks -------------------------------------------------------------- */

static void task_free(struct task *task)
{
	free((char *) task->operation.pool);
	free((char *) task->operation.host);
	json_decref(task->operation.body);
	json_decref(task->ended);
	free(task);
}

static void answer(struct task *task, const struct control_answer *with)
{
	if (task->done)
		task->done(task->owner, with);
	task_free(task);
}

static void refuse(struct task *task, unsigned status, const char *code,
                   const char *key, const char *message)
{
	answer(task, &(struct control_answer) { .status = status,
	                                        .code = code,
	                                        .key = key,
	                                        .message = message });
}

static void done(struct task *task)
{
	answer(task, &(struct control_answer) { .status = 200 });
}

/* --- what is said ------------------------------------------------------- */

static const char *const operation_names[] = {
	[OPERATION_ADD_POOL] = "added",
	[OPERATION_SET_POOL] = "set",
	[OPERATION_REMOVE_POOL] = "removed",
	[OPERATION_ADD_HOST] = "added",
	[OPERATION_ORDER] = "ordered",
	[OPERATION_REMOVE_HOST] = "removed",
	[OPERATION_REVERT] = "reverted",
	[OPERATION_EXPIRE] = "lease ended",
};

/* The caller's to free; NULL: there is none. */
static char *visible_body(const struct operation *operation)
{
	json_t *copy = json_object(), *value;
	const char *key;
	char *text;

	json_object_foreach(operation->body, key, value)
		json_object_set_new(copy, key, changes_hide(key, value));
	text = operation->body ? json_dumps(copy, JSON_ENSURE_ASCII) : NULL;
	json_decref(copy);
	return text;
}

static void log_change(const struct operation *operation)
{
	CLEANUP(free_pointer) char *body = visible_body(operation);
	char uid[24];
	const struct log_field fields[] = {
		{ "CHECKERD_POOL", operation->pool },
		{ "CHECKERD_HOST", operation->host ? operation->host : "" },
		{ "CHECKERD_UID", uid },
	};

	snprintf(uid, sizeof(uid), "%ju", (uintmax_t) operation->by);
	log_fields(LOG_NOTICE, MESSAGE_CHANGED, fields, ARRAY_SIZE(fields),
	           "%s%s%s %s%s%s, by uid %s", operation->pool,
	           operation->host ? "/" : "",
	           operation->host ? operation->host : "",
	           operation_names[operation->kind], body ? " " : "",
	           body ? body : "", uid);
}

static void log_errors(const struct config_errors *errors)
{
	for (size_t i = 0; i < errors->kept; i++)
		log_error("%s", errors->texts[i]);
	if (errors->count > errors->kept)
		log_error("and %zu more", errors->count - errors->kept);
}

static void log_notes(const struct config_made *made)
{
	for (size_t i = 0; i < made->notes.kept; i++)
		log_warning("%s", made->notes.texts[i]);
	if (made->state_error)
		log_warning("changes at runtime cannot be kept on disk: %s",
		            strerrordesc_np(-made->state_error));
}

/* --- a job is done ------------------------------------------------------ */

static void watch_leases(struct control *control)
{
	uint64_t end_us = changes_next_end_us(control_changes(control));

	sd_event_source_set_time(control->lease, end_us ? end_us : UINT64_MAX);
	sd_event_source_set_enabled(control->lease,
	                            end_us ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static void take_over(struct control *control, struct config_made *made)
{
	config_loader_accept(control->loader, made);
	if (made->config) {
		config_unref(control->config);
		control->config = config_ref(made->config);
	}
	watch_leases(control);
}

/* Full disks are told from other troubles, as HTTP does. */
static bool is_full(int error)
{
	return error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
}

/* What is on disk is not what is in force. */
static int put_back(struct control *control)
{
	return config_loader_record(control->loader, control_changes(control));
}

/* What fails goes now: the next may be prepared at once. */
static int install(struct control *control, struct config_made *made)
{
	int r = rounds_install(control->rounds, made->product);

	if (r < 0) {
		successor_free(made->product);
		made->product = NULL;
	}
	return r;
}

static void say_not_reloaded(int error)
{
	log_error("cannot put the configuration in force: %s",
	          strerrordesc_np(-error));
}

static void finish_reload(struct control *control, struct task *task,
                          struct config_made *made)
{
	const struct config *config = NULL;
	int r = made->error;

	log_errors(&made->errors);
	if (r == 0)
		r = made->product_error;
	if (r == 0) {
		r = install(control, made);
		if (r < 0)
			put_back(control);
	}
	if (r < 0 && r != -EINVAL)
		say_not_reloaded(r);
	if (r >= 0) {
		log_notes(made);
		take_over(control, made);
		config = control->config;
	}
	control->reloaded(control->owner, config);
	answer(task,
	       &(struct control_answer) {
		       .status = r >= 0         ? 200
	                         : r == -EINVAL ? 422
	                         : is_full(r)   ? 507
	                                        : 500,
		       .code = r >= 0 ? NULL : "refused",
		       .message = r == -EINVAL ? "the files have errors, the "
	                                         "running configuration stays"
	                          : r < 0      ? strerrordesc_np(-r)
	                                       : NULL,
		       .errors = r == -EINVAL ? &made->errors : NULL,
		       .gave_way = r >= 0 ? &made->notes : NULL });
}

static void refuse_unkept(struct task *task, const char *what, int error)
{
	bool full = is_full(error);
	char message[256];

	snprintf(message, sizeof(message), "%s: %s; nothing was changed", what,
	         strerrordesc_np(-error));
	refuse(task, full ? 507 : 500, full ? "no_space" : "not_kept", NULL,
	       message);
}

/* What an operation orders of a host that goes on being checked as before. */
static int order(struct control *control, const struct operation *operation)
{
	const json_t *admin = json_object_get(operation->body, "admin");
	const char *text = json_string_value(admin);
	struct rounds_order what = {
		.raise = text && strcmp(text, "up") == 0,
		.told = json_string_value(
			json_object_get(operation->body, "reason")),
		.why = operation->kind == OPERATION_EXPIRE ? "its lease ended"
		                                           : "by a person",
	};
	struct order now;
	int r;

	r = changes_order(control_changes(control),
	                  config_loader_files(control->loader), operation->pool,
	                  operation->host, &now);
	if (r < 0)
		return r;
	what.admin = now.admin;
	what.weight = now.weight;
	what.reason = now.reason;
	what.until_us = now.until_us;
	return rounds_order(control->rounds, operation->pool, operation->host,
	                    &what);
}

static void finish_order(struct control *control, struct task *task,
                         struct config_made *made)
{
	int r;

	if (made && made->state_error) {
		refuse_unkept(task, "the change cannot be kept",
		              made->state_error);
		return;
	}
	if (made) {
		log_notes(made);
		take_over(control, made);
	}
	r = order(control, &task->operation);
	if (r < 0) {
		refuse(task, 500, "failed", NULL, strerrordesc_np(-r));
		return;
	}
	log_change(&task->operation);
	done(task);
}

/* That they end is on disk since they began: it stands, kept anew or not. */
static void finish_leases(struct control *control, struct task *task,
                          struct config_made *made)
{
	log_notes(made);
	take_over(control, made);
	control->current = task;
	sd_event_source_set_enabled(control->turn, SD_EVENT_ON);
}

/* A host that is gone needs no order to end. */
static void end_lease(struct control *control, const json_t *row)
{
	struct operation operation = { .kind = OPERATION_EXPIRE };
	struct change change;

	change_read(row, &change);
	operation.pool = change.pool;
	operation.host = change.host;
	if (order(control, &operation) == 0)
		log_change(&operation);
}

static void finish_failure(struct task *task, int error)
{
	refuse_unkept(task, "the segment cannot be replaced", error);
}

static void finish_rebuild(struct control *control, struct task *task,
                           struct config_made *made)
{
	int r;

	if (made->error == -EINVAL) {
		refuse(task, 422, "bad_value", made->errors.key,
		       made->errors.what);
		return;
	}
	if (made->error < 0 || made->state_error) {
		refuse_unkept(task, "the change cannot be kept",
		              made->error < 0 ? made->error
		                              : made->state_error);
		return;
	}
	if (made->product_error) {
		finish_failure(task, made->product_error);
		return;
	}
	r = install(control, made);
	if (r < 0) {
		task->failure = r;
		if (put_back(control) == 0)
			control->current = task;
		else
			finish_failure(task, r);
		return;
	}
	take_over(control, made);
	log_change(&task->operation);
	done(task);
}

/* Of the start, or what put back the changes after a reload that failed. */
static void finish_start(struct control *control, struct config_made *made)
{
	log_errors(&made->errors);
	log_notes(made);
	if (made->error < 0 && made->error != -EINVAL)
		log_error("cannot read the configuration: %s",
		          strerrordesc_np(-made->error));
	if (!control->config && made->config) {
		control->unkept = made->unkept;
		take_over(control, made);
	}
}

static void advance(struct control *control);

static void on_made(void *owner, struct config_made *made)
{
	struct control *control = owner;
	struct task *task = control->current;

	control->current = NULL;
	if (!task) {
		finish_start(control, made);
	} else if (task->failure) {
		log_notes(made);
		finish_failure(task, task->failure);
	} else if (task->reload) {
		finish_reload(control, task, made);
	} else if (task->rebuilds) {
		finish_rebuild(control, task, made);
	} else if (task->ended) {
		finish_leases(control, task, made);
	} else {
		finish_order(control, task, made);
	}
	advance(control);
}

static int on_turn(sd_event_source *source, void *userdata)
{
	struct control *control = userdata;
	struct task *task = control->current;
	uint64_t end_us = monotonic_us() + TURN_US;

	while (task->ended_count < json_array_size(task->ended)) {
		end_lease(control,
		          json_array_get(task->ended, task->ended_count++));
		if (monotonic_us() >= end_us)
			return 0;
	}
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	control->current = NULL;
	done(task);
	advance(control);
	return 0;
}

/* --- the queue ---------------------------------------------------------- */

static int begin(struct control *control, struct task *task, json_t *changes)
{
	control->current = task;
	if (task->reload)
		return config_loader_load(control->loader);
	return task->rebuilds ? config_loader_amend(control->loader, changes)
	                      : config_loader_record(control->loader, changes);
}

/* For want of memory or of a thread it did not even begin.  A reload that came
 * as a signal is answered to nobody else. */
static void fail(struct control *control, struct task *task, int error)
{
	if (task->reload) {
		say_not_reloaded(error);
		control->reloaded(control->owner, NULL);
	}
	refuse(task, 500, "failed", NULL, strerrordesc_np(-error));
}

static void operate(struct control *control, struct task *task)
{
	json_t *before = control_changes(control), *after = NULL;
	struct refusal refusal = { 0 };
	int r = 0;

	if (task->still && !task->still(task->owner)) {
		refuse(task, 412, "changed", "If-Match",
		       "it has been changed since, read it again");
		return;
	}
	if (task->operation.kind == OPERATION_EXPIRE && !task->reload) {
		task->ended = changes_ended(before, task->operation.at_us);
		r = task->ended ? 0 : -ENOMEM;
	}
	if (r == 0 && !task->reload)
		r = changes_apply(before, config_loader_files(control->loader),
		                  control->config, &task->operation, &after,
		                  &refusal);
	if (r == -EINVAL) {
		refuse(task, refusal.status, refusal.code,
		       *refusal.key ? refusal.key : NULL, refusal.message);
		return;
	}
	/* what is on disk already needs no writing */
	if (r == 0 && !task->reload && json_equal(before, after)) {
		json_decref(after);
		if (task->operation.kind == OPERATION_ORDER)
			finish_order(control, task, NULL);
		else
			done(task); /* nothing to revert, or to end */
		return;
	}
	if (r == 0)
		r = begin(control, task, after);
	json_decref(after);
	if (r < 0) {
		control->current = NULL;
		fail(control, task, r);
	}
}

/* Answers may ask for more: those wait for the loop here, not on the stack. */
static void advance(struct control *control)
{
	if (control->advancing)
		return;
	control->advancing = true;
	while (!control->current && control->first && !control->held &&
	       !config_loader_busy(control->loader)) {
		struct task *task = control->first;

		control->first = task->next;
		if (!control->first)
			control->last = &control->first;
		operate(control, task);
	}
	control->advancing = false;
}

static void enqueue(struct control *control, struct task *task)
{
	*control->last = task;
	control->last = &task->next;
	advance(control);
}

static void lack_memory(control_done_fn *tell, void *owner)
{
	if (tell)
		tell(owner, &(struct control_answer) {
				    .status = 500,
				    .code = "failed",
				    .message = strerrordesc_np(ENOMEM) });
}

void control_reload(struct control *control, control_done_fn *tell, void *owner)
{
	struct task *task = calloc(1, sizeof(*task));

	if (!task) {
		say_not_reloaded(-ENOMEM);
		control->reloaded(control->owner, NULL);
		lack_memory(tell, owner);
		return;
	}
	task->reload = true;
	task->done = tell;
	task->owner = owner;
	enqueue(control, task);
}

void control_operate(struct control *control, const struct operation *operation,
                     control_still_fn *still, control_done_fn *tell,
                     void *owner)
{
	struct task *task = calloc(1, sizeof(*task));

	if (!task) {
		lack_memory(tell, owner);
		return;
	}
	*task = (struct task) {
		.operation = *operation,
		.still = still,
		.done = tell,
		.owner = owner,
		.rebuilds = !operation_is_order(operation),
	};
	task->operation.pool = operation->pool ? strdup(operation->pool) : NULL;
	task->operation.host = operation->host ? strdup(operation->host) : NULL;
	task->operation.body = json_incref(operation->body);
	if ((operation->pool && !task->operation.pool) ||
	    (operation->host && !task->operation.host)) {
		lack_memory(tell, owner);
		task_free(task);
		return;
	}
	enqueue(control, task);
}

void control_hold(struct control *control, bool held)
{
	control->held = held;
	advance(control);
}

/* --- leases ------------------------------------------------------------- */

/* A lease that could not be ended, for want of a thread, is tried again. */
static void on_lease_ended(void *owner, const struct control_answer *answer)
{
	struct control *control = owner;

	if (answer->status == 200) {
		watch_leases(control);
		return;
	}
	sd_event_source_set_time(control->lease,
	                         realtime_us() + LEASE_RETRY_US);
	sd_event_source_set_enabled(control->lease, SD_EVENT_ONESHOT);
}

static int on_lease(sd_event_source *source, uint64_t due_us, void *userdata)
{
	struct control *control = userdata;
	uint64_t now_us = realtime_us();
	uint64_t end_us = changes_next_end_us(control_changes(control));

	(void) source;
	(void) due_us;
	if (end_us && end_us <= now_us)
		control_operate(control,
		                &(struct operation) { .kind = OPERATION_EXPIRE,
		                                      .at_us = now_us },
		                NULL, on_lease_ended, control);
	else
		watch_leases(control);
	return 0;
}

/* --- life --------------------------------------------------------------- */

/* The first configuration waits for the rounds to begin. */
static int make_successor(void *owner, struct config *config, void **ret)
{
	struct control *control = owner;
	struct successor *successor = NULL;
	int r = 0;

	if (control->rounds)
		r = rounds_prepare(control->rounds, config, &successor);
	*ret = successor;
	return r;
}

static void free_successor(void *successor)
{
	successor_free(successor);
}

static const struct config_maker successors = { make_successor,
	                                        free_successor };

int control_new(struct control **ret, sd_event *event, const char *path,
                control_reloaded_fn *reloaded, void *owner)
{
	struct control *control = calloc(1, sizeof(*control));
	int r;

	if (!control)
		return -ENOMEM;
	control->last = &control->first;
	control->reloaded = reloaded;
	control->owner = owner;
	r = config_loader_new(&control->loader, event, path, &successors,
	                      on_made, control);
	if (r >= 0)
		r = sd_event_add_time(event, &control->lease, CLOCK_REALTIME,
		                      UINT64_MAX, LEASE_ACCURACY_US, on_lease,
		                      control);
	if (r >= 0)
		r = sd_event_source_set_enabled(control->lease, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_defer(event, &control->turn, on_turn, control);
	if (r >= 0)
		r = sd_event_source_set_enabled(control->turn, SD_EVENT_OFF);
	if (r < 0) {
		control_free(control);
		return r;
	}
	*ret = control;
	return 0;
}

int control_load(struct control *control)
{
	config_loader_load_now(control->loader);
	return control->config ? 0 : -EINVAL;
}

int control_start(struct control *control, struct rounds *rounds)
{
	struct successor *first;
	int r = rounds_prepare(rounds, control->config, &first);

	if (r < 0)
		return r;
	r = rounds_install(rounds, first);
	successor_free(first);
	if (r < 0)
		return r;
	control->rounds = rounds;
	watch_leases(control);
	/* the segment is ours, and so is the state: now it may be written */
	if (control->unkept)
		put_back(control);
	return r;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	if (control->current)
		refuse(control->current, 503, "stopping", NULL,
		       "checkerd is stopping");
	while (control->first) {
		struct task *task = control->first;

		control->first = task->next;
		refuse(task, 503, "stopping", NULL, "checkerd is stopping");
	}
	config_loader_free(control->loader);
	sd_event_source_disable_unref(control->lease);
	sd_event_source_disable_unref(control->turn);
	config_unref(control->config);
	free(control);
}

json_t *control_changes(const struct control *control)
{
	return config_loader_changes(control->loader);
}

const struct config *control_config(const struct control *control)
{
	return control->config;
}

const struct config *control_files(const struct control *control)
{
	return config_loader_files(control->loader);
}
