/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads the configuration beside the running loop: parsing 100 000 hosts or
 * waiting for DNS must not make a probe late, so it happens in a thread of its
 * own, which touches nothing but the configuration it makes.
 */
#ifndef CHECKERD_CONFIG_LOADER_H
#define CHECKERD_CONFIG_LOADER_H

#include "config.h"

#include <systemd/sd-event.h>

struct config_errors;
struct config_loader;

/* Called from the loop with a configuration (a reference for the callee), or
 * with NULL and what is wrong. */
typedef void (*config_loaded_fn)(void *owner, struct config *config,
                                 const struct config_errors *errors);

int config_loader_new(struct config_loader **ret, sd_event *event,
                      const char *path, config_loaded_fn loaded, void *owner);

/* A load under way is left to itself: only for the end of the process. */
void config_loader_free(struct config_loader *loader); /* accepts NULL */

/* Starts a load; one asked for during another follows it.  Returns 0 or a
 * negative errno. */
int config_loader_start(struct config_loader *loader);

#endif
