/* SPDX-License-Identifier: BSD-2-Clause */
#include "config_loader.h"

#include "changes.h"
#include "clock.h"
#include "config_amend.h"
#include "config_file.h"
#include "config_state.h"
#include "discard.h"
#include "name_index.h"
#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

typedef void job_fn(struct config_loader *loader, struct config_made *made);

struct config_loader {
	const char *path;
	const struct config_maker *maker;
	config_made_fn *made;
	void *owner;
	sd_event_source *source;
	int done_fd;
	pthread_t thread;
	bool running;
	/* as accepted; a job reads them */
	struct config_builder *draft;
	struct config *files;
	json_t *changes;
	char *state_dir; /* as at the start: a reload cannot move it */
	/* held while the maker is at work, which looks at what is its owner's */
	pthread_mutex_t making;
	bool abandoned; /* nothing may be looked at any more */
	/* the thread's until it has written to done_fd */
	job_fn *job;
	struct config_made result;
};

/* --- what jobs do ------------------------------------------------------- */

static void on_contradicted(void *owner, const struct change *change,
                            const char *file_value)
{
	struct config_made *made = owner;
	const struct config_place place = { .file = CONFIG_RUNTIME,
		                            .section = change->pool };

	config_errors_add(&made->notes, &place, change->key,
	                  "the change of %s%s%s gives way: the files say %s "
	                  "now",
	                  change->pool, change->host ? "/" : "",
	                  change->host ? change->host : "",
	                  file_value ? file_value : "nothing");
}

/* Whose change an error in that section is about. */
static bool read_section(const char *section, struct change *ret)
{
	const char *slash;

	if (!section || (strncmp(section, "pool ", 5) != 0 &&
	                 strncmp(section, "host ", 5) != 0))
		return false;
	slash = *section == 'h' ? strchr(section, '/') : NULL;
	*ret = (struct change) { .pool = section + 5,
		                 .host = slash ? slash + 1 : "" };
	return true;
}

static int find_misfits(const struct config_errors *errors,
                        struct name_index *ret)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < errors->kept; i++) {
		struct change of;
		size_t size;

		if (!read_section(errors->sections[i], &of))
			continue;
		size = *of.host ? (size_t) (of.host - of.pool) - 1
		                : strlen(of.pool);
		error = name_index_add(ret, of.pool, size, of.host,
		                       strlen(of.host), 0);
	}
	return error;
}

/* Without the changes that errors are about, or without any. */
static json_t *without_misfits(struct config_made *made)
{
	const struct config_errors *errors = &made->errors;
	struct name_index *misfits = name_index_new((uint32_t) errors->kept);
	json_t *left = NULL;

	for (size_t i = 0; i < errors->kept; i++)
		config_errors_add(
			&made->notes,
			&(struct config_place) { .file = CONFIG_RUNTIME }, NULL,
			"does not fit the files any more: %s",
			errors->texts[i]);
	if (misfits && find_misfits(errors, misfits) == 0)
		left = changes_without(made->changes, misfits);
	name_index_free(misfits);
	if (left && json_array_size(left) < json_array_size(made->changes))
		return left;
	json_decref(left);
	return json_array();
}

/* Changes that were sound with the files before may not be with these. */
static int amend_as_far_as_possible(struct config_made *made)
{
	int error;

	for (;;) {
		json_t *left;

		error = config_amend(made->draft, made->changes, &made->errors,
		                     &made->config);
		if (error != -EINVAL || json_array_size(made->changes) == 0)
			return error;
		left = without_misfits(made);
		config_errors_clear(&made->errors);
		json_decref(made->changes);
		made->changes = left;
		if (!left)
			return -ENOMEM;
	}
}

static int recall_changes(struct config_loader *loader,
                          struct config_made *made, json_t **ret)
{
	char problem[CONFIG_STATE_PROBLEM_SIZE], aside[PATH_MAX];
	int error, r;

