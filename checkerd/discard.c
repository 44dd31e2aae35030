/* SPDX-License-Identifier: BSD-2-Clause */
#include "discard.h"

#include <pthread.h>
#include <stdlib.h>

struct rubbish {
	void (*destroy)(void *object);
	void *object;
};

static void *run(void *userdata)
{
	struct rubbish rubbish = *(struct rubbish *) userdata;

	free(userdata);
	rubbish.destroy(rubbish.object);
	return NULL;
}

void discard(void (*destroy)(void *object), void *object)
{
	struct rubbish *rubbish = malloc(sizeof(*rubbish));
	pthread_t thread;

	if (rubbish) {
		*rubbish = (struct rubbish) { destroy, object };
		if (pthread_create(&thread, NULL, run, rubbish) == 0) {
			pthread_detach(thread);
			return;
		}
	}
	free(rubbish);
	destroy(object);
}
