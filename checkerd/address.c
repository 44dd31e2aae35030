/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where a host listens.
 *
 * What looks like a number but is no address ("10.0.0.256", "1.2.3") is
 * refused here and never looked up: resolvers still read such text the way
 * inet_aton() did in 1983 and return an address that nobody meant.
 */
#include "address.h"

#include "parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_LENGTH 253

_Static_assert(ADDRESS_TEXT_SIZE >=
                       sizeof("unix:") +
                               sizeof(((struct sockaddr_un *) 0)->sun_path),
               "the longest text fits");

static int parse_unix(struct address *ret, const char *path)
{
	size_t length = strlen(path);

	if (path[0] != '/' || length >= sizeof(ret->un.sun_path) ||
	    !text_is_id(path, length))
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	ret->un.sun_family = AF_UNIX;
	memcpy(ret->un.sun_path, path, length);
	ret->length = (socklen_t) (offsetof(struct sockaddr_un, sun_path) +
	                           length + 1);
	return 0;
}

/* "" or ":PORT". */
static int parse_port(uint16_t *ret, const char *text)
{
	uint64_t port = ADDRESS_DEFAULT_PORT;

	if (text[0] != '\0' &&
	    (text[0] != ':' || parse_unsigned(&port, text + 1, 1, 65535) < 0))
		return -EINVAL;
	*ret = (uint16_t) port;
	return 0;
}

static int parse_ipv6(struct address *ret, const char *text)
{
	const char *end = strchr(text, ']');
	char host[INET6_ADDRSTRLEN];
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	uint16_t port;
	size_t length;

	if (end == NULL || parse_port(&port, end + 1) < 0)
		return -EINVAL;
	length = (size_t) (end - text - 1);
	if (length >= sizeof(host))
		return -EINVAL;
	memcpy(host, text + 1, length);
	host[length] = '\0';
	if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
		return -EINVAL;
	address_from_ip(ret, (const struct sockaddr *) &in6, port);
	return 0;
}

/* Labels of letters, digits, `-` and `_`; the last one is not a number. */
static bool is_host_name(const char *text, size_t length)
{
	bool label_is_number = true, label_is_empty = true;

	if (length > NAME_MAX_LENGTH || !text_is_name(text, length))
		return false;
	if (text[length - 1] == '.')
		length--;
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '.') {
			if (label_is_empty)
				return false;
			label_is_number = label_is_empty = true;
			continue;
		}
		label_is_empty = false;
		if (text[i] < '0' || text[i] > '9')
			label_is_number = false;
	}
	return !label_is_empty && !label_is_number;
}

int address_parse(struct address *ret, const char *text,
                  size_t *ret_name_length, uint16_t *ret_port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	size_t length = strcspn(text, ":");
	char host[INET_ADDRSTRLEN];
	uint16_t port;

	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(ret, text + 5);
	if (text[0] == '[')
		return parse_ipv6(ret, text);
	if (parse_port(&port, text + length) < 0)
		return -EINVAL;
	if (length < sizeof(host)) {
		memcpy(host, text, length);
		host[length] = '\0';
		if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
			address_from_ip(ret, (const struct sockaddr *) &in,
			                port);
			return 0;
		}
	}
	if (!is_host_name(text, length))
		return -EINVAL;
	*ret_name_length = length;
	*ret_port = port;
	return -ENOENT;
}

void address_from_ip(struct address *ret, const struct sockaddr *sockaddr,
                     uint16_t port)
{
	memset(ret, 0, sizeof(*ret));
	if (sockaddr->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *) sockaddr;

		ret->length = sizeof(ret->in6);
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_addr = in6->sin6_addr;
		ret->in6.sin6_scope_id = in6->sin6_scope_id;
	} else {
		const struct sockaddr_in *in = (const void *) sockaddr;

		ret->length = sizeof(ret->in);
		ret->in.sin_family = AF_INET;
		ret->in.sin_addr = in->sin_addr;
	}
	address_set_port(ret, port);
}

static char *put_number(char *at, unsigned number)
{
	char digits[8], *digit = digits;

	do
		*digit++ = (char) ('0' + number % 10);
	while ((number /= 10) > 0);
	while (digit > digits)
		*at++ = *--digit;
	return at;
}

/* By hand: most checks send it, and printf() cost as much as the rest of the
 * request. */
static void put_ipv4(const struct sockaddr_in *in, char *at)
{
	const unsigned char *bytes = (const unsigned char *) &in->sin_addr;
	int i;

	for (i = 0; i < 4; i++) {
		at = put_number(at, bytes[i]);
		*at++ = i < 3 ? '.' : ':';
	}
	*put_number(at, ntohs(in->sin_port)) = '\0';
}

const char *address_text(const struct address *address, char *buffer)
{
	char host[INET6_ADDRSTRLEN];

	switch (address->any.sa_family) {
	case AF_UNIX:
		snprintf(buffer, ADDRESS_TEXT_SIZE, "unix:%s",
		         address->un.sun_path);
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &address->in6.sin6_addr, host,
		          sizeof(host));
		snprintf(buffer, ADDRESS_TEXT_SIZE, "[%s]:%u", host,
		         address_port(address));
		break;
	default:
		put_ipv4(&address->in, buffer);
		break;
	}
	return buffer;
}

uint16_t address_port(const struct address *address)
{
	switch (address->any.sa_family) {
	case AF_INET:
		return ntohs(address->in.sin_port);
	case AF_INET6:
		return ntohs(address->in6.sin6_port);
	default:
		return 0;
	}
}

void address_set_port(struct address *address, uint16_t port)
{
	if (address->any.sa_family == AF_INET)
		address->in.sin_port = htons(port);
	else if (address->any.sa_family == AF_INET6)
		address->in6.sin6_port = htons(port);
}

/* Addresses are zeroed before they are filled: bytes decide. */
bool address_equal(const struct address *a, const struct address *b)
{
	return a->length == b->length &&
	       memcmp(&a->any, &b->any, a->length) == 0;
}