	if (loader->changes) {
		*ret = json_incref(loader->changes);
		return 0;
	}
	error = config_state_read(made->files->state_dir, ret, problem);
	if (error == 0 || error == -ENOMEM)
		return error;
	/* whatever is wrong with it: the next change must not replace it */
	r = config_state_set_aside(made->files->state_dir, aside);
	config_errors_add(
		&made->notes,
		&(struct config_place) { .file = made->files->state_dir }, NULL,
		"the changes kept there cannot be read: %s; "
		"starting from the files alone, %s%s",
		error == -EINVAL ? problem : strerrordesc_np(-error),
		r < 0 ? "the file could not be kept aside: "
		      : "the file is kept as ",
		r < 0 ? strerrordesc_np(-r) : aside);
	*ret = json_array();
	return *ret ? 0 : -ENOMEM;
}

static const char *state_dir(const struct config_loader *loader,
                             const struct config_made *made)
{
	return loader->state_dir ? loader->state_dir : made->files->state_dir;
}

/* What does not fit today may tomorrow: a name that did not resolve, a file
 * that was not there. */
static void keep_misfits(const struct config_loader *loader,
                         struct config_made *made)
{
	const char *dir = state_dir(loader, made);
	char copy[PATH_MAX];
	int r = config_state_keep_copy(dir, copy);

	config_errors_add(&made->notes, &(struct config_place) { .file = dir },
	                  NULL, "changes that do not fit are %s %s",
	                  r < 0 ? "lost:" : "kept in",
	                  r < 0 ? strerrordesc_np(-r) : copy);
}

static void make(struct config_loader *loader, struct config_made *made)
{
	made->maker = loader->maker;
	pthread_mutex_lock(&loader->making);
	made->product_error =
		loader->abandoned
			? -ECANCELED
			: loader->maker->make(loader->owner, made->config,
	                                      &made->product);
	pthread_mutex_unlock(&loader->making);
}

/* What nobody is there any more to destroy it for ends with the process. */
static void unmake(struct config_loader *loader, struct config_made *made)
{
	pthread_mutex_lock(&loader->making);
	if (!loader->abandoned && made->product) {
		loader->maker->destroy(made->product);
		made->product = NULL;
	}
	pthread_mutex_unlock(&loader->making);
}

static void load(struct config_loader *loader, struct config_made *made)
{
	json_t *known = NULL;
	size_t standing = 0;
	int error;

	error = config_read(loader->path, &config_system, &made->errors,
	                    &made->draft);
	if (error == 0)
		error = config_amend(made->draft, NULL, &made->errors,
		                     &made->files);
	if (error == 0)
		error = recall_changes(loader, made, &known);
	if (error == 0) {
		made->changes =
			changes_reconcile(known, made->files, realtime_us(),
		                          on_contradicted, made);
		error = made->changes ? 0 : -ENOMEM;
		standing = json_array_size(made->changes);
	}
	if (error == 0 && standing == 0)
		made->config = config_ref(made->files);
	else if (error == 0)
		error = amend_as_far_as_possible(made);
	if (error == 0 && json_array_size(made->changes) < standing)
		keep_misfits(loader, made);
	if (error == 0)
		make(loader, made);
	made->unkept = error == 0 && made->product_error == 0 &&
	               !json_equal(known, made->changes);
	if (made->unkept && loader->state_dir) {
		made->state_error =
			config_state_write(loader->state_dir, made->changes);
		made->unkept = false;
	}
	json_decref(known);
	made->error = error;
}

static void record(struct config_loader *loader, struct config_made *made)
{
	made->state_error =
		config_state_write(loader->state_dir, made->changes);
}

static void amend(struct config_loader *loader, struct config_made *made)
{
	made->error = config_amend(loader->draft, made->changes, &made->errors,
	                           &made->config);
	if (made->error == 0)
		make(loader, made);
	if (made->error == 0 && made->product_error == 0)
		record(loader, made);
	if (made->state_error)
		unmake(loader, made);
}

/* --- jobs --------------------------------------------------------------- */

static void *run(void *userdata)
{
	struct config_loader *loader = userdata;

	loader->job(loader, &loader->result);
	eventfd_write(loader->done_fd, 1);
	return NULL;
}

static void clear(struct config_made *made)
{
	if (made->product)
		made->maker->destroy(made->product);
	config_unref(made->files);
	config_unref(made->config);
	json_decref(made->changes);
	config_builder_free(made->draft);
	config_errors_clear(&made->errors);
	config_errors_clear(&made->notes);
	*made = (struct config_made) { 0 };
}

