/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which host of the segment is which peer of nginx: tables made once for each
 * mapping, in memory that goes with it.
 *
 * A peer is matched by its socket address, in binary.  Names are compared
 * once, to find the upstreams of a pool; all that follows is numbers.  Several
 * hosts may have one address, in one pool or in many of the same upstream:
 * they are neighbours in `addresses`, and the first of them stands for all.
 *
 * The file was checked when it was mapped, but it is not ours and may differ
 * at a second look: each number is checked where it is used.
 */


#include "ngx_http_upstream_health_shm_pool.h"


static ngx_int_t ngx_http_upstream_health_shm_link_pools(
    ngx_http_upstream_health_shm_segment_t *segment);
static ngx_int_t ngx_http_upstream_health_shm_add_addresses(
    ngx_http_upstream_health_shm_segment_t *segment);
static ngx_int_t ngx_http_upstream_health_shm_add_members(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_pool_t *pool);
static size_t ngx_http_upstream_health_shm_sockaddr_key(struct sockaddr *sa,
    socklen_t socklen, u_char *buf);
static int ngx_libc_cdecl ngx_http_upstream_health_shm_cmp_addresses(
    const void *one, const void *two);
static int ngx_libc_cdecl ngx_http_upstream_health_shm_cmp_members(
    const void *one, const void *two);


/* Makes the tables for a mapping: O((hosts + peers) * log(hosts)). */

