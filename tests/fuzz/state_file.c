/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The state file, from its bytes to a configuration: what an earlier version
 * wrote, somebody edited, or a disk garbled.  It never keeps checkerd from
 * starting; and what was made of it once is what is made of it again, with
 * nothing more to say about it.
 */
#include "no_network.h"
#include "scratch.h"

#include "changes.h"
#include "config_loader.h"
#include "config_state.h"

#include <sys/stat.h>

#define CONFIG                                                                 \
	"[checkerd]\nstate_dir = %s\n"                                         \
	"[defaults]\ncheck = none\n"                                           \
	"[pool web]\n"                                                         \
	"server = 10.0.0.1:8080 id=a weight=10\n"                              \
	"server = 10.0.0.2:8080 id=b drain\n"                                  \
	"[pool spare]\nupstream = web\npriority = 1\n"                         \
	"server = [2001:db8::1]:80 id=c\n"                                     \
	"[host web/b]\ncheck = http\npath = /healthz\n"

struct result {
	json_t *changes;
	char *config;
	size_t notes;
};

static sd_event *event;
static char directory[SCRATCH_PATH_SIZE], state[SCRATCH_PATH_SIZE],
	path[SCRATCH_PATH_SIZE];

static void prepare(void)
{
	char *text;

	if (event)
		return;
	HOLDS(sd_event_new(&event) >= 0);
	scratch_path(directory, "state");
	scratch_path(state, "state/changes.json");
	HOLDS(asprintf(&text, CONFIG, directory) > 0);
	scratch_write(scratch_path(path, "main.ini"), text, strlen(text));
	free(text);
}

static void check_orders(const struct config_made *made)
{
	for (uint32_t p = 0; p < made->config->pool_count; p++) {
		const struct pool_config *pool = &made->config->pools[p];

		for (uint32_t i = 0; i < pool->host_count; i++) {
			struct order order;

			HOLDS(changes_order(made->changes, made->files,
			                    pool->name, pool->hosts[i].id,
			                    &order) == 0);
			HOLDS(order.admin <= HEALTH_ADMIN_DRAIN);
			HOLDS(order.weight > 0);
			HOLDS(order.weight == pool->hosts[i].weight);
			HOLDS(order.admin == pool->hosts[i].admin);
		}
	}
	changes_next_end_us(made->changes);
}

static void check_rows(const json_t *changes)
{
	struct change change;
	const json_t *row;
	size_t i;

	HOLDS(json_is_array(changes));
	json_array_foreach((json_t *) changes, i, row)
	{
		HOLDS(change_read(row, &change));
		if (change.host && strcmp(change.key, "admin") == 0)
			HOLDS(change_admin(&change) <= HEALTH_ADMIN_DRAIN);
		json_decref(changes_hide(change.key, change.runtime));
	}
}

static void on_made(void *owner, struct config_made *made)
{
	struct result *result = owner;
	size_t size;
	FILE *stream;

	HOLDS(made->error == 0 && made->state_error == 0);
	check_rows(made->changes);
	check_orders(made);
	result->changes = json_incref(made->changes);
	result->notes = made->notes.count;
	/* as a start does when the segment is its own */
	if (made->unkept)
		HOLDS(config_state_write(directory, made->changes) == 0);
	stream = open_memstream(&result->config, &size);
	HOLDS(stream);
	config_print(made->config, stream);
	fclose(stream);
}

/* Nothing more is made of it. */
static int make(void *owner, struct config *config, void **ret_product)
{
	(void) owner;
	(void) config;
	*ret_product = NULL;
	return 0;
}

static void destroy(void *product)
{
	HOLDS(!product);
}

static void start(struct result *ret)
{
	static const struct config_maker maker = { .make = make,
		                                   .destroy = destroy };
	struct config_loader *loader;

	*ret = (struct result) { 0 };
	HOLDS(config_loader_new(&loader, event, path, &maker, on_made,
	                        ret) >= 0);
	config_loader_load_now(loader);
	config_loader_free(loader);
}

static void clear(struct result *result)
{
	json_decref(result->changes);
	free(result->config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result first, second;

	prepare();
	HOLDS(mkdir(directory, 0700) == 0);
	scratch_write(state, data, size);
	start(&first);
	start(&second);
	HOLDS(second.notes == 0);
	HOLDS(json_equal(first.changes, second.changes));
	HOLDS(strcmp(first.config, second.config) == 0);
	clear(&first);
	clear(&second);
	nftw(directory, scratch_remove, 8, FTW_DEPTH | FTW_PHYS);
	return 0;
}
