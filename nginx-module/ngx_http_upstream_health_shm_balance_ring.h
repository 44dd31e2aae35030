/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A ring: points on a circle, each of a host, in order.
 *
 * It is made in steps, so that many points need not be dealt with at once:
 * set n, create, clear all slots, count all points, settle all slots, place all
 * points, sort them all.
 */


#ifndef _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_RING_H_INCLUDED_
#define _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_RING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#pragma GCC visibility push(hidden)


typedef struct {
    uint32_t                               at;       /* on the circle */
    uint32_t                               host;
} ngx_http_upstream_health_shm_point_t;


typedef struct {
    ngx_http_upstream_health_shm_point_t  *points;   /* in order */
    uint32_t                              *index;    /* by upper bits */
    uint32_t                               n;
    uint32_t                               shift;    /* at to index */
    size_t                                 shed;     /* bytes */
} ngx_http_upstream_health_shm_ring_t;


/* the memory for ring->n points */
ngx_int_t ngx_http_upstream_health_shm_ring_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_ring_t *ring);

static ngx_inline uint32_t
ngx_http_upstream_health_shm_ring_slots(
    ngx_http_upstream_health_shm_ring_t *ring)
{
    return (uint64_t) 1 << (32 - ring->shift);
}

void ngx_http_upstream_health_shm_ring_clear(
    ngx_http_upstream_health_shm_ring_t *ring, uint32_t from, uint32_t to);

/* there will be a point in the slot of this place */
static ngx_inline void
ngx_http_upstream_health_shm_ring_count(
    ngx_http_upstream_health_shm_ring_t *ring, uint32_t at)
{
    ring->index[(uint64_t) at >> ring->shift]++;
}

/* slots, in their order */
void ngx_http_upstream_health_shm_ring_settle(
    ngx_http_upstream_health_shm_ring_t *ring, uint32_t from, uint32_t to);

static ngx_inline void
ngx_http_upstream_health_shm_ring_place(
    ngx_http_upstream_health_shm_ring_t *ring, uint32_t at, uint32_t host)
{
    ngx_http_upstream_health_shm_point_t  *point;

    point = &ring->points[--ring->index[(uint64_t) at >> ring->shift]];

    point->at = at;
    point->host = host;
}

/* points, in their order */
void ngx_http_upstream_health_shm_ring_sort(
    ngx_http_upstream_health_shm_ring_t *ring, uint32_t from, uint32_t to);

/* at the end: returns a piece of a large ring's memory to the system, which
 * otherwise takes long when all of it is freed at once; NGX_AGAIN: there is
 * more.  The ring is of no use any more. */
ngx_int_t ngx_http_upstream_health_shm_ring_shed(
    ngx_http_upstream_health_shm_ring_t *ring);

/* the first point from here on; ring->n: none before the circle ends */
static ngx_inline ngx_uint_t
ngx_http_upstream_health_shm_ring_first(
    ngx_http_upstream_health_shm_ring_t *ring, uint32_t from)
{
    ngx_uint_t  i;

    i = ring->index[(uint64_t) from >> ring->shift];

    while (i < ring->n && ring->points[i].at < from) {
        i++;
    }

    return i;
}


#pragma GCC visibility pop


#endif /* _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_RING_H_INCLUDED_ */
