/* throw-away */
#include "ngx_http_upstream_health_shm_balance.h"
struct ngx_http_upstream_health_shm_balance_s { ngx_uint_t method, n; ngx_int_t *cur; uint32_t *w; ngx_uint_t *act;};
ngx_http_upstream_health_shm_balance_t *
ngx_http_upstream_health_shm_balance_create(ngx_pool_t *pool, ngx_uint_t method, ngx_uint_t n, ngx_str_t *names, uint32_t *weights, uint32_t *configured, uint32_t seed)
{
    ngx_http_upstream_health_shm_balance_t *b = ngx_pcalloc(pool, sizeof(*b));
    if (!b) return NULL;
    b->n = n; b->method = method;
    b->cur = ngx_pcalloc(pool, (n+1)*sizeof(*b->cur));
    b->w = ngx_pcalloc(pool, (n+1)*sizeof(*b->w));
    b->act = ngx_pcalloc(pool, (n+1)*sizeof(*b->act));
    for (ngx_uint_t i = 0; i < n; i++) b->w[i] = weights[i];
    return b;
}
void ngx_http_upstream_health_shm_balance_weigh(ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i, uint32_t weight) { b->w[i] = weight; }
ngx_uint_t ngx_http_upstream_health_shm_balance_pick(ngx_http_upstream_health_shm_balance_t *b, uint32_t key, ngx_http_upstream_health_shm_usable_pt usable, void *data)
{
    ngx_int_t total = 0; ngx_uint_t best = (ngx_uint_t) -1;
    for (ngx_uint_t j = 0; j < b->n; j++) {
        ngx_uint_t i = (b->method == HEALTH_HASH) ? (key + j) % b->n : j;
        if (!b->w[i] || (usable && !usable(data, i))) continue;
        if (b->method == HEALTH_HASH) return i;
        b->cur[i] += b->w[i]; total += b->w[i];
        if (best == (ngx_uint_t) -1 || b->cur[i] > b->cur[best]) best = i;
    }
    if (best != (ngx_uint_t) -1) b->cur[best] -= total;
    return best;
}
void ngx_http_upstream_health_shm_balance_use(ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i) { b->act[i]++; }
void ngx_http_upstream_health_shm_balance_done(ngx_http_upstream_health_shm_balance_t *b, ngx_uint_t i) { b->act[i]--; }
