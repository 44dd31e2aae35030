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
 * The distance: a host has POINTS points on a circle, a key PROBES of them,
 * and what counts is the least way clockwise from one of the key's to one of
 * the host's.  Four probes make the shares of 48 points differ as little as
 * those of 336 points would with one, a standard deviation of 5.5 %.
 *
 * Weights do not change the number of points, which would cost memory without
 * a bound or, if scaled down to one, move everybody's keys when the scale
 * changes.  Hosts with weights up to a power of two have a circle for
 * themselves, a ring, whose distances are divided by that power; in it, a
 * host of less weight refuses some of the keys, always the same ones, to make
 * it exact.  The effective weight is all that is compared to: less of it
 * refuses more keys, and those are back when it is.
 *
 * When many are out, the way to the next one gets long.  After so many points
 * or refusals the rest is looked at in one pass, where a host's distance to a
 * key is drawn by weight (rendezvous hashing), with the same promises.
 */


#include "ngx_http_upstream_health_shm_balance_method.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS   17    /* weights to 1, 2, .. 64K */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS  48
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES  4
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_STEPS   1024  /* over points, a pick */


typedef struct {
    uint32_t                                   at;     /* on the circle */
    uint32_t                                   host;
} ngx_http_upstream_health_shm_point_t;


typedef struct {
    ngx_http_upstream_health_shm_point_t      *points;  /* in order */
    uint32_t                                  *index;   /* by upper bits */
    uint32_t                                   n;
    uint32_t                                   shift;   /* at to index */
    uint32_t                                   live;    /* hosts not out */
} ngx_http_upstream_health_shm_ring_t;


typedef struct {
    uint64_t                                   id;      /* of the name */
    uint32_t                                   weight;
    uint32_t                                   ring;
} ngx_http_upstream_health_shm_hash_host_t;


typedef struct {
    ngx_http_upstream_health_shm_balance_t     balance;
    uint32_t                                   n;
    ngx_http_upstream_health_shm_hash_host_t  *hosts;
    ngx_http_upstream_health_shm_ring_t
        rings[NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS];
} ngx_http_upstream_health_shm_hash_t;


typedef struct {
    uint64_t                                   id;
    uint32_t                                   host;
} ngx_http_upstream_health_shm_id_t;


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


static ngx_http_upstream_health_shm_balance_t *
    ngx_http_upstream_health_shm_hash_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_tier_t *tier);
static ngx_int_t ngx_http_upstream_health_shm_hash_identify(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_hash_t *h,
    ngx_http_upstream_health_shm_tier_t *tier);
static int ngx_libc_cdecl ngx_http_upstream_health_shm_hash_compare(
    const void *one, const void *two);
static ngx_int_t ngx_http_upstream_health_shm_ring_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_hash_t *h, uint32_t number);
static void ngx_http_upstream_health_shm_ring_sort(
    ngx_http_upstream_health_shm_hash_t *h,
    ngx_http_upstream_health_shm_ring_t *ring);
static void ngx_http_upstream_health_shm_hash_weigh(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight);
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
    ngx_http_upstream_health_shm_hash_weigh,
    ngx_http_upstream_health_shm_hash_pick,
    NULL,
    NULL
};


static ngx_inline uint32_t
ngx_http_upstream_health_shm_hash_point(uint64_t id, uint64_t number)
{
    return ngx_http_upstream_health_shm_mix(id + (number << 32)) >> 32;
}


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


/* does the host's weight let it have the key, out of all of its ring's? */

static ngx_inline ngx_uint_t
ngx_http_upstream_health_shm_hash_takes(
    ngx_http_upstream_health_shm_hash_t *h, uint32_t host,
    ngx_http_upstream_health_shm_search_t *search)
{
    uint32_t                                   full;
    ngx_http_upstream_health_shm_hash_host_t  *hh;

    hh = &h->hosts[host];

    full = HEALTH_WEIGHT_UNIT << hh->ring;

    if (hh->weight < full
        && (ngx_http_upstream_health_shm_mix(hh->id ^ search->key)
            & (full - 1)) >= hh->weight)
    {
        return 0;
    }

    return !ngx_http_upstream_health_shm_hash_refused(search, host);
}


