/* SPDX-License-Identifier: BSD-2-Clause */
#include "config_loader.h"

#include "config_file.h"
#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>

struct config_loader {
	const char *path;
	config_loaded_fn loaded;
	void *owner;
	sd_event_source *source;
	int done_fd;
	pthread_t thread;
	bool running;
	bool again;
	/* the thread's until it has written to done_fd */
	struct config *config;
	struct config_errors errors;
};

static void *load(void *userdata)
{
	struct config_loader *loader = userdata;

	if (config_load(loader->path, &config_system, &loader->errors,
	                &loader->config) < 0)
		loader->config = NULL;
	eventfd_write(loader->done_fd, 1);
	return NULL;
}

static int on_done(sd_event_source *source, int fd, uint32_t revents,
                   void *userdata)
{
	struct config_loader *loader = userdata;
	struct config *config;
	eventfd_t count;

	(void) source;
	(void) revents;
	if (eventfd_read(fd, &count) < 0)
		return 0;
	pthread_join(loader->thread, NULL);
	loader->running = false;
	config = loader->config;
	loader->config = NULL;
	loader->loaded(loader->owner, config, &loader->errors);
	config_errors_clear(&loader->errors);
	return loader->again ? config_loader_start(loader) : 0;
}

int config_loader_new(struct config_loader **ret, sd_event *event,
                      const char *path, config_loaded_fn loaded, void *owner)
{
	struct config_loader *loader = calloc(1, sizeof(*loader));
	int r;

	if (!loader)
		return -ENOMEM;
	loader->path = path;
	loader->loaded = loaded;
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
	if (!loader)
		return;
	/* It may wait for DNS for long: it ends with the process, and what it
	 * works on stays until then. */
	if (loader->running) {
		pthread_detach(loader->thread);
		sd_event_source_disable_unref(loader->source);
		return;
	}
	config_unref(loader->config);
	config_errors_clear(&loader->errors);
	sd_event_source_unref(loader->source);
	close_fd(&loader->done_fd);
	free(loader);
}

int config_loader_start(struct config_loader *loader)
{
	int r;

	loader->again = loader->running;
	if (loader->running)
		return 0;
	r = pthread_create(&loader->thread, NULL, load, loader);
	if (r)
		return -r;
	loader->running = true;
	return 0;
}