static void throw_away(void *object)
{
	clear(object);
	free(object);
}

/* The owner may start the next job from its call back. */
static void tell(struct config_loader *loader)
{
	struct config_made made = loader->result, *rest;

	loader->result = (struct config_made) { 0 };
	loader->running = false;
	loader->made(loader->owner, &made);
	rest = malloc(sizeof(*rest));
	if (rest) {
		*rest = made;
		discard(throw_away, rest);
	} else {
		clear(&made);
	}
}

static int on_done(sd_event_source *source, int fd, uint32_t revents,
                   void *userdata)
{
	struct config_loader *loader = userdata;
	eventfd_t count;

	(void) source;
	(void) revents;
	if (eventfd_read(fd, &count) < 0)
		return 0;
	pthread_join(loader->thread, NULL);
	tell(loader);
	return 0;
}

static int start(struct config_loader *loader, job_fn *job, json_t *changes)
{
	int r;

	if (loader->running)
		return -EBUSY;
	loader->job = job;
	loader->result.changes = json_incref(changes);
	r = pthread_create(&loader->thread, NULL, run, loader);
	if (r) {
		clear(&loader->result);
		return -r;
	}
	loader->running = true;
	return 0;
}

bool config_loader_busy(const struct config_loader *loader)
{
	return loader->running;
}

int config_loader_load(struct config_loader *loader)
{
	return start(loader, load, NULL);
}

int config_loader_amend(struct config_loader *loader, json_t *changes)
{
	return start(loader, amend, changes);
}

int config_loader_record(struct config_loader *loader, json_t *changes)
{
	return start(loader, record, changes);
}

void config_loader_load_now(struct config_loader *loader)
{
	load(loader, &loader->result);
	tell(loader);
}

/* --- what is in force --------------------------------------------------- */

void config_loader_accept(struct config_loader *loader,
                          struct config_made *made)
{
	struct config_made before = *made;

	if (made->files) {
		made->draft = loader->draft;
		made->files = loader->files;
		loader->draft = before.draft;
		loader->files = before.files;
	}
	made->changes = loader->changes;
	loader->changes = before.changes;
	if (!loader->state_dir)
		loader->state_dir = strdup(loader->files->state_dir);
}

const struct config *config_loader_files(const struct config_loader *loader)
{
	return loader->files;
}

json_t *config_loader_changes(const struct config_loader *loader)
{
	return loader->changes;
}

/* --- life --------------------------------------------------------------- */

int config_loader_new(struct config_loader **ret, sd_event *event,
                      const char *path, const struct config_maker *maker,
                      config_made_fn *made, void *owner)
{
	struct config_loader *loader = calloc(1, sizeof(*loader));
	int r;

	if (!loader)
		return -ENOMEM;
	loader->path = path;
	loader->maker = maker;
	pthread_mutex_init(&loader->making, NULL);
	loader->made = made;
	loader->owner = owner;
	loader->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = loader->done_fd < 0
	            ? -errno
	            : sd_event_add_io(event, &loader->source, loader->done_fd,
	                              EPOLLIN, on_done, loader);
	if (r < 0) {
		config_loader_free(loader);
		return r;
	}
	*ret = loader;
	return 0;
}

void config_loader_free(struct config_loader *loader)
{
	eventfd_t count;

	if (!loader)
		return;
	/* It may wait for DNS for long: it ends with the process, and what it
	 * works on stays until then. */
	if (loader->running && eventfd_read(loader->done_fd, &count) == 0) {
		pthread_join(loader->thread, NULL);
	} else if (loader->running) {
		pthread_mutex_lock(&loader->making);
		loader->abandoned = true;
		pthread_mutex_unlock(&loader->making);
		pthread_detach(loader->thread);
		sd_event_source_disable_unref(loader->source);
		return;
	}
	clear(&loader->result);
	config_builder_free(loader->draft);
	config_unref(loader->files);
	json_decref(loader->changes);
	free(loader->state_dir);
	sd_event_source_unref(loader->source);
	close_fd(&loader->done_fd);
	free(loader);
}
