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
 * An upstream is matched in few steps, O((hosts + peers) * log(hosts)), each of
 * which is about what its balancer takes for some requests.  Until they are
 * done its peers stay as they are.
 *
 * The file was checked when it was mapped, but it is not ours and may differ
 * at a second look: each number is checked where it is used.
 */


#include "ngx_http_upstream_health_shm_module.h"


static ngx_int_t ngx_http_upstream_health_shm_list_pools(
    ngx_http_upstream_health_shm_segment_t *segment);
static ngx_uint_t ngx_http_upstream_health_shm_count_hosts(
    ngx_http_upstream_health_shm_srv_conf_t *hscf);
static ngx_int_t ngx_http_upstream_health_shm_add_addresses(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t room);
static ngx_int_t ngx_http_upstream_health_shm_add_address(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, uint32_t host);
static ngx_int_t ngx_http_upstream_health_shm_add_members(
    ngx_http_upstream_health_shm_srv_conf_t *hscf);
static void ngx_http_upstream_health_shm_fill_list(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_list_t *list);
static int ngx_libc_cdecl ngx_http_upstream_health_shm_cmp_addresses(
    const void *one, const void *two);
static int ngx_libc_cdecl ngx_http_upstream_health_shm_cmp_members(
    const void *one, const void *two);


/* NGX_OK: the upstream is in line with the mapping; NGX_AGAIN: not yet. */

