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


#pragma GCC visibility push(hidden)


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_ASIDE       16
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_WEIGHT  0xffffff


/* the arguments of create, and what several methods need of them; the arrays
 * are the caller's until all is prepared */

typedef struct {
    ngx_uint_t   n;
    ngx_str_t   *names;
    uint32_t    *weights;
    uint32_t    *configured;
    uint32_t     seed;

    uint64_t     total;       /* of the weights */
    uint64_t     start;       /* below total: at whose weight to begin */
} ngx_http_upstream_health_shm_plan_t;


/* what is done once for each of so many units, some of them at a time */

typedef struct {
    ngx_uint_t (*units)(ngx_http_upstream_health_shm_balance_t *b);
    void (*run)(ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from,
        ngx_uint_t to);
} ngx_http_upstream_health_shm_step_t;


typedef struct {
    /* takes all memory; what takes long is for the steps */
    ngx_http_upstream_health_shm_balance_t *(*create)(ngx_pool_t *pool,
        ngx_http_upstream_health_shm_plan_t *plan);

    /* in this order; the last has no units */
    ngx_http_upstream_health_shm_step_t *steps;

    void (*weigh)(ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i,
        uint32_t weight);

    /* NULL: weights are as dear one by one */
    void (*many)(ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t more);

    ngx_uint_t (*pick)(ngx_http_upstream_health_shm_balance_t *b, uint32_t key,
        ngx_http_upstream_health_shm_usable_pt usable, void *data);

    /* NULL: connections do not matter */
    void (*use)(ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i);
    void (*done)(ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i);

    /* NULL: has little memory */
    ngx_int_t (*shed)(ngx_http_upstream_health_shm_balance_t *b);
} ngx_http_upstream_health_shm_method_t;


struct ngx_http_upstream_health_shm_balance_s {
    ngx_http_upstream_health_shm_method_t  *method;

    /* while it is prepared */
    ngx_http_upstream_health_shm_plan_t     plan;
    ngx_http_upstream_health_shm_step_t    *step;
    ngx_uint_t                              unit;
};


/* a step that has a unit for each host */
ngx_uint_t ngx_http_upstream_health_shm_balance_hosts(
    ngx_http_upstream_health_shm_balance_t *b);


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
ngx_http_upstream_health_shm_phase(ngx_http_upstream_health_shm_plan_t *plan,
    uint64_t before, uint32_t unit)
{
    if (before < plan->start) {
        before += plan->total;
    }

    return (uint32_t) ((before - plan->start) * unit / plan->total);
}


#pragma GCC visibility pop


#endif /* _NGX_HTTP_UPSTREAM_HEALTH_SHM_BALANCE_METHOD_H_INCLUDED_ */
