/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From host words to peer->down: the only place where the module changes
 * anything that nginx routes by.
 *
 * One address is one peer however many hosts of the upstream name it: it is
 * taken out only if none of them is routable.  What the segment does not know
 * stays up.
 *
 * Three rules keep this exact:
 *   - Only our own bit is changed, so a configured `down` or `drain` survives.
 *   - peers->tries stays the number of peers whose `down` is 0, which is what
 *     round robin starts from and what `resolve` counts on when it removes a
 *     peer.
 *   - Where a zone shares the peers, the host words are loaded and the bits
 *     written under the zone's write lock.  Whoever comes last has looked
 *     last: a slow worker never puts an older state over a newer one.
 *
 * A worker that has not mapped the newest file that any of them has leaves
 * shared peers alone.  As long as it does not know, for lack of a ticket, each
 * of its requests looks again.
 *
 * A change that touches few hosts is acted on for all upstreams by whoever sees
 * it first.  Where all have to be looked at, each upstream is `pending`: it is
 * brought in line by its own next request, or by the timer, so that nobody
 * waits for other upstreams than his own.
 *
 * A list that `resolve` may change is walked as a whole: pointers to its
 * peers are not kept, since they are freed by other processes.  So is one that
 * some other module has changed since its members were written down.
 */


#include "ngx_http_upstream_health_shm_pool.h"


/* hosts that are looked at one by one */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_CHANGES  4096


static void ngx_http_upstream_health_shm_refresh_list(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_rr_peers_t *peers,
    ngx_http_upstream_health_shm_list_t *list);
static ngx_uint_t ngx_http_upstream_health_shm_set_members(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_rr_peers_t *peers,
    ngx_http_upstream_health_shm_list_t *list, ngx_uint_t n);
static void ngx_http_upstream_health_shm_set_all(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_rr_peers_t *peers);
static void ngx_http_upstream_health_shm_sync_host(
    ngx_http_upstream_health_shm_segment_t *segment, uint32_t host);
static void ngx_http_upstream_health_shm_sync_members(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t address,
    ngx_http_upstream_rr_peers_t *peers,
    ngx_http_upstream_health_shm_list_t *list);
static ngx_uint_t ngx_http_upstream_health_shm_may_write(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_rr_peers_t *peers);
static void ngx_http_upstream_health_shm_set(
    ngx_http_upstream_rr_peers_t *peers, ngx_http_upstream_rr_peer_t *peer,
    ngx_uint_t down);
static ngx_uint_t ngx_http_upstream_health_shm_is_down(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t n);


/* Hosts are of another file, or may be the next snapshot's already: events are
 * acted on when that is in force. */

static ngx_inline ngx_uint_t
ngx_http_upstream_health_shm_behind(
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    return hscf->foreign || hscf->build;
}


/* Brings all peers of an upstream in line, whatever was done before; NGX_AGAIN:
 * but for some that are to come in. */

ngx_int_t
ngx_http_upstream_health_shm_refresh(
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    ngx_uint_t                     i;
    ngx_http_upstream_rr_peers_t  *peers;

    hscf->generation = hscf->segment->generation;

    /* what is on its way is looked at when it is there */

    if (hscf->foreign && !hscf->pooled) {
        return NGX_OK;
    }

    hscf->pending = (hscf->build != NULL);

    if (hscf->pooled
        && ngx_http_upstream_health_shm_weigh_all(hscf) == NGX_AGAIN)
    {
        hscf->pending = 1;
        return NGX_AGAIN;
    }

    if (hscf->pooled) {

        if (!ngx_http_upstream_health_shm_behind(hscf)) {
            hscf->seq = hscf->segment->seq;
        }

        return NGX_OK;
    }

    hscf->seq = hscf->segment->seq;

#if (NGX_HTTP_UPSTREAM_HEALTH_SHM_RESOLVE)

    /* before the walk: what changes meanwhile is seen at the next look */

    if (hscf->config) {
        hscf->config_seen = *(volatile ngx_uint_t *) hscf->config;
        hscf->unnamed = 1;
        ngx_memory_barrier();
    }

#endif

    for (i = 0, peers = hscf->upstream->peer.data;
         peers;
         i++, peers = peers->next)
    {
        ngx_http_upstream_health_shm_refresh_list(hscf, peers,
                                           i < 2 ? &hscf->lists[i] : NULL);
    }

    return NGX_OK;
}


/* A long list is let go of now and then, for those who wait to pick a peer. */

