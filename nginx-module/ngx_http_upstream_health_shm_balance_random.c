/* SPDX-License-Identifier: BSD-2-Clause
 *
 * random: two hosts drawn by weight; the one with fewer connections for its
 * weight takes the request, the first drawn if they are equal.
 *
 * A Fenwick tree of the weights: element k is the sum of as many weights,
 * ending with host k - 1, as the lowest bit of k says.  A draw walks down the
 * powers of two.  A host that was drawn is taken out until the pick is made,
 * so that the second is another one.  An alias table would draw in O(1), but
 * would have to be made anew for each change of a weight.
 */


#include "ngx_http_upstream_health_shm_balance_method.h"


typedef struct {
    ngx_http_upstream_health_shm_balance_t   balance;
    uint64_t                                 state;   /* of the generator */
    uint64_t                                 total;   /* of what is in tree */
    uint32_t                                 n;
    uint32_t                                 top;     /* a power of two */
    uint64_t                                *tree;    /* 1 to n */
    uint32_t                                *weights;
    uint32_t                                *conns;
} ngx_http_upstream_health_shm_random_t;


static ngx_http_upstream_health_shm_balance_t *
    ngx_http_upstream_health_shm_random_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_plan_t *plan);
static void ngx_http_upstream_health_shm_random_sum(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to);
static void ngx_http_upstream_health_shm_random_weigh(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight);
static ngx_uint_t ngx_http_upstream_health_shm_random_pick(
    ngx_http_upstream_health_shm_balance_t *b, uint32_t key,
    ngx_http_upstream_health_shm_usable_pt usable, void *data);
static ngx_uint_t ngx_http_upstream_health_shm_random_scan(
    ngx_http_upstream_health_shm_random_t *r, uint32_t *aside,
    ngx_uint_t naside, ngx_http_upstream_health_shm_usable_pt usable,
    void *data);
static uint64_t ngx_http_upstream_health_shm_random_below(
    ngx_http_upstream_health_shm_random_t *r, uint64_t limit);
static ngx_uint_t ngx_http_upstream_health_shm_random_draw(
    ngx_http_upstream_health_shm_random_t *r);
static void ngx_http_upstream_health_shm_random_add(
    ngx_http_upstream_health_shm_random_t *r, ngx_uint_t i, int64_t weight);
static void ngx_http_upstream_health_shm_random_use(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i);
static void ngx_http_upstream_health_shm_random_done(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i);


static ngx_http_upstream_health_shm_step_t
    ngx_http_upstream_health_shm_random_steps[] =
{
    { ngx_http_upstream_health_shm_balance_hosts,
      ngx_http_upstream_health_shm_random_sum },
    { NULL, NULL }
};


ngx_http_upstream_health_shm_method_t
    ngx_http_upstream_health_shm_random_method =
{
    ngx_http_upstream_health_shm_random_create,
    ngx_http_upstream_health_shm_random_steps,
    ngx_http_upstream_health_shm_random_weigh,
    NULL,
    ngx_http_upstream_health_shm_random_pick,
    ngx_http_upstream_health_shm_random_use,
    ngx_http_upstream_health_shm_random_done,
    NULL
};


static ngx_http_upstream_health_shm_balance_t *
ngx_http_upstream_health_shm_random_create(ngx_pool_t *pool,
    ngx_http_upstream_health_shm_plan_t *plan)
{
    ngx_http_upstream_health_shm_random_t  *r;

    r = ngx_pcalloc(pool, sizeof(ngx_http_upstream_health_shm_random_t));
    if (r == NULL) {
        return NULL;
    }

    r->state = ngx_http_upstream_health_shm_mix(plan->seed);
    r->n = plan->n;
    r->top = 1;

    while (r->top <= plan->n / 2) {
        r->top *= 2;
    }

    r->tree = ngx_pcalloc(pool, (plan->n + 1) * sizeof(uint64_t));
    r->weights = ngx_palloc(pool, plan->n * sizeof(uint32_t));
    r->conns = ngx_pcalloc(pool, plan->n * sizeof(uint32_t));

    if (r->tree == NULL || r->weights == NULL || r->conns == NULL) {
        return NULL;
    }

    return &r->balance;
}


/* an element is complete when all before it are, and then part of one after */