static ngx_http_upstream_health_shm_balance_t *
ngx_http_upstream_health_shm_hash_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_tier_t *tier)
{
    uint32_t                              ring;
    ngx_uint_t                            i;
    ngx_http_upstream_health_shm_hash_t  *h;

    h = ngx_pcalloc(pool, sizeof(ngx_http_upstream_health_shm_hash_t));
    if (h == NULL) {
        return NULL;
    }

    h->n = tier->n;
    h->hosts = ngx_pcalloc(pool, tier->n
                           * sizeof(ngx_http_upstream_health_shm_hash_host_t));

    if (h->hosts == NULL
        || ngx_http_upstream_health_shm_hash_identify(pool, h, tier) != NGX_OK)
    {
        return NULL;
    }

    for (i = 0; i < tier->n; i++) {

        for (ring = 0;
             ring < NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS - 1
             && tier->configured[i] > (uint32_t) 1 << ring;
             ring++)
        {
            /* void */
        }

        h->hosts[i].ring = ring;
        h->rings[ring].n += NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS;
    }

    for (ring = 0; ring < NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS; ring++) {
        if (h->rings[ring].n
            && ngx_http_upstream_health_shm_ring_create(pool, h, ring)
               != NGX_OK)
        {
            return NULL;
        }
    }

    for (i = 0; i < tier->n; i++) {
        ngx_http_upstream_health_shm_hash_weigh(&h->balance, i,
                  tier->weights[i] & NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_WEIGHT);
    }

    return &h->balance;
}


/* hosts of one name are told apart by their order */

static ngx_int_t
ngx_http_upstream_health_shm_hash_identify(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_hash_t *h,
    ngx_http_upstream_health_shm_tier_t *tier)
{
    size_t                              n;
    uint64_t                            id;
    ngx_str_t                          *name;
    ngx_uint_t                          i, same;
    ngx_http_upstream_health_shm_id_t  *ids;

    ids = ngx_palloc(pool, tier->n * sizeof(ngx_http_upstream_health_shm_id_t));
    if (ids == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < tier->n; i++) {
        name = &tier->names[i];
        id = 0xcbf29ce484222325;  /* FNV-1a */

        for (n = 0; n < name->len; n++) {
            id = (id ^ name->data[n]) * 0x100000001b3;
        }

        ids[i].id = ngx_http_upstream_health_shm_mix(id);
        ids[i].host = i;
    }

    ngx_qsort(ids, tier->n, sizeof(ngx_http_upstream_health_shm_id_t),
              ngx_http_upstream_health_shm_hash_compare);

    same = 0;

    for (i = 0; i < tier->n; i++) {
        same = (i && ids[i].id == ids[i - 1].id) ? same + 1 : 0;

        h->hosts[ids[i].host].id = same
                          ? ngx_http_upstream_health_shm_mix(ids[i].id + same)
                          : ids[i].id;
    }

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_http_upstream_health_shm_hash_compare(const void *one, const void *two)
{
    const ngx_http_upstream_health_shm_id_t  *a = one, *b = two;

    if (a->id != b->id) {
        return a->id < b->id ? -1 : 1;
    }

    return a->host < b->host ? -1 : 1;
}


static ngx_int_t
ngx_http_upstream_health_shm_ring_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_hash_t *h, uint32_t number)
{
    uint32_t                               at, slots;
    ngx_uint_t                             i, n;
    ngx_http_upstream_health_shm_ring_t   *ring;
    ngx_http_upstream_health_shm_point_t  *point;

    ring = &h->rings[number];

    ring->points = ngx_palloc(pool, ring->n
                              * sizeof(ngx_http_upstream_health_shm_point_t));

    /* as many slots as there are points, or half of that */

    slots = 1;
    ring->shift = 32;

    while (slots <= ring->n / 2) {
        slots *= 2;
        ring->shift--;
    }

    ring->index = ngx_pcalloc(pool, slots * sizeof(uint32_t));

    if (ring->points == NULL || ring->index == NULL) {
        return NGX_ERROR;
    }

    /* the points of a slot lie together, those of lower slots before them */

    for (i = 0; i < h->n; i++) {

        if (h->hosts[i].ring != number) {
            continue;
        }

        for (n = 0; n < NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS; n++) {
            at = ngx_http_upstream_health_shm_hash_point(h->hosts[i].id, n);
            ring->index[at >> ring->shift]++;
        }
    }

    for (i = 1; i < slots; i++) {
        ring->index[i] += ring->index[i - 1];
    }

    for (i = 0; i < h->n; i++) {

        if (h->hosts[i].ring != number) {
            continue;
        }

        for (n = 0; n < NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS; n++) {
            at = ngx_http_upstream_health_shm_hash_point(h->hosts[i].id, n);
            point = &ring->points[--ring->index[at >> ring->shift]];
            point->at = at;
            point->host = i;
        }
    }

    ngx_http_upstream_health_shm_ring_sort(h, ring);

    return NGX_OK;
}


