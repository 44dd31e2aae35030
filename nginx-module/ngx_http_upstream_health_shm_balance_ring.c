/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Rings are sorted by distribution: counting tells where the points of a slot,
 * those with the same upper bits, begin.  A slot has one or two of them, so
 * that the rest is a matter of few swaps, and a place is found without a
 * search.
 */


#include "ngx_http_upstream_health_shm_balance_ring.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_PIECE  ((size_t) 4 << 20)


ngx_int_t
ngx_http_upstream_health_shm_ring_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_ring_t *ring)
{
    /* as many slots as there are points, or half of that */

    ring->shift = 32;

    while (ngx_http_upstream_health_shm_ring_slots(ring) <= ring->n / 2) {
        ring->shift--;
    }

    ring->points = ngx_palloc(pool, ring->n
                              * sizeof(ngx_http_upstream_health_shm_point_t));
    ring->index = ngx_palloc(pool, sizeof(uint32_t)
                             * ngx_http_upstream_health_shm_ring_slots(ring));

    return (ring->points && ring->index) ? NGX_OK : NGX_ERROR;
}


void
ngx_http_upstream_health_shm_ring_clear(
    ngx_http_upstream_health_shm_ring_t *ring, uint32_t from, uint32_t to)
{
    ngx_memzero(&ring->index[from], (to - from) * sizeof(uint32_t));
}


/* The points of a slot lie together, those of lower slots before them. */

void
ngx_http_upstream_health_shm_ring_settle(
    ngx_http_upstream_health_shm_ring_t *ring, uint32_t from, uint32_t to)
{
    uint32_t  i;

    for (i = ngx_max(from, 1); i < to; i++) {
        ring->index[i] += ring->index[i - 1];
    }
}


/* by insertion: a point is in its slot already */

void
ngx_http_upstream_health_shm_ring_sort(
    ngx_http_upstream_health_shm_ring_t *ring, uint32_t from, uint32_t to)
{
    uint32_t                              i;
    ngx_http_upstream_health_shm_point_t  point;

    for ( /* void */ ; from < to; from++) {
        point = ring->points[from];

        for (i = from; i && ring->points[i - 1].at > point.at; i--) {
            ring->points[i] = ring->points[i - 1];
        }

        ring->points[i] = point;
    }
}


/* The points, then the index: what is left, below a piece of each, is fast. */

ngx_int_t
ngx_http_upstream_health_shm_ring_shed(
    ngx_http_upstream_health_shm_ring_t *ring)
{
    size_t   size, at;
    u_char  *p;

    size = ring->n * sizeof(ngx_http_upstream_health_shm_point_t);
    size -= size % NGX_HTTP_UPSTREAM_HEALTH_SHM_PIECE;

    p = (u_char *) ring->points;
    at = ring->shed;

    if (at >= size) {
        at -= size;

        size = ring->n ? ngx_http_upstream_health_shm_ring_slots(ring)
                         * sizeof(uint32_t)
                       : 0;
        size -= size % NGX_HTTP_UPSTREAM_HEALTH_SHM_PIECE;

        p = (u_char *) ring->index;
    }

    if (at >= size) {
        return NGX_OK;
    }

    p = ngx_align_ptr(p + at, ngx_pagesize);

    (void) madvise(p, NGX_HTTP_UPSTREAM_HEALTH_SHM_PIECE - ngx_pagesize,
                   MADV_DONTNEED);

    ring->shed += NGX_HTTP_UPSTREAM_HEALTH_SHM_PIECE;

    return NGX_AGAIN;
}
