/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the balance methods have in common; for them and for balance.c only.
 *
 * A method's own structure begins with ngx_http_upstream_health_shm_balance_t.
 * Hosts that refused a request are put aside until it has one that did not.
 * After NGX_HTTP_UPSTREAM_HEALTH_SHM_ASIDE of them the rest is looked at in
 * one pass: what is O(log n) for each host is dearer than O(n) by then.
 */


#ifndef _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_METHOD_H_INCLUDED_
#define _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_METHOD_H_INCLUDED_


#include "ngx_http_upstream_health_shm_balance.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_ASIDE       16
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_WEIGHT  0xffffff


/* the arguments of create, and what several methods need of them */

typedef struct {
    ngx_uint_t   n;
    ngx_str_t   *names;
    uint32_t    *weights;
    uint32_t    *configured;
    uint32_t     seed;

    uint64_t     total;       /* of the weights */
    uint64_t     start;       /* below total: at whose weight to begin */
} ngx_http_upstream_health_shm_tier_t;


typedef struct {
    ngx_http_upstream_health_shm_balance_t *(*create)(ngx_pool_t *pool,
        ngx_http_upstream_health_shm_tier_t *tier);

    /* NULL: ready when it is created */
    ngx_int_t (*prepare)(ngx_http_upstream_health_shm_balance_t *b,
        ngx_uint_t *work);

    void (*weigh)(ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i,
        uint32_t weight);
    ngx_uint_t (*pick)(ngx_http_upstream_health_shm_balance_t *b, uint32_t key,
        ngx_http_upstream_health_shm_usable_pt usable, void *data);

    /* NULL: connections do not matter */
    void (*use)(ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i);
    void (*done)(ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i);
} ngx_http_upstream_health_shm_method_t;


struct ngx_http_upstream_health_shm_balance_s {
    ngx_http_upstream_health_shm_method_t  *method;
};


extern ngx_http_upstream_health_shm_method_t
    ngx_http_upstream_health_shm_turns_method;
extern ngx_http_upstream_health_shm_method_t
    ngx_http_upstream_health_shm_least_method;
extern ngx_http_upstream_health_shm_method_t
    ngx_http_upstream_health_shm_random_method;
extern ngx_http_upstream_health_shm_method_t
    ngx_http_upstream_health_shm_hash_method;


/* splitmix64's finaliser: every bit of x moves every bit of the result */

static ngx_inline uint64_t
ngx_http_upstream_health_shm_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;

    return x ^ (x >> 31);
}


/*
 * How much of its turn, in parts of `unit` below 65536, the host whose weight
 * begins at `before` has to wait when the tier starts: hosts of one weight come
 * one after the other, in their order.
 */

static ngx_inline uint32_t
ngx_http_upstream_health_shm_phase(ngx_http_upstream_health_shm_tier_t *tier,
    uint64_t before, uint32_t unit)
{
    if (before < tier->start) {
        before += tier->total;
    }

    return (uint32_t) ((before - tier->start) * unit / tier->total);
}


#endif /* _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_METHOD_H_INCLUDED_ */
