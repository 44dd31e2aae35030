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
    ngx_http_upstream_health_shm_plan_t      plan;
    ngx_http_upstream_health_shm_balance_t  *b;

    plan.n = n;
    plan.names = names;
    plan.weights = weights;
    plan.configured = configured;
    plan.seed = seed;
    plan.total = 0;
    plan.start = 0;

    for (i = 0; i < n; i++) {
        plan.total += weights[i] & NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_WEIGHT;
    }

    if (plan.total) {
        plan.start = ngx_http_upstream_health_shm_mix(seed) % plan.total;
    }

    if (method >= HEALTH_BALANCE_COUNT) {
        method = HEALTH_ROUND_ROBIN;
    }

    b = ngx_http_upstream_health_shm_methods[method]->create(pool, &plan);

    if (b) {
        b->method = ngx_http_upstream_health_shm_methods[method];
        b->plan = plan;
        b->step = b->method->steps;
        b->unit = 0;
    }

    return b;
}


ngx_int_t
ngx_http_upstream_health_shm_balance_prepare(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t *work)
{
    ngx_uint_t  n, units;

    for ( /* void */ ; b->step->units; b->step++) {
        units = b->step->units(b);
        n = ngx_min(*work, units - b->unit);

        b->step->run(b, b->unit, b->unit + n);

        *work -= n;
        b->unit += n;

        if (b->unit < units) {
            return NGX_AGAIN;
        }

        b->unit = 0;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_upstream_health_shm_balance_shed(
    ngx_http_upstream_health_shm_balance_t *b)
{
    return b->method->shed ? b->method->shed(b) : NGX_OK;
}


ngx_uint_t
ngx_http_upstream_health_shm_balance_hosts(
    ngx_http_upstream_health_shm_balance_t *b)
{
    return b->plan.n;
}


void
ngx_http_upstream_health_shm_balance_weigh(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight)
{
    b->method->weigh(b, i, weight & NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_WEIGHT);
}


void
ngx_http_upstream_health_shm_balance_many(
    ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t more)
{
    if (b->method->many) {
        b->method->many(b, more);
    }
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