static void
ngx_http_upstream_health_shm_random_sum(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_upstream_health_shm_random_t *r =
                                    (ngx_http_upstream_health_shm_random_t *) b;

    uint32_t    weight;
    ngx_uint_t  i, k, next;

    for (i = from; i < to; i++) {
        weight = b->plan.weights[i] & NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_WEIGHT;

        r->weights[i] = weight;
        r->total += weight;

        k = i + 1;
        next = k + (k & -k);

        r->tree[k] += weight;

        if (next <= r->n) {
            r->tree[next] += r->tree[k];
        }
    }
}


static void
ngx_http_upstream_health_shm_random_weigh(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight)
{
    ngx_http_upstream_health_shm_random_t *r =
                                    (ngx_http_upstream_health_shm_random_t *) b;

    ngx_http_upstream_health_shm_random_add(r, i,
                                        (int64_t) weight - r->weights[i]);
    r->weights[i] = weight;
}


static ngx_uint_t
ngx_http_upstream_health_shm_random_pick(
    ngx_http_upstream_health_shm_balance_t *b, uint32_t key,
    ngx_http_upstream_health_shm_usable_pt usable, void *data)
{
    ngx_http_upstream_health_shm_random_t *r =
                                    (ngx_http_upstream_health_shm_random_t *) b;

    uint32_t    aside[NGX_HTTP_UPSTREAM_HEALTH_SHM_ASIDE];
    ngx_uint_t  n, i, host;

    host = NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE;
    n = 0;

    while (r->total && n < NGX_HTTP_UPSTREAM_HEALTH_SHM_ASIDE) {

        i = ngx_http_upstream_health_shm_random_draw(r);

        aside[n++] = i;
        ngx_http_upstream_health_shm_random_add(r, i,
                                                -(int64_t) r->weights[i]);

        if (usable && !usable(data, i)) {
            continue;
        }

        if (host == NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE) {
            host = i;
            continue;
        }

        if ((uint64_t) r->conns[i] * r->weights[host]
            < (uint64_t) r->conns[host] * r->weights[i])
        {
            host = i;
        }

        break;
    }

    if (host == NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE && r->total) {
        host = ngx_http_upstream_health_shm_random_scan(r, aside, n,
                                                        usable, data);
    }

    while (n--) {
        ngx_http_upstream_health_shm_random_add(r, aside[n],
                                                r->weights[aside[n]]);
    }

    return host;
}


/* one of all those that are usable, by weight, in one pass */

static ngx_uint_t
ngx_http_upstream_health_shm_random_scan(
    ngx_http_upstream_health_shm_random_t *r, uint32_t *aside,
    ngx_uint_t naside, ngx_http_upstream_health_shm_usable_pt usable,
    void *data)
{
    uint64_t    total;
    ngx_uint_t  i, n, host;

    host = NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE;
    total = 0;

    for (i = 0; i < r->n; i++) {

        if (r->weights[i] == 0) {
            continue;
        }

        for (n = 0; n < naside && aside[n] != i; n++) { /* void */ }

        if (n < naside || (usable && !usable(data, i))) {
            continue;
        }

        total += r->weights[i];

        if (ngx_http_upstream_health_shm_random_below(r, total)
            < r->weights[i])
        {
            host = i;
        }
    }

    return host;
}


static uint64_t
ngx_http_upstream_health_shm_random_below(
    ngx_http_upstream_health_shm_random_t *r, uint64_t limit)
{
    return ngx_http_upstream_health_shm_mix(r->state++) % limit;
}


static ngx_uint_t
ngx_http_upstream_health_shm_random_draw(
    ngx_http_upstream_health_shm_random_t *r)
{
    uint64_t    left;
    ngx_uint_t  at, step;

    left = ngx_http_upstream_health_shm_random_below(r, r->total);
    at = 0;

    for (step = r->top; step; step /= 2) {

        if (at + step <= r->n && r->tree[at + step] <= left) {
            at += step;
            left -= r->tree[at];
        }
    }

    return at;
}


static void
ngx_http_upstream_health_shm_random_add(
    ngx_http_upstream_health_shm_random_t *r, ngx_uint_t i, int64_t weight)
{
    r->total += weight;

    for (i++; i <= r->n; i += i & -i) {
        r->tree[i] += weight;
    }
}


static void
ngx_http_upstream_health_shm_random_use(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i)
{
    ((ngx_http_upstream_health_shm_random_t *) b)->conns[i]++;
}


static void
ngx_http_upstream_health_shm_random_done(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i)
{
    ((ngx_http_upstream_health_shm_random_t *) b)->conns[i]--;
}
