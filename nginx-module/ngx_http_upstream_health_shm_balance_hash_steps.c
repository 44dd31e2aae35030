/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The steps of hash to its first pick: hosts are told apart by name, and the
 * points of each are put on the circle of its weight.
 *
 * With 100 000 hosts there are millions of points, so they are counted, placed
 * and sorted part of the circle by part, some at a time.
 */


#include "ngx_http_upstream_health_shm_balance_hash.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_PIECE   64    /* slots of a ring */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_TRIES   64    /* places for a name */


static void ngx_http_upstream_health_shm_hash_identify(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to);
static uint64_t ngx_http_upstream_health_shm_hash_id(
    ngx_http_upstream_health_shm_hash_t *h, ngx_str_t *name);
static ngx_uint_t ngx_http_upstream_health_shm_hash_slots(
    ngx_http_upstream_health_shm_balance_t *b);
static void ngx_http_upstream_health_shm_hash_clear(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to);
static ngx_uint_t ngx_http_upstream_health_shm_hash_lots(
    ngx_http_upstream_health_shm_balance_t *b);
static void ngx_http_upstream_health_shm_hash_count(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to);
static void ngx_http_upstream_health_shm_hash_settle(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to);
static void ngx_http_upstream_health_shm_hash_place(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to);
static void ngx_http_upstream_health_shm_hash_sort(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to);


ngx_http_upstream_health_shm_step_t
    ngx_http_upstream_health_shm_hash_steps[] =
{
    { ngx_http_upstream_health_shm_balance_hosts,
      ngx_http_upstream_health_shm_hash_identify },
    { ngx_http_upstream_health_shm_hash_slots,
      ngx_http_upstream_health_shm_hash_clear },
    { ngx_http_upstream_health_shm_hash_lots,
      ngx_http_upstream_health_shm_hash_count },
    { ngx_http_upstream_health_shm_hash_slots,
      ngx_http_upstream_health_shm_hash_settle },
    { ngx_http_upstream_health_shm_hash_lots,
      ngx_http_upstream_health_shm_hash_place },
    { ngx_http_upstream_health_shm_balance_hosts,
      ngx_http_upstream_health_shm_hash_sort },
    { NULL, NULL }
};


/* somewhere in the part of the circle with this number */

static ngx_inline uint32_t
ngx_http_upstream_health_shm_hash_point(uint64_t id, uint64_t number)
{
    uint64_t  at;

    at = ngx_http_upstream_health_shm_mix(id + (number << 32)) >> 32;

    return ((number << 32) + at) / NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS;
}


static ngx_inline ngx_uint_t
ngx_http_upstream_health_shm_hash_pieces(
    ngx_http_upstream_health_shm_ring_t *ring)
{
    return ring->n ? (ngx_http_upstream_health_shm_ring_slots(ring)
                      + NGX_HTTP_UPSTREAM_HEALTH_SHM_PIECE - 1)
                     / NGX_HTTP_UPSTREAM_HEALTH_SHM_PIECE
                   : 0;
}


ngx_http_upstream_health_shm_balance_t *
ngx_http_upstream_health_shm_hash_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_plan_t *plan)
{
    uint32_t                                ring;
    ngx_uint_t                              i;
    ngx_http_upstream_health_shm_hash_t    *h;
    ngx_http_upstream_health_shm_circle_t  *circle;

    h = ngx_pcalloc(pool, sizeof(ngx_http_upstream_health_shm_hash_t));
    if (h == NULL) {
        return NULL;
    }

    h->n = plan->n;
    h->places = 2;

    while (h->places < 2 * plan->n) {
        h->places *= 2;
    }

    h->hosts = ngx_palloc(pool, plan->n
                           * sizeof(ngx_http_upstream_health_shm_hash_host_t));
    h->names = ngx_pcalloc(pool, h->places
                               * sizeof(ngx_http_upstream_health_shm_name_t));

    if (h->hosts == NULL || h->names == NULL) {
        return NULL;
    }

    for (i = 0; i < plan->n; i++) {

        for (ring = 0;
             ring < NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS - 1
             && plan->configured[i] > (uint32_t) 1 << ring;
             ring++)
        {
            /* void */
        }

        h->hosts[i].ring = ring;
        h->circles[ring].ring.n += NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS;
    }

    for (ring = 0; ring < NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS; ring++) {
        circle = &h->circles[ring];
        circle->least = NGX_HTTP_UPSTREAM_HEALTH_SHM_CLASSES;

        if (circle->ring.n
            && ngx_http_upstream_health_shm_ring_create(pool, &circle->ring)
               != NGX_OK)
        {
            return NULL;
        }
    }

    return &h->balance;
}


/* The steps to the first pick: who the hosts are and what they weigh, .. */

static void
ngx_http_upstream_health_shm_hash_identify(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_upstream_health_shm_hash_t *h =
                                      (ngx_http_upstream_health_shm_hash_t *) b;

    ngx_uint_t  i;

    for (i = from; i < to; i++) {
        h->hosts[i].id = ngx_http_upstream_health_shm_hash_id(h,
                                                          &b->plan.names[i]);
        h->hosts[i].weight = 0;

        ngx_http_upstream_health_shm_hash_weigh(b, i,
                 b->plan.weights[i] & NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_WEIGHT);
    }
}


/* hosts of one name are told apart by their order */

