/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where a host listens: IPv4, IPv6 or a unix socket, and its one canonical
 * spelling: "10.0.0.1:8080", "[2001:db8::1]:8080", "unix:/run/app.sock".
 */
#ifndef CHECKERD_ADDRESS_H
#define CHECKERD_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ADDRESS_TEXT_SIZE    128
#define ADDRESS_DEFAULT_PORT 80 /* as nginx's server directive */

struct address {
	socklen_t length;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
};

/* What it takes to keep one: few need the room for the path of a unix
 * socket. */
static inline size_t address_size(const struct address *address)
{
	return offsetof(struct address, any) + address->length;
}

/* Of one that may be kept in no more than that; zeroes follow. */
static inline void address_copy(struct address *to, const struct address *from)
{
	memset(to, 0, sizeof(*to));
	memcpy(to, from, address_size(from));
}

/* Parses a literal: no name is looked up.  Returns 0; -EINVAL for text that
 * can never be an address; -ENOENT for "NAME" or "NAME:PORT", which needs
 * resolving: then *ret_name_length and *ret_port say what to resolve. */
int address_parse(struct address *ret, const char *text,
                  size_t *ret_name_length, uint16_t *ret_port);

void address_from_ip(struct address *ret, const struct sockaddr *sockaddr,
                     uint16_t port);

/* The canonical spelling; `buffer` has ADDRESS_TEXT_SIZE bytes. */
const char *address_text(const struct address *address, char *buffer);

/* 0 for unix sockets, which have none to set either. */
uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);

bool address_equal(const struct address *a, const struct address *b);

#endif
