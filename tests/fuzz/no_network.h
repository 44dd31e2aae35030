/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Functions of the C library for a target whose daemon would ask around: there
 * is no network.  Names resolve if they end with ".test", and nothing listens
 * anywhere.
 */
#ifndef CHECKERD_FUZZ_NO_NETWORK_H
#define CHECKERD_FUZZ_NO_NETWORK_H

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
	(void) fd;
	(void) address;
	(void) size;
	errno = ECONNREFUSED;
	return -1;
}

int getaddrinfo(const char *name, const char *service,
                const struct addrinfo *hints, struct addrinfo **ret)
{
	static struct sockaddr_in in = { .sin_family = AF_INET };
	static struct addrinfo found = { .ai_family = AF_INET,
		                         .ai_socktype = SOCK_STREAM,
		                         .ai_addrlen = sizeof(in),
		                         .ai_addr = (void *) &in };
	size_t size = name ? strlen(name) : 0;

	(void) service;
	(void) hints;
	if (size < 5 || strcmp(name + size - 5, ".test") != 0)
		return EAI_NONAME;
	in.sin_addr.s_addr = htonl(0x7f000001);
	*ret = &found;
	return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
	(void) found;
}

#endif
