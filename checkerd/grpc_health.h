/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The two messages of grpc.health.v1.Health/Check as they travel: a prefix of
 * five bytes (compressed or not, length), then protobuf:
 *
 *	message HealthCheckRequest  { string service = 1; }
 *	message HealthCheckResponse { ServingStatus status = 1; }
 *
 * The answer is hostile input: it is read within its bounds, in one pass, and
 * fields that are not ours are skipped as protobuf wants it.
 */
#ifndef CHECKERD_GRPC_HEALTH_H
#define CHECKERD_GRPC_HEALTH_H

#include <stddef.h>
#include <stdint.h>

#define GRPC_HEALTH_PATH        "/grpc.health.v1.Health/Check"
#define GRPC_HEALTH_SERVICE_MAX 1024
/* prefix, tag, length of the name (two bytes at most), name */
#define GRPC_HEALTH_REQUEST_SIZE (5 + 1 + 2 + GRPC_HEALTH_SERVICE_MAX)
/* an answer needs 7; what a later version might add is not much more */
#define GRPC_HEALTH_ANSWER_MAX 256

enum grpc_serving { /* other values may come */
	            GRPC_SERVING_UNKNOWN,
	            GRPC_SERVING,
	            GRPC_NOT_SERVING,
	            GRPC_SERVICE_UNKNOWN
};

/* Writes the request, framed, to `buffer` of GRPC_HEALTH_REQUEST_SIZE bytes;
 * empty asks for the server as a whole.  Returns its size, or -ENAMETOOLONG. */
int grpc_health_request(uint8_t *buffer, const char *service);

/* Reads a framed answer.  Returns 0 or -EBADMSG. */
int grpc_health_parse(const uint8_t *data, size_t size,
                      enum grpc_serving *ret_serving);

/* "NOT_SERVING"; NULL for a value that has no name. */
const char *grpc_serving_name(enum grpc_serving serving);

/* Of grpc-status: "UNIMPLEMENTED"; NULL for a number that has no name. */
const char *grpc_status_name(unsigned long status);

#endif
