/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hash: each key has its host, and leaves it only while the host is out.
 *
 * For each key, each host has a distance of its own, made from nothing but the
 * key, the host's name and the host's weights; the nearest one that is usable
 * gets the request.  So whatever happens to a host moves keys from it or to
 * it and never between others, and a host that is down gives its keys to
 * those which would have them if it had never been there.
 *
 * The distance: a host has POINTS points on a circle, one in each of as many
 * equal parts, a key PROBES of them anywhere, and what counts is the least way
 * clockwise from one of the key's to one of the host's.  Four probes make the
 * shares of 48 points differ as little as those of 336 points would with one, a
 * standard deviation of 5.5 %.
 *
 * Weights stretch the way: it is divided by the host's, which makes the least
 * of several fall to each by its weight, whatever the others'.  No key is ever
 * refused, so that a host which is alone, or outweighs all others, has what is
 * its due.  A number of points by weight would cost memory without a bound or,
 * if scaled down to one, move everybody's keys when the scale changes.
 *
 * So the first point on the way need not be the nearest: one has to look on
 * until a way, stretched as little as that of any host, is longer than the best
 * so far.  To keep that short, hosts with weights up to a power of two have a
 * circle for themselves, a ring; in it, ways are stretched by that power over
 * the host's weight, 1 to 2 if it is the configured one.  The effective weight
 * is what counts: less of it makes the way longer, which gives keys to others,
 * and those are back when it is.
 *
 * When many are out, there are many points before the next one.  After so many
 * of them, or of refusals, the rest is looked at in one pass, where a host's
 * distance to a key is drawn by weight (rendezvous hashing), with the same
 * promises.
 */


#include "ngx_http_upstream_health_shm_balance_hash.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES  4
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_STEPS   1024  /* over points, a search */


/* one pick */

typedef struct {
    uint32_t                                   key;
    uint32_t                                   aside;
    uint32_t                                   refused
                                          [NGX_HTTP_UPSTREAM_HEALTH_SHM_ASIDE];
    ngx_uint_t                                 steps;   /* left */
    uint64_t                                   distance;
    ngx_uint_t                                 host;
} ngx_http_upstream_health_shm_search_t;


static ngx_uint_t ngx_http_upstream_health_shm_hash_class(uint64_t stretch);
static ngx_int_t ngx_http_upstream_health_shm_hash_shed(
    ngx_http_upstream_health_shm_balance_t *b);
static ngx_uint_t ngx_http_upstream_health_shm_hash_pick(
    ngx_http_upstream_health_shm_balance_t *b, uint32_t key,
    ngx_http_upstream_health_shm_usable_pt usable, void *data);
static ngx_int_t ngx_http_upstream_health_shm_hash_probe(
    ngx_http_upstream_health_shm_hash_t *h, uint32_t number, uint32_t from,
    ngx_http_upstream_health_shm_search_t *search);
static ngx_uint_t ngx_http_upstream_health_shm_hash_scan(
    ngx_http_upstream_health_shm_hash_t *h,
    ngx_http_upstream_health_shm_search_t *search,
    ngx_http_upstream_health_shm_usable_pt usable, void *data);
static uint64_t ngx_http_upstream_health_shm_hash_wait(uint32_t draw);


ngx_http_upstream_health_shm_method_t
    ngx_http_upstream_health_shm_hash_method =
{
    ngx_http_upstream_health_shm_hash_create,
    ngx_http_upstream_health_shm_hash_steps,
    ngx_http_upstream_health_shm_hash_weigh,
    NULL,
    ngx_http_upstream_health_shm_hash_pick,
    NULL,
    NULL,
    ngx_http_upstream_health_shm_hash_shed
};