static void
ngx_http_upstream_health_shm_refresh_list(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_rr_peers_t *peers,
    ngx_http_upstream_health_shm_list_t *list)
{
    ngx_uint_t  n;

    n = 0;

    do {
        ngx_http_upstream_rr_peers_wlock(peers);

        if (!ngx_http_upstream_health_shm_may_write(hscf, peers)) {
            n = NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE;

        } else if (list && ngx_http_upstream_health_shm_same(list, peers)) {
            n = ngx_http_upstream_health_shm_set_members(hscf, peers, list, n);

        } else {
            ngx_http_upstream_health_shm_set_all(hscf, peers);
            n = NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE;
        }

        ngx_http_upstream_rr_peers_unlock(peers);

    } while (n != NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE);
}


/* where to go on */

static ngx_uint_t
ngx_http_upstream_health_shm_set_members(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_rr_peers_t *peers,
    ngx_http_upstream_health_shm_list_t *list, ngx_uint_t n)
{
    ngx_uint_t                              end;
    ngx_http_upstream_health_shm_member_t  *member;

    end = ngx_min(n + NGX_HTTP_UPSTREAM_HEALTH_SHM_AT_ONCE, list->nmembers);

    for ( /* void */ ; n < end; n++) {
        member = &list->members[n];

        ngx_http_upstream_health_shm_set(peers, member->peer,
                      ngx_http_upstream_health_shm_is_down(hscf,
                                                           member->address));
    }

    return (n < list->nmembers) ? n : NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE;
}


static void
ngx_http_upstream_health_shm_set_all(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_rr_peers_t *peers)
{
    ngx_uint_t                    address;
    ngx_http_upstream_rr_peer_t  *peer;

    for (peer = peers->peer; peer; peer = peer->next) {
        address = ngx_http_upstream_health_shm_find_sockaddr(hscf,
                                                peer->sockaddr, peer->socklen);

        ngx_http_upstream_health_shm_set(peers, peer,
                         ngx_http_upstream_health_shm_is_down(hscf, address));
    }
}


/* All its hosts: whoever asks for a peer next does so, or the timer. */

void
ngx_http_upstream_health_shm_look_again(
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    hscf->pending = 1;
    hscf->generation = ~health_load(hscf->word);
}


/* The generation has moved: act on the hosts that changed since. */

void
ngx_http_upstream_health_shm_sync(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    uint64_t                                   generation, head;
    ngx_uint_t                                 u, all;
    struct health_shm                         *shm;
    struct health_event                        event;
    ngx_http_upstream_health_shm_srv_conf_t   *hscf, **hscfp;

    shm = &segment->shm;

    /* a request may come before the timer that asks for a ticket again */

    if (segment->ticket == 0
        && ngx_http_upstream_health_shm_enter(segment) == NGX_OK)
    {
        segment->all = 1;
    }

    generation = segment->generation;
    segment->generation = health_shm_generation(shm);
    head = health_shm_event_head(shm);

    all = segment->all
          || ngx_http_upstream_health_shm_catch_up_from(segment, generation)
             != NGX_OK;

    /*
     * The newest event may belong to a generation that is not published yet.
     * $upstream_health_seq promises that it was acted on.
     */

    if (head != segment->seq && !all && health_shm_event(shm, head, &event)) {
        if (event.host < shm->host_count) {
            ngx_http_upstream_health_shm_sync_host(segment, event.host);

        } else {
            all = 1;
        }
    }

    segment->seq = head;
    segment->all = 0;

    if (segment->ticket == 0) {
        segment->generation = ~segment->generation;
    }

    hscfp = segment->upstreams.elts;

    for (u = 0; u < segment->upstreams.nelts; u++) {
        hscf = hscfp[u];

        if (all || hscf->pending) {
            ngx_http_upstream_health_shm_look_again(hscf);
            continue;
        }

        hscf->generation = segment->generation;

        if (!ngx_http_upstream_health_shm_behind(hscf)) {
            hscf->seq = segment->seq;
        }
    }
}


/* Acts on the hosts that changed from this generation to the segment's.
 * NGX_DECLINED: all have to be looked at. */

ngx_int_t
ngx_http_upstream_health_shm_catch_up_from(
    ngx_http_upstream_health_shm_segment_t *segment, uint64_t generation)
{
    uint32_t            host;
    uint64_t            i, n;
    struct health_shm  *shm;

    shm = &segment->shm;

    n = (segment->generation - generation) & ~HEALTH_SUPERSEDED;

    if (n > NGX_HTTP_UPSTREAM_HEALTH_SHM_CHANGES || n > shm->host_count
        || n > shm->change_capacity)
    {
        return NGX_DECLINED;
    }

    for (i = 1; i <= n; i++) {
        host = health_shm_change(shm, (generation + i) & ~HEALTH_SUPERSEDED);

        if (host == HEALTH_ALL_HOSTS) {
            return NGX_DECLINED;
        }

        ngx_http_upstream_health_shm_sync_host(segment, host);
    }

    return NGX_OK;
}