ngx_int_t
ngx_http_upstream_health_shm_match(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t *work)
{
    ngx_uint_t                     n;
    ngx_http_upstream_rr_peers_t  *peers;

    if (hscf->addresses == NULL) {
        n = ngx_http_upstream_health_shm_count_hosts(hscf);

        if (ngx_http_upstream_health_shm_at_once(work, n) != NGX_OK) {
            return NGX_AGAIN;
        }

        if (ngx_http_upstream_health_shm_add_addresses(hscf, n) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    n = 0;

    for (peers = hscf->upstream->peer.data; peers; peers = peers->next) {
        n += peers->number;
    }

    if (ngx_http_upstream_health_shm_at_once(work, n) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (ngx_http_upstream_health_shm_add_members(hscf) != NGX_OK) {
        return NGX_ERROR;
    }

    hscf->foreign = 0;
    hscf->unnamed = 1;

    (void) ngx_http_upstream_health_shm_refresh(hscf);

    return NGX_OK;
}


/* Which pools there are for each upstream, and the other way round. */

ngx_int_t
ngx_http_upstream_health_shm_link_pools(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    uint32_t                                   p;
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
        }
    }

    return ngx_http_upstream_health_shm_list_pools(segment);
}


static ngx_int_t
ngx_http_upstream_health_shm_list_pools(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    uint32_t                                   p;
    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_link_t       *link;
    ngx_http_upstream_health_shm_srv_conf_t   *hscf, **hscfp;

    hscfp = segment->upstreams.elts;

    for (i = 0; i < segment->upstreams.nelts; i++) {
        hscf = hscfp[i];

        hscf->pools = ngx_palloc(segment->pool,
                                 (hscf->npools + 1) * sizeof(uint32_t));
        if (hscf->pools == NULL) {
            return NGX_ERROR;
        }

        hscf->npools = 0;
    }

    for (p = 0; p < segment->shm.pool_count; p++) {
        for (link = segment->links[p]; link; link = link->next) {
            link->conf->pools[link->conf->npools++] = p;
        }
    }

    return NGX_OK;
}


/* no host is of two pools, so that there are never more than in the file */

static ngx_uint_t
ngx_http_upstream_health_shm_count_hosts(
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    uint32_t            first;
    ngx_uint_t          i, n;
    struct health_shm  *shm;

    shm = &hscf->segment->shm;
    n = 0;

    for (i = 0; i < hscf->npools; i++) {
        n += ngx_http_upstream_health_shm_pool_hosts(shm, hscf->pools[i],
                                                     &first);
    }

    return ngx_min(n, shm->host_count);
}


static ngx_int_t
ngx_http_upstream_health_shm_add_addresses(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t room)
{
    uint32_t            host, end;
    ngx_uint_t          i, left;
    struct health_shm  *shm;

    shm = &hscf->segment->shm;

    hscf->addresses = ngx_palloc(hscf->segment->pool, (room + 1)
                              * sizeof(ngx_http_upstream_health_shm_address_t));
    if (hscf->addresses == NULL) {
        return NGX_ERROR;
    }

    left = room;

    for (i = 0; i < hscf->npools; i++) {
        end = ngx_http_upstream_health_shm_pool_hosts(shm, hscf->pools[i],
                                                      &host);

        for (end += host; host < end && left; host++, left--) {

            if (ngx_http_upstream_health_shm_add_address(hscf, host)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    ngx_qsort(hscf->addresses, hscf->naddresses,
              sizeof(ngx_http_upstream_health_shm_address_t),
              ngx_http_upstream_health_shm_cmp_addresses);

    return NGX_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_add_address(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, uint32_t host)
{
    size_t                                   len;
    u_char                                   buf[
                                        NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_LEN];
    struct health_shm                       *shm;
    ngx_http_upstream_health_shm_address_t  *address;

    shm = &hscf->segment->shm;

    len = ngx_http_upstream_health_shm_host_key(shm, host, buf);

    if (len == 0) {
        return NGX_OK;
    }

    address = &hscf->addresses[hscf->naddresses];

    address->key.data = ngx_pnalloc(hscf->segment->pool, len);
    if (address->key.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(address->key.data, buf, len);
    address->key.len = len;
    address->host = host;

    hscf->naddresses++;

    ngx_http_upstream_health_shm_add_observe(hscf, &shm->hosts[host]);

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
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    ngx_uint_t                            i;
    ngx_http_upstream_rr_peers_t         *peers;
    ngx_http_upstream_health_shm_list_t  *list;

    peers = hscf->upstream->peer.data;

    hscf->complete = 0;

#if (NGX_HTTP_UPSTREAM_HEALTH_SHM_RESOLVE)

    if (peers->resolve || (peers->next && peers->next->resolve)) {

        if (hscf->npools) {
            hscf->config = peers->config;
            hscf->config_seen = *peers->config;
        }

        return NGX_OK;
    }

#endif

    /* NOLINTNEXTLINE: there is a list, if an empty one */
    hscf->complete = (peers->number != 0);

    for (i = 0; i < 2 && peers; i++, peers = peers->next) {
        list = &hscf->lists[i];

        list->peers = peers;
        list->peer = peers->peer;
        list->number = peers->number;
        list->nmembers = 0;

        list->members = ngx_palloc(hscf->segment->pool, (list->number + 1)
                             * sizeof(ngx_http_upstream_health_shm_member_t));
        if (list->members == NULL) {
            return NGX_ERROR;
        }

        ngx_http_upstream_health_shm_fill_list(hscf, list);

        ngx_qsort(list->members, list->nmembers,
                  sizeof(ngx_http_upstream_health_shm_member_t),
                  ngx_http_upstream_health_shm_cmp_members);
    }

    return NGX_OK;
}


/*
 * Some other module may change a list of a zone: it is let go of now and then,
 * for those who wait to pick a peer, and left to those who walk all of it if it
 * is another one then.
 */

static void
ngx_http_upstream_health_shm_fill_list(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_list_t *list)
{
    ngx_uint_t                              end;
    ngx_http_upstream_rr_peer_t            *peer;
    ngx_http_upstream_rr_peers_t           *peers;
    ngx_http_upstream_health_shm_member_t  *member;

    peers = list->peers;
    peer = list->peer;

    while (peer && list->nmembers < list->number) {
        end = ngx_min(list->nmembers + NGX_HTTP_UPSTREAM_HEALTH_SHM_AT_ONCE,
                      list->number);

        ngx_http_upstream_rr_peers_rlock(peers);

        if (!ngx_http_upstream_health_shm_same(list, peers)) {
            list->nmembers = 0;
            hscf->complete = 0;
            peer = NULL;
        }

        for ( /* void */ ; peer && list->nmembers < end; peer = peer->next) {
            member = &list->members[list->nmembers++];

            member->peer = peer;
            member->address = ngx_http_upstream_health_shm_find_sockaddr(
                                          hscf, peer->sockaddr, peer->socklen);

            if (member->address == NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE) {
                hscf->complete = 0;
            }
        }

        ngx_http_upstream_rr_peers_unlock(peers);
    }
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