static uint64_t
ngx_http_upstream_health_shm_hash_id(ngx_http_upstream_health_shm_hash_t *h,
    ngx_str_t *name)
{
    size_t                                n;
    uint64_t                              id;
    ngx_uint_t                            i;
    ngx_http_upstream_health_shm_name_t  *place;

    id = 0xcbf29ce484222325;  /* FNV-1a */

    for (n = 0; n < name->len; n++) {
        id = (id ^ name->data[n]) * 0x100000001b3;
    }

    id = ngx_http_upstream_health_shm_mix(id);

    /* many whose places are taken were made so by somebody */

    for (i = 0; i < NGX_HTTP_UPSTREAM_HEALTH_SHM_TRIES; i++) {
        place = &h->names[(id + i) & (h->places - 1)];

        if (place->hosts == 0) {
            place->id = id;
            place->hosts = 1;
            break;
        }

        if (place->id == id) {
            return ngx_http_upstream_health_shm_mix(id + place->hosts++);
        }
    }

    return id;
}


/* .. then the rings', 64 slots or as many points as a host has at a time. */

static ngx_uint_t
ngx_http_upstream_health_shm_hash_slots(
    ngx_http_upstream_health_shm_balance_t *b)
{
    ngx_http_upstream_health_shm_hash_t *h =
                                      (ngx_http_upstream_health_shm_hash_t *) b;

    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS; i++) {
        n += ngx_http_upstream_health_shm_hash_pieces(&h->circles[i].ring);
    }

    return n;
}


static void
ngx_http_upstream_health_shm_hash_each_slot(
    ngx_http_upstream_health_shm_hash_t *h, ngx_uint_t from, ngx_uint_t to,
    void (*run)(ngx_http_upstream_health_shm_ring_t *ring, uint32_t from,
    uint32_t to))
{
    ngx_uint_t                            i, n, slots;
    ngx_http_upstream_health_shm_ring_t  *ring;

    for (i = 0; i < NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS; i++) {
        ring = &h->circles[i].ring;
        n = ngx_http_upstream_health_shm_hash_pieces(ring);

        if (from < n && to) {
            slots = ngx_http_upstream_health_shm_ring_slots(ring);

            run(ring, from * NGX_HTTP_UPSTREAM_HEALTH_SHM_PIECE,
                ngx_min(to * NGX_HTTP_UPSTREAM_HEALTH_SHM_PIECE, slots));
        }

        from -= ngx_min(from, n);
        to -= ngx_min(to, n);
    }
}


static void
ngx_http_upstream_health_shm_hash_clear(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_upstream_health_shm_hash_each_slot(
                                     (ngx_http_upstream_health_shm_hash_t *) b,
                                     from, to,
                                     ngx_http_upstream_health_shm_ring_clear);
}


/*
 * One part of the circle after the other, as what is needed at a time should
 * fit into a processor's cache: first all lots of hosts for the first part.
 */

static ngx_uint_t
ngx_http_upstream_health_shm_hash_lots(
    ngx_http_upstream_health_shm_balance_t *b)
{
    return NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS
           * ((b->plan.n + NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS - 1)
              / NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS);
}


/* the number of the part, and which hosts */

static uint32_t
ngx_http_upstream_health_shm_hash_lot(ngx_http_upstream_health_shm_hash_t *h,
    ngx_uint_t unit, ngx_uint_t *first, ngx_uint_t *end)
{
    ngx_uint_t  lots;

    lots = (h->n + NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS - 1)
           / NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS;

    *first = unit % lots * NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS;
    *end = ngx_min(*first + NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS, h->n);

    return unit / lots;
}


static ngx_inline void
ngx_http_upstream_health_shm_hash_each_point(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to,
    ngx_uint_t place)
{
    ngx_http_upstream_health_shm_hash_t *h =
                                      (ngx_http_upstream_health_shm_hash_t *) b;

    uint32_t                                   n, at;
    ngx_uint_t                                 i, end;
    ngx_http_upstream_health_shm_ring_t       *ring;
    ngx_http_upstream_health_shm_hash_host_t  *host;

    for ( /* void */ ; from < to; from++) {
        n = ngx_http_upstream_health_shm_hash_lot(h, from, &i, &end);

        for ( /* void */ ; i < end; i++) {
            host = &h->hosts[i];
            ring = &h->circles[host->ring].ring;
            at = ngx_http_upstream_health_shm_hash_point(host->id, n);

            if (place) {
                ngx_http_upstream_health_shm_ring_place(ring, at, i);

            } else {
                ngx_http_upstream_health_shm_ring_count(ring, at);
            }
        }
    }
}


static void
ngx_http_upstream_health_shm_hash_count(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_upstream_health_shm_hash_each_point(b, from, to, 0);
}


static void
ngx_http_upstream_health_shm_hash_settle(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_upstream_health_shm_hash_each_slot(
                                     (ngx_http_upstream_health_shm_hash_t *) b,
                                     from, to,
                                     ngx_http_upstream_health_shm_ring_settle);
}


static void
ngx_http_upstream_health_shm_hash_place(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_upstream_health_shm_hash_each_point(b, from, to, 1);
}


static void
ngx_http_upstream_health_shm_hash_sort(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_upstream_health_shm_hash_t *h =
                                      (ngx_http_upstream_health_shm_hash_t *) b;

    ngx_uint_t                            i, n;
    ngx_http_upstream_health_shm_ring_t  *ring;

    /* a ring has the points of so many hosts */

    for (i = 0; i < NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS; i++) {
        ring = &h->circles[i].ring;
        n = ring->n / NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS;

        if (from < n && to) {
            ngx_http_upstream_health_shm_ring_sort(ring,
                           from * NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS,
                           ngx_min(to, n)
                           * NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS);
        }

        from -= ngx_min(from, n);
        to -= ngx_min(to, n);
    }
}