/* by insertion: a point is in its slot already */

static void
ngx_http_upstream_health_shm_ring_sort(ngx_http_upstream_health_shm_hash_t *h,
    ngx_http_upstream_health_shm_ring_t *ring)
{
    ngx_uint_t                             i, n;
    ngx_http_upstream_health_shm_point_t   point, *before;

    for (i = 1; i < ring->n; i++) {
        point = ring->points[i];

        for (n = i; n; n--) {
            before = &ring->points[n - 1];

            if (before->at < point.at
                || (before->at == point.at
                    && h->hosts[before->host].id <= h->hosts[point.host].id))
            {
                break;
            }

            ring->points[n] = *before;
        }

        ring->points[n] = point;
    }
}


static void
ngx_http_upstream_health_shm_hash_weigh(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight)
{
    ngx_http_upstream_health_shm_hash_t *h =
                                      (ngx_http_upstream_health_shm_hash_t *) b;

    ngx_http_upstream_health_shm_hash_host_t  *host;

    host = &h->hosts[i];

    h->rings[host->ring].live += (weight != 0);
    h->rings[host->ring].live -= (host->weight != 0);

    host->weight = weight;
}


static ngx_uint_t
ngx_http_upstream_health_shm_hash_pick(
    ngx_http_upstream_health_shm_balance_t *b, uint32_t key,
    ngx_http_upstream_health_shm_usable_pt usable, void *data)
{
    ngx_http_upstream_health_shm_hash_t *h =
                                      (ngx_http_upstream_health_shm_hash_t *) b;

    uint64_t                               from;
    ngx_uint_t                             n, number;
    ngx_http_upstream_health_shm_search_t  search;

    search.key = key;
    search.steps = NGX_HTTP_UPSTREAM_HEALTH_SHM_STEPS;

    for (search.aside = 0;
         search.aside < NGX_HTTP_UPSTREAM_HEALTH_SHM_ASIDE;
         search.aside++)
    {
        search.host = NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE;
        search.distance = (uint64_t) -1;

        for (number = 0;
             number < NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS;
             number++)
        {
            if (h->rings[number].live == 0) {
                continue;
            }

            from = key + ((uint64_t) number << 32);

            for (n = 0; n < NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES; n++) {
                from = ngx_http_upstream_health_shm_mix(from);

                if (ngx_http_upstream_health_shm_hash_probe(h, number,
                                                       from >> 32, &search)
                    != NGX_OK)
                {
                    break;
                }
            }
        }

        if (search.steps == 0
            || search.host == NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE)
        {
            break;
        }

        if (usable == NULL || usable(data, search.host)) {
            return search.host;
        }

        search.refused[search.aside] = search.host;
    }

    return ngx_http_upstream_health_shm_hash_scan(h, &search, usable, data);
}


/* the first point from here whose host takes the key, if none is nearer yet;
 * NGX_DECLINED: no other probe of this ring will do better */

static ngx_int_t
ngx_http_upstream_health_shm_hash_probe(
    ngx_http_upstream_health_shm_hash_t *h, uint32_t number, uint32_t from,
    ngx_http_upstream_health_shm_search_t *search)
{
    uint64_t                               distance;
    ngx_uint_t                             i, left;
    ngx_http_upstream_health_shm_ring_t   *ring;
    ngx_http_upstream_health_shm_point_t  *point;

    ring = &h->rings[number];

    i = ring->index[(uint64_t) from >> ring->shift];

    while (i < ring->n && ring->points[i].at < from) {
        i++;
    }

    for (left = ring->n; left; left--, i++) {

        if (i == ring->n) {
            i = 0;
        }

        point = &ring->points[i];

        distance = (uint64_t) (uint32_t) (point->at - from)
                   << (NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS - 1 - number);

        if (distance >= search->distance) {
            return NGX_OK;
        }

        if (ngx_http_upstream_health_shm_hash_takes(h, point->host, search)) {
            search->distance = distance;
            search->host = point->host;
            return NGX_OK;
        }

        if (search->steps == 0) {
            break;
        }

        search->steps--;
    }

    return NGX_DECLINED;
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
