/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses of hosts and of peers, in the one binary form by which they are
 * compared: family, port, and an address or the path of a unix socket.
 *
 * Those of an upstream's hosts are sorted, so that equal ones are neighbours.
 */


#include "ngx_http_upstream_health_shm_module.h"


static size_t ngx_http_upstream_health_shm_sockaddr_key(struct sockaddr *sa,
    socklen_t socklen, u_char *buf);


/* the first of the equal addresses */

ngx_uint_t
ngx_http_upstream_health_shm_find(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, u_char *key, size_t len)
{
    ngx_uint_t                               i, lo, hi;
    ngx_http_upstream_health_shm_address_t  *addresses;

    addresses = hscf->addresses;

    lo = 0;
    hi = hscf->naddresses;

    while (lo < hi) {
        i = (lo + hi) / 2;

        if (ngx_memn2cmp(addresses[i].key.data, key, addresses[i].key.len, len)
            < 0)
        {
            lo = i + 1;

        } else {
            hi = i;
        }
    }

    if (len && lo < hscf->naddresses
        && addresses[lo].key.len == len
        && ngx_memcmp(addresses[lo].key.data, key, len) == 0)
    {
        return lo;
    }

    return NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE;
}


ngx_uint_t
ngx_http_upstream_health_shm_find_sockaddr(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, struct sockaddr *sa,
    socklen_t socklen)
{
    size_t  len;
    u_char  key[NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_LEN];

    len = ngx_http_upstream_health_shm_sockaddr_key(sa, socklen, key);

    return ngx_http_upstream_health_shm_find(hscf, key, len);
}


/* where the addresses that equal the n-th end, if it is their first */

ngx_uint_t
ngx_http_upstream_health_shm_find_end(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t n)
{
    ngx_str_t                               *key;
    ngx_uint_t                               i, last;
    ngx_http_upstream_health_shm_address_t  *addresses;

    addresses = hscf->addresses;
    key = &addresses[n].key;

    last = ngx_min(n + NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_SAME,
                   hscf->naddresses);

    for (i = n + 1; i < last; i++) {

        if (addresses[i].key.len != key->len
            || ngx_memcmp(addresses[i].key.data, key->data, key->len) != 0)
        {
            break;
        }
    }

    return i;
}


/* keys of hosts and of socket addresses; 0: has none */

size_t
ngx_http_upstream_health_shm_host_key(struct health_shm *shm, uint32_t host,
    u_char *buf)
{
    struct health_text         text;
    const struct health_host  *h;

    h = &shm->hosts[host];

    buf[0] = h->family;
    buf[1] = (u_char) (h->port >> 8);
    buf[2] = (u_char) h->port;

    switch (buf[0]) {

    case HEALTH_IPV4:
        ngx_memcpy(&buf[3], h->ip, 4);
        return 3 + 4;

    case HEALTH_IPV6:
        ngx_memcpy(&buf[3], h->ip, 16);
        return 3 + 16;

    case HEALTH_UNIX:
        text = health_shm_text(shm, h->address);

        if (text.size <= 5 || ngx_strncmp(text.data, "unix:", 5) != 0
            || text.size - 5 > NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_LEN - 3)
        {
            return 0;
        }

        buf[1] = 0;
        buf[2] = 0;

        ngx_memcpy(&buf[3], text.data + 5, text.size - 5);
        return 3 + text.size - 5;

    default:
        return 0;
    }
}


static size_t
ngx_http_upstream_health_shm_sockaddr_key(struct sockaddr *sa,
    socklen_t socklen, u_char *buf)
{
    size_t                len;
    in_port_t             port;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif
#if (NGX_HAVE_UNIX_DOMAIN)
    struct sockaddr_un   *saun;
#endif

    switch (sa->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) sa;
        buf[0] = HEALTH_IPV4;
        port = ntohs(sin->sin_port);
        ngx_memcpy(&buf[3], &sin->sin_addr, 4);
        len = 4;
        break;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        buf[0] = HEALTH_IPV6;
        port = ntohs(sin6->sin6_port);
        ngx_memcpy(&buf[3], &sin6->sin6_addr, 16);
        len = 16;
        break;
#endif

#if (NGX_HAVE_UNIX_DOMAIN)
    case AF_UNIX:
        saun = (struct sockaddr_un *) sa;
        buf[0] = HEALTH_UNIX;
        port = 0;
        len = strnlen(saun->sun_path, sizeof(saun->sun_path));
        ngx_memcpy(&buf[3], saun->sun_path, len);
        break;
#endif

    default:
        return 0;
    }

    buf[1] = (u_char) (port >> 8);
    buf[2] = (u_char) port;

    return 3 + len;
}
