/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sections and keys in, a finished configuration out.
 *
 * Sections may come in any order and from any source.  The builder collects
 * what is wrong in a list of errors and goes on; it is only at the end that a
 * configuration with errors is refused.  It opens no file and looks up no
 * name: for these it asks functions of its owner's.
 */
#ifndef CHECKERD_CONFIG_BUILDER_H
#define CHECKERD_CONFIG_BUILDER_H

#include "address.h"
#include "config.h"
#include "config_errors.h"
#include "config_keys.h"

#include <stddef.h>

#define CONFIG_MAX_ADDRESSES 64 /* of one name */

struct config_builder;

/* Where keys go until the next section begins. */
struct config_section {
	enum config_sections in; /* 0: nowhere, the section was refused */
	uint32_t index;          /* private to the builder */
};

/* What a builder asks of the world.  Both may block. */
struct config_world {
	/* Finds the addresses of `name`; ports are left 0.  Returns how many,
	 * at most CONFIG_MAX_ADDRESSES, or a negative errno with *ret_problem
	 * in words. */
	int (*resolve)(void *owner, const char *name, struct address *ret,
	               const char **ret_problem);
	/* Returns 0 for a file that can be read, or a negative errno as
	 * above. */
	int (*find_file)(void *owner, const char *path,
	                 const char **ret_problem);
	/* The same for a program that can be run. */
	int (*find_program)(void *owner, const char *path,
	                    const char **ret_problem);
	void *owner;
};

/* `errors` and `world` must outlive the builder. */
int config_builder_new(struct config_builder **ret,
                       struct config_errors *errors,
                       const struct config_world *world);
void config_builder_free(struct config_builder *builder); /* accepts NULL */

/* Another builder that has collected the same, to collect more.  The two, and
 * what becomes of them, may go in any order. */
int config_builder_copy(struct config_builder **ret,
                        const struct config_builder *from,
                        struct config_errors *errors);

/* A copy that lives as long as the builder, for texts of places.  NULL if
 * memory ran out. */
const char *config_builder_keep(struct config_builder *builder,
                                const char *text);

/* The following return 0, also for what they report as an error, and -ENOMEM.
 * The texts of `place` must live as long as the builder. */

/* Begins or continues the section that place->section names. */
int config_builder_section(struct config_builder *builder,
                           const struct config_place *place,
                           struct config_section *ret);

int config_builder_set(struct config_builder *builder,
                       const struct config_section *section,
                       const struct config_place *place, const char *name,
                       const char *text);

/* Returns 0, or -EINVAL if there were errors, or -ENOMEM.  The builder can
 * only be freed afterwards. */
int config_builder_finish(struct config_builder *builder, struct config **ret);

#endif
