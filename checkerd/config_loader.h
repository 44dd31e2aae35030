/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Makes configurations beside the running loop: parsing 100 000 hosts, waiting
 * for DNS or for a disk must not make a probe late.  So it happens in a thread
 * of its own, one job at a time, which touches nothing but what it makes.
 *
 * A configuration is what the files say and the changes at runtime on top of
 * them.  Changes are on disk before anybody hears that they are made.
 */
#ifndef CHECKERD_CONFIG_LOADER_H
#define CHECKERD_CONFIG_LOADER_H

#include "config.h"
#include "config_errors.h"

#include <jansson.h>
#include <systemd/sd-event.h>

struct config_builder;
struct config_loader;

/* What else can be made of a configuration before it comes into force, the
 * owner knows; it is made and destroyed in threads, one at a time. */
struct config_maker {
	/* Returns 0, or a negative errno. */
	int (*make)(void *owner, struct config *config, void **ret_product);
	void (*destroy)(void *product);
};

/* What a job made; the loader's until config_loader_accept(). */
struct config_made {
	int error;             /* 0; -EINVAL: `errors`; -ENOMEM */
	int state_error;       /* changes could not be kept: a negative errno */
	struct config *files;  /* what the files say; NULL: not read anew */
	struct config *config; /* with the changes; NULL: not built anew */
	json_t *changes;       /* that hold with it */
	bool unkept; /* by the first load: they are not what is on disk */
	int product_error;     /* all is well but this: a negative errno */
	void *product;         /* of `config` */
	struct config_errors errors;
	/* changes that gave way to the files, and trouble with the state
	 * file: one line each */
	struct config_errors notes;
	/* private: what the files said, not finished; and who destroys it */
	struct config_builder *draft;
	const struct config_maker *maker;
};

/* Called from the loop when a job is done. */
typedef void config_made_fn(void *owner, struct config_made *made);

/* `path` and `maker` must outlive the loader. */
int config_loader_new(struct config_loader **ret, sd_event *event,
                      const char *path, const struct config_maker *maker,
                      config_made_fn *made, void *owner);

/* A job under way is left to itself, but for what the maker is at: only for
 * the end of the process. */
void config_loader_free(struct config_loader *loader); /* accepts NULL */

/* Reads the files and the state file and calls back before it returns.  What
 * is on disk may be another process's: it stays as it is. */
void config_loader_load_now(struct config_loader *loader);

/* Whether a job is under way. */
bool config_loader_busy(const struct config_loader *loader);

/* The following start a job and return 0 or a negative errno; not while
 * another runs.  `changes` are borrowed for a reference.
 *
 * load: the files anew, with the changes that still stand.
 * amend: another set of changes on the files as last accepted.
 * record: only puts another set on disk. */
int config_loader_load(struct config_loader *loader);
int config_loader_amend(struct config_loader *loader, json_t *changes);
int config_loader_record(struct config_loader *loader, json_t *changes);

/* During the call back: what was made is in force, and what later jobs start
 * from.  `made` then holds what that was until now; it goes in a thread. */
void config_loader_accept(struct config_loader *loader,
                          struct config_made *made);

/* As last accepted. */
const struct config *config_loader_files(const struct config_loader *loader);
json_t *config_loader_changes(const struct config_loader *loader);

#endif
