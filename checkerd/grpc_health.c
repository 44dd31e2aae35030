/* SPDX-License-Identifier: BSD-2-Clause */
#include "grpc_health.h"

#include "util.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define PREFIX_SIZE 5
#define FIELD_ONE   1

enum wire_type {
	WIRE_VARINT = 0,
	WIRE_64 = 1,
	WIRE_LENGTH = 2,
	WIRE_32 = 5 /* 3 and 4, groups, are of the past */
};

struct reader {
	const uint8_t *at;
	const uint8_t *end;
};

static const char *const serving_names[] = {
	[GRPC_SERVING_UNKNOWN] = "UNKNOWN",
	[GRPC_SERVING] = "SERVING",
	[GRPC_NOT_SERVING] = "NOT_SERVING",
	[GRPC_SERVICE_UNKNOWN] = "SERVICE_UNKNOWN",
};

static const char *const status_names[] = {
	"OK",
	"CANCELLED",
	"UNKNOWN",
	"INVALID_ARGUMENT",
	"DEADLINE_EXCEEDED",
	"NOT_FOUND",
	"ALREADY_EXISTS",
	"PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED",
	"FAILED_PRECONDITION",
	"ABORTED",
	"OUT_OF_RANGE",
	"UNIMPLEMENTED",
	"INTERNAL",
	"UNAVAILABLE",
	"DATA_LOSS",
	"UNAUTHENTICATED",
};

int grpc_health_request(uint8_t *buffer, const char *service)
{
	size_t length = strlen(service);
	uint8_t *at = buffer + PREFIX_SIZE;

	if (length > GRPC_HEALTH_SERVICE_MAX)
		return -ENAMETOOLONG;
	if (length > 0) {
		*at++ = FIELD_ONE << 3 | WIRE_LENGTH;
		if (length > 0x7f)
			*at++ = (uint8_t) (0x80 | (length & 0x7f));
		*at++ = (uint8_t) (length > 0x7f ? length >> 7 : length);
		memcpy(at, service, length);
		at += length;
	}
	length = (size_t) (at - buffer) - PREFIX_SIZE;
	memset(buffer, 0, PREFIX_SIZE);
	buffer[3] = (uint8_t) (length >> 8);
	buffer[4] = (uint8_t) length;
	return (int) (PREFIX_SIZE + length);
}

static bool read_varint(struct reader *reader, uint64_t *ret)
{
	uint64_t value = 0;
	unsigned shift;

	for (shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
		value |= (uint64_t) (*reader->at & 0x7f) << shift;
		if ((*reader->at++ & 0x80) == 0) {
			*ret = value;
			return true;
		}
	}
	return false;
}

static bool skip(struct reader *reader, uint64_t count)
{
	if (count > (size_t) (reader->end - reader->at))
		return false;
	reader->at += count;
	return true;
}

static bool skip_field(struct reader *reader, unsigned wire_type)
{
	uint64_t value;

	switch (wire_type) {
	case WIRE_VARINT:
		return read_varint(reader, &value);
	case WIRE_64:
		return skip(reader, 8);
	case WIRE_LENGTH:
		return read_varint(reader, &value) && skip(reader, value);
	case WIRE_32:
		return skip(reader, 4);
	default:
		return false;
	}
}

int grpc_health_parse(const uint8_t *data, size_t size,
                      enum grpc_serving *ret_serving)
{
	struct reader reader;
	uint64_t tag, serving = GRPC_SERVING_UNKNOWN;
	uint32_t length;

	/* one message, not compressed: we did not offer to inflate any */
	if (size < PREFIX_SIZE || data[0] != 0)
		return -EBADMSG;
	length = (uint32_t) data[1] << 24 | (uint32_t) data[2] << 16 |
	         (uint32_t) data[3] << 8 | data[4];
	if (length != size - PREFIX_SIZE)
		return -EBADMSG;
	reader.at = data + PREFIX_SIZE;
	reader.end = data + size;
	while (reader.at < reader.end) {
		if (!read_varint(&reader, &tag) || tag >> 3 == 0)
			return -EBADMSG;
		if (tag == (FIELD_ONE << 3 | WIRE_VARINT)
		            ? !read_varint(&reader, &serving)
		            : !skip_field(&reader, tag & 7))
			return -EBADMSG;
	}
	if (serving > INT32_MAX)
		return -EBADMSG;
	*ret_serving = (enum grpc_serving) serving;
	return 0;
}

const char *grpc_serving_name(enum grpc_serving serving)
{
	return (size_t) serving < ARRAY_SIZE(serving_names)
	               ? serving_names[serving]
	               : NULL;
}

const char *grpc_status_name(unsigned long status)
{
	return status < ARRAY_SIZE(status_names) ? status_names[status] : NULL;
}