ngx_int_t
ngx_http_upstream_health_shm_match(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    ngx_int_t                                  rc;
    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_srv_conf_t  **hscfp;

    if (ngx_http_upstream_health_shm_link_pools(segment) != NGX_OK
        || ngx_http_upstream_health_shm_add_addresses(segment) != NGX_OK)
    {
        return NGX_ERROR;
    }

    hscfp = segment->upstreams.elts;

    for (i = 0; i < segment->upstreams.nelts; i++) {

        rc = hscfp[i]->pooled
             ? ngx_http_upstream_health_shm_take_over(hscfp[i])
             : ngx_http_upstream_health_shm_add_members(hscfp[i],
                                                        segment->pool);
        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        hscfp[i]->unnamed = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_link_pools(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    uint32_t                                   p, n;
    ngx_int_t                                  rc;
    ngx_uint_t                                 i, lo, hi;
    struct health_shm                         *shm;
    struct health_text                         text;
    ngx_http_upstream_health_shm_link_t       *link;
    ngx_http_upstream_health_shm_srv_conf_t   *hscf, **hscfp;

    shm = &segment->shm;

    segment->links = ngx_pcalloc(segment->pool, (shm->pool_count + 1)
                               * sizeof(ngx_http_upstream_health_shm_link_t *));
    if (segment->links == NULL) {
        return NGX_ERROR;
    }

    /* the upstreams are sorted by the name they go by in the segment */

    hscfp = segment->upstreams.elts;

    for (p = 0; p < shm->pool_count; p++) {
        text = health_shm_text(shm, shm->pools[p].upstream);

        lo = 0;
        hi = segment->upstreams.nelts;

        while (lo < hi) {
            i = (lo + hi) / 2;

            rc = ngx_memn2cmp(hscfp[i]->name.data, (u_char *) text.data,
                              hscfp[i]->name.len, text.size);
            if (rc < 0) {
                lo = i + 1;

            } else {
                hi = i;
            }
        }

        for (i = lo; i < segment->upstreams.nelts; i++) {
            hscf = hscfp[i];

            if (hscf->name.len != text.size
                || ngx_memcmp(hscf->name.data, text.data, text.size) != 0)
            {
                break;
            }

            link = ngx_palloc(segment->pool,
                              sizeof(ngx_http_upstream_health_shm_link_t));
            if (link == NULL) {
                return NGX_ERROR;
            }

            link->conf = hscf;
            link->next = segment->links[p];
            segment->links[p] = link;

            hscf->npools++;

            if (hscf->pooled) {
                continue;
            }

            n = ngx_http_upstream_health_shm_get32(&shm->pools[p].host_count);

            hscf->naddresses += ngx_min(n, shm->host_count - hscf->naddresses);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_add_addresses(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    size_t                                     len;
    u_char                                     buf[
                                        NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_LEN];
    uint32_t                                   p, host, n, end, left;
    ngx_uint_t                                 i;
    struct health_shm                         *shm;
    ngx_http_upstream_health_shm_link_t       *link;
    ngx_http_upstream_health_shm_address_t    *address;
    ngx_http_upstream_health_shm_srv_conf_t   *hscf, **hscfp;

    shm = &segment->shm;
    hscfp = segment->upstreams.elts;

    for (i = 0; i < segment->upstreams.nelts; i++) {
        hscf = hscfp[i];

        hscf->pools = ngx_palloc(segment->pool,
                                 (hscf->npools + 1) * sizeof(uint32_t));
        hscf->addresses = ngx_palloc(segment->pool, (hscf->naddresses + 1)
                              * sizeof(ngx_http_upstream_health_shm_address_t));
        hscf->room = hscf->naddresses;

        if (hscf->pools == NULL || hscf->addresses == NULL) {
            return NGX_ERROR;
        }

        hscf->npools = 0;
        hscf->naddresses = 0;
    }

    left = shm->host_count;

    for (p = 0; p < shm->pool_count; p++) {

        if (segment->links[p] == NULL) {
            continue;
        }

        for (link = segment->links[p]; link; link = link->next) {
            link->conf->pools[link->conf->npools++] = p;
        }

        n = ngx_http_upstream_health_shm_pool_hosts(shm, p, &host);

        /* no host is of two pools */

        n = ngx_min(n, left);
        left -= n;

        for (end = host + n; host < end; host++) {

            len = ngx_http_upstream_health_shm_host_key(shm, host, buf);
            if (len == 0) {
                continue;
            }

            for (link = segment->links[p]; link; link = link->next) {
                hscf = link->conf;

                if (hscf->naddresses == hscf->room) {
                    continue;
                }

                address = &hscf->addresses[hscf->naddresses];

                address->key.data = ngx_pnalloc(segment->pool, len);
                if (address->key.data == NULL) {
                    return NGX_ERROR;
                }

                ngx_memcpy(address->key.data, buf, len);
                address->key.len = len;
                address->host = host;

                hscf->naddresses++;

                ngx_http_upstream_health_shm_add_observe(hscf,
                                                         &shm->hosts[host]);
            }
        }
    }

    for (i = 0; i < segment->upstreams.nelts; i++) {
        ngx_qsort(hscfp[i]->addresses, hscfp[i]->naddresses,
                  sizeof(ngx_http_upstream_health_shm_address_t),
                  ngx_http_upstream_health_shm_cmp_addresses);
    }

    return NGX_OK;
}


/* The file may have changed since it was checked: check again. */

uint32_t
ngx_http_upstream_health_shm_pool_hosts(struct health_shm *shm, uint32_t p,
    uint32_t *first)
{
    uint32_t  n;

    *first = ngx_http_upstream_health_shm_get32(&shm->pools[p].first_host);
    *first = ngx_min(*first, shm->host_count);

    n = ngx_http_upstream_health_shm_get32(&shm->pools[p].host_count);

    return ngx_min(n, shm->host_count - *first);
}


void
ngx_http_upstream_health_shm_add_observe(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    const struct health_host *host)
{
    ngx_uint_t           i;
    struct health_host  *any;

    any = &hscf->any;

    switch (host->observe) {

    case HEALTH_OBSERVE_STATUS:
        for (i = 0; i < 8; i++) {
            any->live_fail_status[i] |= host->live_fail_status[i];
        }

        /* fall through */

    case HEALTH_OBSERVE_CONNECT:
        any->observe = ngx_max(any->observe, host->observe);
        break;

    default: /* HEALTH_OBSERVE_OFF */
        break;
    }
}


/* All peers of the lists that nginx does not change. */

static ngx_int_t
ngx_http_upstream_health_shm_add_members(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_pool_t *pool)
{
    ngx_uint_t                              i, n;
    ngx_http_upstream_rr_peer_t            *peer;
    ngx_http_upstream_rr_peers_t           *peers;
    ngx_http_upstream_health_shm_list_t    *list;
    ngx_http_upstream_health_shm_member_t  *members;

    peers = hscf->upstream->peer.data;

#if (NGX_HTTP_UPSTREAM_HEALTH_SHM_RESOLVE)

    if (peers->resolve || (peers->next && peers->next->resolve)) {

        if (hscf->npools) {
            hscf->config = peers->config;
            hscf->config_seen = *peers->config;
        }

        return NGX_OK;
    }

#endif

    for (i = 0; i < 2 && peers; i++, peers = peers->next) {

        members = ngx_palloc(pool, (peers->number + 1)
                             * sizeof(ngx_http_upstream_health_shm_member_t));
        if (members == NULL) {
            return NGX_ERROR;
        }

        n = 0;

        for (peer = peers->peer; peer && n < peers->number; peer = peer->next) {
            members[n].peer = peer;
            members[n].address = ngx_http_upstream_health_shm_find_sockaddr(
                                          hscf, peer->sockaddr, peer->socklen);
            n++;
        }

        ngx_qsort(members, n, sizeof(ngx_http_upstream_health_shm_member_t),
                  ngx_http_upstream_health_shm_cmp_members);

        list = &hscf->lists[i];

        list->peers = peers;
        list->peer = peers->peer;
        list->number = peers->number;
        list->members = members;
        list->nmembers = n;
    }

    return NGX_OK;
}


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


static int ngx_libc_cdecl
ngx_http_upstream_health_shm_cmp_addresses(const void *one, const void *two)
{
    ngx_int_t                                rc;
    ngx_http_upstream_health_shm_address_t  *first, *second;

    first = (ngx_http_upstream_health_shm_address_t *) one;
    second = (ngx_http_upstream_health_shm_address_t *) two;

    rc = ngx_memn2cmp(first->key.data, second->key.data,
                      first->key.len, second->key.len);

    return (rc > 0) - (rc < 0);
}


static int ngx_libc_cdecl
ngx_http_upstream_health_shm_cmp_members(const void *one, const void *two)
{
    ngx_http_upstream_health_shm_member_t  *first, *second;

    first = (ngx_http_upstream_health_shm_member_t *) one;
    second = (ngx_http_upstream_health_shm_member_t *) two;

    return (first->address > second->address)
           - (first->address < second->address);
}