static ngx_inline ngx_uint_t
ngx_http_upstream_health_shm_hash_refused(
    ngx_http_upstream_health_shm_search_t *search, uint32_t host)
{
    uint32_t  i;

    for (i = 0; i < search->aside; i++) {
        if (search->refused[i] == host) {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_upstream_health_shm_hash_weigh(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight)
{
    ngx_http_upstream_health_shm_hash_t *h =
                                      (ngx_http_upstream_health_shm_hash_t *) b;

    uint32_t                                   full;
    ngx_http_upstream_health_shm_circle_t     *circle;
    ngx_http_upstream_health_shm_hash_host_t  *host;

    host = &h->hosts[i];
    circle = &h->circles[host->ring];

    if (host->weight) {
        circle->live[ngx_http_upstream_health_shm_hash_class(host->stretch)]--;
    }

    host->weight = weight;

    if (weight) {
        full = HEALTH_WEIGHT_UNIT << host->ring;

        host->stretch = ((uint64_t) full << NGX_HTTP_UPSTREAM_HEALTH_SHM_ONE)
                        / ngx_min(weight, full);

        circle->live[ngx_http_upstream_health_shm_hash_class(host->stretch)]++;
    }

    circle->least = 0;

    while (circle->least < NGX_HTTP_UPSTREAM_HEALTH_SHM_CLASSES
           && circle->live[circle->least] == 0)
    {
        circle->least++;
    }
}


static ngx_uint_t
ngx_http_upstream_health_shm_hash_class(uint64_t stretch)
{
    ngx_uint_t  class;

    class = 0;

    while (stretch >> (NGX_HTTP_UPSTREAM_HEALTH_SHM_ONE + class + 1)) {
        class++;
    }

    return class;
}


static ngx_int_t
ngx_http_upstream_health_shm_hash_shed(
    ngx_http_upstream_health_shm_balance_t *b)
{
    ngx_http_upstream_health_shm_hash_t *h =
                                      (ngx_http_upstream_health_shm_hash_t *) b;

    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS; i++) {

        if (ngx_http_upstream_health_shm_ring_shed(&h->circles[i].ring)
            == NGX_AGAIN)
        {
            return NGX_AGAIN;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_upstream_health_shm_hash_pick(
    ngx_http_upstream_health_shm_balance_t *b, uint32_t key,
    ngx_http_upstream_health_shm_usable_pt usable, void *data)
{
    ngx_http_upstream_health_shm_hash_t *h =
                                      (ngx_http_upstream_health_shm_hash_t *) b;

    uint64_t                               mixed;
    uint32_t                               from
                                         [NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES];
    ngx_uint_t                             n, number;
    ngx_http_upstream_health_shm_search_t  search;

    search.key = key;
    mixed = key;

    /* the same for all rings, whose points know nothing of each other */

    for (n = 0; n < NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES; n++) {
        mixed = ngx_http_upstream_health_shm_mix(mixed);
        from[n] = mixed >> 32;
    }

    for (search.aside = 0;
         search.aside < NGX_HTTP_UPSTREAM_HEALTH_SHM_ASIDE;
         search.aside++)
    {
        search.host = NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE;
        search.distance = (uint64_t) -1;
        search.steps = NGX_HTTP_UPSTREAM_HEALTH_SHM_STEPS;

        for (number = NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS; number--; ) {

            if (h->circles[number].least
                == NGX_HTTP_UPSTREAM_HEALTH_SHM_CLASSES)
            {
                continue;
            }

            for (n = 0; n < NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES; n++) {

                if (ngx_http_upstream_health_shm_hash_probe(h, number, from[n],
                                                            &search)
                    != NGX_OK)
                {
                    goto scan;
                }
            }
        }

        if (search.host == NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE) {
            return search.host;
        }

        if (usable == NULL || usable(data, search.host)) {
            return search.host;
        }

        search.refused[search.aside] = search.host;
    }

scan:

    return ngx_http_upstream_health_shm_hash_scan(h, &search, usable, data);
}


/* the nearest host from here, if none is nearer yet; NGX_DECLINED: so many
 * points were out that the rest is not looked at */

static ngx_int_t
ngx_http_upstream_health_shm_hash_probe(
    ngx_http_upstream_health_shm_hash_t *h, uint32_t number, uint32_t from,
    ngx_http_upstream_health_shm_search_t *search)
{
    uint64_t                                   way, distance;
    ngx_uint_t                                 i, left, least;
    ngx_http_upstream_health_shm_ring_t       *ring;
    ngx_http_upstream_health_shm_point_t      *point;
    ngx_http_upstream_health_shm_hash_host_t  *host;

    ring = &h->circles[number].ring;
    least = NGX_HTTP_UPSTREAM_HEALTH_SHM_ONE + h->circles[number].least;

    i = ngx_http_upstream_health_shm_ring_first(ring, from);

    for (left = ring->n; left; left--, i++) {

        if (i == ring->n) {
            i = 0;
        }

        point = &ring->points[i];

        /* 32 bits, 16 for the ring, 8 and as many more for the stretch: 64 */

        way = (uint64_t) (uint32_t) (point->at - from)
              << (NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS - 1 - number);

        if (way << least > search->distance) {
            return NGX_OK;
        }

        host = &h->hosts[point->host];

        if (host->weight) {
            distance = way * host->stretch;

            if ((distance < search->distance
                 || (distance == search->distance
                     && host->id < h->hosts[search->host].id))
                && !ngx_http_upstream_health_shm_hash_refused(search,
                                                              point->host))
            {
                search->distance = distance;
                search->host = point->host;
            }
        }

        if (--search->steps == 0) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_upstream_health_shm_hash_scan(ngx_http_upstream_health_shm_hash_t *h,
    ngx_http_upstream_health_shm_search_t *search,
    ngx_http_upstream_health_shm_usable_pt usable, void *data)
{
    uint32_t                                   draw;
    uint64_t                                   wait, least;
    ngx_uint_t                                 i, host;
    ngx_http_upstream_health_shm_hash_host_t  *hh;

    host = NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE;
    least = (uint64_t) -1;

    for (i = 0; i < h->n; i++) {
        hh = &h->hosts[i];

        if (hh->weight == 0) {
            continue;
        }

        draw = ngx_http_upstream_health_shm_mix(hh->id ^ search->key) >> 32;
        wait = ngx_http_upstream_health_shm_hash_wait(draw) / hh->weight;

        if (wait < least
            && !ngx_http_upstream_health_shm_hash_refused(search, i)
            && (usable == NULL || usable(data, i)))
        {
            least = wait;
            host = i;
        }
    }

    return host;
}


/* -log2((draw + 1) / 2^32), scaled to 62 bits: exponentially distributed, so
 * that the least of several, each divided by its weight, falls to each by its
 * weight */

static uint64_t
ngx_http_upstream_health_shm_hash_wait(uint32_t draw)
{
    uint64_t  x, log;

    x = (uint64_t) draw + 1;
    log = 32;

    while ((x & ((uint64_t) 1 << 32)) == 0) {
        x <<= 1;
        log--;
    }

    /* log2(1 + f) is f + 0.3465 f (1 - f), to 0.8 % */

    x = (x >> 16) & 0xffff;
    log = (log << 16) + x + (x * (65536 - x) >> 16) * 22708 / 65536;

    return (((uint64_t) 32 << 16) - log) << 40;
}