static void
ngx_http_upstream_health_shm_sync_host(
    ngx_http_upstream_health_shm_segment_t *segment, uint32_t host)
{
    size_t                                    len;
    u_char                                    key[
                                        NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_LEN];
    uint32_t                                  p;
    ngx_uint_t                                i, address;
    ngx_http_upstream_rr_peers_t             *peers;
    ngx_http_upstream_health_shm_link_t      *link;
    ngx_http_upstream_health_shm_srv_conf_t  *hscf;

    p = ngx_http_upstream_health_shm_get32(&segment->shm.hosts[host].pool);

    if (p >= segment->shm.pool_count || segment->links[p] == NULL) {
        return;
    }

    len = ngx_http_upstream_health_shm_host_key(&segment->shm, host, key);

    for (link = segment->links[p]; link; link = link->next) {
        hscf = link->conf;

        if (!hscf->active || hscf->foreign) {
            continue;
        }

        if (hscf->pooled) {
            ngx_http_upstream_health_shm_weigh_host(hscf, link->tier, host);
            continue;
        }

#if (NGX_HTTP_UPSTREAM_HEALTH_SHM_RESOLVE)
        if (hscf->config) {
            hscf->pending = 1;
            continue;
        }
#endif

        address = ngx_http_upstream_health_shm_find(hscf, key, len);

        if (address == NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE) {
            continue;
        }

        for (i = 0, peers = hscf->upstream->peer.data;
             i < 2 && peers;
             i++, peers = peers->next)
        {
            ngx_http_upstream_health_shm_sync_members(hscf, address, peers,
                                                      &hscf->lists[i]);
        }
    }
}


static void
ngx_http_upstream_health_shm_sync_members(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t address,
    ngx_http_upstream_rr_peers_t *peers,
    ngx_http_upstream_health_shm_list_t *list)
{
    ngx_uint_t                              i, first, last, down;
    ngx_http_upstream_health_shm_member_t  *members;

    members = list->members;

    first = 0;
    last = list->nmembers;

    while (first < last) {
        i = (first + last) / 2;

        if (members[i].address < address) {
            first = i + 1;

        } else {
            last = i;
        }
    }

    last = list->nmembers;

    ngx_http_upstream_rr_peers_wlock(peers);

    if (!ngx_http_upstream_health_shm_may_write(hscf, peers)) {
        goto done;
    }

    if (!ngx_http_upstream_health_shm_same(list, peers)) {
        ngx_http_upstream_health_shm_set_all(hscf, peers);
        goto done;
    }

    down = ngx_http_upstream_health_shm_is_down(hscf, address);

    for (i = first; i < last && members[i].address == address; i++) {
        ngx_http_upstream_health_shm_set(peers, members[i].peer, down);
    }

done:

    ngx_http_upstream_rr_peers_unlock(peers);
}


/* under the lock of `peers`, too */

static ngx_uint_t
ngx_http_upstream_health_shm_may_write(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_rr_peers_t *peers)
{
#if (NGX_HTTP_UPSTREAM_ZONE)

    if (peers->shpool) {
        return ngx_http_upstream_health_shm_newest(hscf->segment);
    }

#endif

    return 1;
}


/* under the write lock of `peers` */

static void
ngx_http_upstream_health_shm_set(ngx_http_upstream_rr_peers_t *peers,
    ngx_http_upstream_rr_peer_t *peer, ngx_uint_t down)
{
    ngx_uint_t  was, now;

    was = peer->down;
    now = was & ~((ngx_uint_t) NGX_HTTP_UPSTREAM_HEALTH_SHM_DOWN);

    if (down) {
        now |= NGX_HTTP_UPSTREAM_HEALTH_SHM_DOWN;
    }

    if (now == was) {
        return;
    }

    peer->down = now;

    if (was == 0) {
        if (peers->tries) {
            peers->tries--;
        }

    } else if (now == 0) {
        peers->tries++;
    }
}


static ngx_uint_t
ngx_http_upstream_health_shm_is_down(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t n)
{
    ngx_uint_t                               first, end;
    ngx_http_upstream_health_shm_address_t  *addresses;

    if (n == NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE || !hscf->active) {
        return 0;
    }

    addresses = hscf->addresses;

    first = n;
    end = ngx_http_upstream_health_shm_find_end(hscf, n);

    for ( /* void */ ; n < end; n++) {

        if (health_word_routable(health_shm_word(&hscf->segment->shm,
                                                 addresses[n].host)))
        {
            return 0;
        }
    }

    /* among those that were not looked at may be a routable one */

    return n - first < NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_SAME;
}
