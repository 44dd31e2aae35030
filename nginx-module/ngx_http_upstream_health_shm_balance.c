/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Balance: the table of methods.  The decisions are theirs.
 */


#include "ngx_http_upstream_health_shm_balance_method.h"


static ngx_http_upstream_health_shm_method_t
    *ngx_http_upstream_health_shm_methods[HEALTH_BALANCE_COUNT] =
{
    &ngx_http_upstream_health_shm_turns_method,
    &ngx_http_upstream_health_shm_least_method,
    &ngx_http_upstream_health_shm_random_method,
    &ngx_http_upstream_health_shm_hash_method
};


ngx_http_upstream_health_shm_balance_t *
ngx_http_upstream_health_shm_balance_create(ngx_pool_t *pool,
    ngx_uint_t method, ngx_uint_t n, ngx_str_t *names, uint32_t *weights,
    uint32_t *configured, uint32_t seed)
{
    ngx_uint_t                               i;
    ngx_http_upstream_health_shm_tier_t      tier;
    ngx_http_upstream_health_shm_balance_t  *b;

    tier.n = n;
    tier.names = names;
    tier.weights = weights;
    tier.configured = configured;
    tier.seed = seed;
    tier.total = 0;
    tier.start = 0;

    for (i = 0; i < n; i++) {
        tier.total += weights[i] & NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_WEIGHT;
    }

    if (tier.total) {
        tier.start = ngx_http_upstream_health_shm_mix(seed) % tier.total;
    }

    if (method >= HEALTH_BALANCE_COUNT) {
        method = HEALTH_ROUND_ROBIN;
    }

    b = ngx_http_upstream_health_shm_methods[method]->create(pool, &tier);

    if (b) {
        b->method = ngx_http_upstream_health_shm_methods[method];
    }

    return b;
}


ngx_int_t
ngx_http_upstream_health_shm_balance_prepare(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t *work)
{
    return b->method->prepare ? b->method->prepare(b, work) : NGX_OK;
}


void
ngx_http_upstream_health_shm_balance_weigh(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight)
{
    b->method->weigh(b, i, weight & NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_WEIGHT);
}


ngx_uint_t
ngx_http_upstream_health_shm_balance_pick(
    ngx_http_upstream_health_shm_balance_t *b, uint32_t key,
    ngx_http_upstream_health_shm_usable_pt usable, void *data)
{
    return b->method->pick(b, key, usable, data);
}


void
ngx_http_upstream_health_shm_balance_use(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i)
{
    if (b->method->use) {
        b->method->use(b, i);
    }
}


void
ngx_http_upstream_health_shm_balance_done(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i)
{
    if (b->method->done) {
        b->method->done(b, i);
    }
}
