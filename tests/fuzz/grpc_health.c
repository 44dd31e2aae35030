/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The frame that a gRPC server answers with; and the one that we send, for a
 * service whose name somebody configured.
 */
#include "fuzz.h"

#include "grpc_health.h"

#include <errno.h>

/* A field of a number that we do not know. */
static const uint8_t unknown[] = { 0x7a, 0x02, 'h', 'i' };

/* What a later version adds changes nothing. */
static void check_skipped(const uint8_t *data, size_t size,
                          enum grpc_serving serving)
{
	uint8_t longer[GRPC_HEALTH_ANSWER_MAX + sizeof(unknown)];
	size_t length = size - 5 + sizeof(unknown);
	enum grpc_serving again;

	if (size > GRPC_HEALTH_ANSWER_MAX)
		return;
	memcpy(longer, data, size);
	memcpy(longer + size, unknown, sizeof(unknown));
	for (int i = 0; i < 4; i++)
		longer[1 + i] = (uint8_t) (length >> (24 - 8 * i));
	HOLDS(grpc_health_parse(longer, size + sizeof(unknown), &again) == 0);
	HOLDS(again == serving);
}

static void check_request(const uint8_t *data, size_t size)
{
	uint8_t frame[GRPC_HEALTH_REQUEST_SIZE];
	char *service = fuzz_text(data, size);
	size_t length = strlen(service);
	int r = grpc_health_request(frame, service);

	if (length > GRPC_HEALTH_SERVICE_MAX) {
		HOLDS(r == -ENAMETOOLONG);
	} else {
		HOLDS(r >= 5 && (size_t) r <= sizeof(frame));
		HOLDS(frame[0] == 0);
		HOLDS((frame[3] << 8 | frame[4]) == r - 5);
		HOLDS(memcmp(frame + r - length, service, length) == 0);
	}
	free(service);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum grpc_serving serving;
	int r = grpc_health_parse(data, size, &serving);

	HOLDS(r == 0 || r == -EBADMSG);
	if (r == 0) {
		HOLDS(size >= 5 && data[0] == 0);
		grpc_serving_name(serving);
		check_skipped(data, size, serving);
	}
	check_request(data, size);
	return 0;
}
