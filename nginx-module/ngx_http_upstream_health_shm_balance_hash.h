/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What hash knows of its hosts; for balance_hash.c, which picks and says what
 * the words mean, and balance_hash_steps.c, which prepares that, only.
 */


#ifndef _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_HASH_H_INCLUDED_
#define _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_HASH_H_INCLUDED_


#include "ngx_http_upstream_health_shm_balance_method.h"
#include "ngx_http_upstream_health_shm_balance_ring.h"


#pragma GCC visibility push(hidden)


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS   17    /* weights to 1, 2, .. 64K */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_POINTS  48

/* stretches are 2^8, which is 1, to 2^32 */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_ONE      8
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_CLASSES  25


typedef struct {
    ngx_http_upstream_health_shm_ring_t        ring;

    /* hosts that are not out, by the power of two below their stretch */
    uint32_t                                   live
                                        [NGX_HTTP_UPSTREAM_HEALTH_SHM_CLASSES];
    uint32_t                                   least;   /* power, of them all */
} ngx_http_upstream_health_shm_circle_t;


typedef struct {
    uint64_t                                   id;      /* of the name */
    uint32_t                                   weight;
    uint32_t                                   ring;
    uint64_t                                   stretch; /* in 1/256 */
} ngx_http_upstream_health_shm_hash_host_t;


typedef struct {
    uint64_t                                   id;
    uint32_t                                   hosts;   /* of it; 0: free */
} ngx_http_upstream_health_shm_name_t;


typedef struct {
    ngx_http_upstream_health_shm_balance_t     balance;
    uint32_t                                   n;
    ngx_http_upstream_health_shm_hash_host_t  *hosts;

    /* while it is prepared: hosts by their names, a power of two places */
    ngx_http_upstream_health_shm_name_t       *names;
    uint32_t                                   places;

    ngx_http_upstream_health_shm_circle_t
        circles[NGX_HTTP_UPSTREAM_HEALTH_SHM_RINGS];
} ngx_http_upstream_health_shm_hash_t;


extern ngx_http_upstream_health_shm_step_t
    ngx_http_upstream_health_shm_hash_steps[];

ngx_http_upstream_health_shm_balance_t *
    ngx_http_upstream_health_shm_hash_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_plan_t *plan);

void ngx_http_upstream_health_shm_hash_weigh(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight);


#pragma GCC visibility pop


#endif /* _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_HASH_H_INCLUDED_ */
