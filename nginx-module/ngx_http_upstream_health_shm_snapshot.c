/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Snapshots: what a worker makes of the pools of an upstream without servers
 * when a segment is mapped.
 *
 * A snapshot is built outside of requests, in the turn of the event loop that
 * maps the segment; until then the one before it serves.  It takes O(hosts)
 * and all memory that it needs at once.
 *
 * The file is not trusted: each number is read once and checked where it is
 * used.
 */


#include "ngx_http_upstream_health_shm_pool.h"


typedef struct {
    uint32_t                                   pool;
    uint32_t                                   priority;
} ngx_http_upstream_health_shm_rank_t;


/* while a snapshot is built */

typedef struct {
    ngx_http_upstream_health_shm_srv_conf_t   *conf;
    struct health_shm                         *shm;
    ngx_pool_t                                *temp;
    ngx_http_upstream_health_shm_snapshot_t   *snapshot;
    ngx_http_upstream_health_shm_rank_t       *ranks;    /* by tier */

    ngx_http_upstream_health_shm_known_t       known;    /* lives */

    /* for a tier's balance */
    ngx_str_t                                 *names;
    uint32_t                                  *weights;
    uint32_t                                  *configured;
} ngx_http_upstream_health_shm_build_t;


static ngx_int_t ngx_http_upstream_health_shm_build(
    ngx_http_upstream_health_shm_build_t *b);
static ngx_int_t ngx_http_upstream_health_shm_rank(
    ngx_http_upstream_health_shm_build_t *b);
static ngx_int_t ngx_http_upstream_health_shm_add_tier(
    ngx_http_upstream_health_shm_build_t *b, ngx_uint_t t, uint32_t first,
    uint32_t n);
static ngx_int_t ngx_http_upstream_health_shm_add_host(
    ngx_http_upstream_health_shm_build_t *b,
    ngx_http_upstream_health_shm_host_t *host, uint32_t number);
static void ngx_http_upstream_health_shm_link_tiers(
    ngx_http_upstream_health_shm_build_t *b);
static void ngx_http_upstream_health_shm_put_in_force(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_snapshot_t *snapshot);
static int ngx_libc_cdecl ngx_http_upstream_health_shm_cmp_ranks(
    const void *one, const void *two);


/* The mapping is new: so are the hosts of an upstream. */

ngx_int_t
ngx_http_upstream_health_shm_take_over(
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    ngx_int_t                              rc;
    ngx_http_upstream_health_shm_build_t   b;

    ngx_memzero(&b, sizeof(ngx_http_upstream_health_shm_build_t));

    b.conf = hscf;
    b.shm = &hscf->segment->shm;

    b.temp = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    if (b.temp == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_upstream_health_shm_build(&b);

    if (rc == NGX_OK) {
        ngx_http_upstream_health_shm_link_tiers(&b);
        ngx_http_upstream_health_shm_put_in_force(hscf, b.snapshot);

    } else if (b.snapshot) {
        ngx_http_upstream_health_shm_let_go(b.snapshot);
    }

    ngx_destroy_pool(b.temp);

    return rc;
}


/* Those that cannot be brought in line in place. */

void
ngx_http_upstream_health_shm_renew(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_srv_conf_t  **hscfp;

    hscfp = segment->upstreams.elts;

    for (i = 0; i < segment->upstreams.nelts; i++) {

        if (hscfp[i]->outdated && segment->mapped) {

            /* without the memory for it, again at the next turn */

            (void) ngx_http_upstream_health_shm_take_over(hscfp[i]);
        }
    }
}


static ngx_int_t
ngx_http_upstream_health_shm_build(ngx_http_upstream_health_shm_build_t *b)
{
    uint32_t                                  *first, *n, left;
    ngx_uint_t                                 t, ntiers, nhosts, most;
    ngx_pool_t                                *pool;
    ngx_http_upstream_health_shm_snapshot_t   *snapshot;

    ntiers = b->conf->npools;

    first = ngx_palloc(b->temp, (ntiers + 1) * sizeof(uint32_t));
    n = ngx_palloc(b->temp, (ntiers + 1) * sizeof(uint32_t));

    if (first == NULL || n == NULL
        || ngx_http_upstream_health_shm_rank(b) != NGX_OK
        || ngx_http_upstream_health_shm_know(&b->known, b->conf->snapshot,
                                             b->temp)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    left = b->shm->host_count;
    most = 0;

    for (t = 0; t < ntiers; t++) {
        n[t] = ngx_http_upstream_health_shm_pool_hosts(b->shm,
                                                b->ranks[t].pool, &first[t]);

        /* no host is of two pools */

        n[t] = ngx_min(n[t], left);
        left -= n[t];

        most = ngx_max(most, n[t]);
    }

    nhosts = b->shm->host_count - left;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    snapshot = ngx_pcalloc(pool,
                           sizeof(ngx_http_upstream_health_shm_snapshot_t));
    if (snapshot == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    snapshot->refs = 1;
    snapshot->pool = pool;

    b->snapshot = snapshot;

    snapshot->tiers = ngx_pcalloc(pool, (ntiers + 1)
                                 * sizeof(ngx_http_upstream_health_shm_tier_t));
    snapshot->hosts = ngx_pcalloc(pool, (nhosts + 1)
                                 * sizeof(ngx_http_upstream_health_shm_host_t));

    b->names = ngx_palloc(b->temp, (most + 1) * sizeof(ngx_str_t));
    b->weights = ngx_palloc(b->temp, (most + 1) * sizeof(uint32_t));
    b->configured = ngx_palloc(b->temp, (most + 1) * sizeof(uint32_t));

    if (snapshot->tiers == NULL || snapshot->hosts == NULL
        || b->names == NULL || b->weights == NULL || b->configured == NULL)
    {
        return NGX_ERROR;
    }

    for (t = 0; t < ntiers; t++) {

        if (ngx_http_upstream_health_shm_add_tier(b, t, first[t], n[t])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Pools by priority, those of one priority as they are in the file. */

static ngx_int_t
ngx_http_upstream_health_shm_rank(ngx_http_upstream_health_shm_build_t *b)
{
    uint32_t    p;
    ngx_uint_t  t;

    b->ranks = ngx_palloc(b->temp, (b->conf->npools + 1)
                                 * sizeof(ngx_http_upstream_health_shm_rank_t));
    if (b->ranks == NULL) {
        return NGX_ERROR;
    }

    for (t = 0; t < b->conf->npools; t++) {
        p = b->conf->pools[t];

        b->ranks[t].pool = p;
        b->ranks[t].priority = b->shm->pools[p].priority;
    }

    ngx_qsort(b->ranks, b->conf->npools,
              sizeof(ngx_http_upstream_health_shm_rank_t),
              ngx_http_upstream_health_shm_cmp_ranks);

    return NGX_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_add_tier(ngx_http_upstream_health_shm_build_t *b,
    ngx_uint_t t, uint32_t first, uint32_t n)
{
    uint32_t                                  i;
    ngx_http_upstream_health_shm_host_t      *host;
    ngx_http_upstream_health_shm_tier_t      *tier;
    ngx_http_upstream_health_shm_snapshot_t  *snapshot;

    snapshot = b->snapshot;

    tier = &snapshot->tiers[t];

    tier->hosts = snapshot->hosts + snapshot->nhosts;
    tier->first = first;

    for (i = 0; i < n; i++) {
        host = &tier->hosts[i];

        if (ngx_http_upstream_health_shm_add_host(b, host, first + i)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        /* from here on it is let go with the snapshot */

        tier->nhosts++;
        snapshot->nhosts++;
        snapshot->unusable += (host->sockaddr == NULL);

        b->names[i] = host->name;
        b->weights[i] = ngx_http_upstream_health_shm_weight(b->conf, host);
        b->configured[i] = host->configured;
    }

    tier->method = *(const volatile uint8_t *)
                                     &b->shm->pools[b->ranks[t].pool].balance;

    tier->balance = ngx_http_upstream_health_shm_balance_create(snapshot->pool,
                            tier->method, n, b->names, b->weights,
                            b->configured,
                            (uint32_t) ngx_random() ^ (uint32_t) ngx_pid);
    if (tier->balance == NULL) {
        return NGX_ERROR;
    }

    snapshot->ntiers++;
    snapshot->hash |= (tier->method == HEALTH_HASH);

    return NGX_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_add_host(ngx_http_upstream_health_shm_build_t *b,
    ngx_http_upstream_health_shm_host_t *host, uint32_t number)
{
    const struct health_host  *h;

    h = &b->shm->hosts[number];

    host->max_conns = h->max_conns;
    host->max_fails = h->max_fails;
    host->fail_timeout = h->fail_timeout_ms;
    host->word = health_shm_word(b->shm, number);
    host->configured = ngx_http_upstream_health_shm_configured(b->shm, number);

    if (ngx_http_upstream_health_shm_set_address(host, b->shm, number,
                                                 b->snapshot->pool)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    host->live = ngx_http_upstream_health_shm_get_live(&b->known,
                                                       host->identity);
    if (host->live == NULL) {
        return NGX_ERROR;
    }

    ngx_http_upstream_health_shm_add_observe(b->conf, h);

    return NGX_OK;
}


/* From here on, changes in the mapping lead here. */

static void
ngx_http_upstream_health_shm_link_tiers(
    ngx_http_upstream_health_shm_build_t *b)
{
    ngx_uint_t                            t;
    ngx_http_upstream_health_shm_link_t  *link;

    for (t = 0; t < b->snapshot->ntiers; t++) {

        for (link = b->conf->segment->links[b->ranks[t].pool];
             link;
             link = link->next)
        {
            if (link->conf == b->conf) {
                link->tier = t;
            }
        }
    }
}


static void
ngx_http_upstream_health_shm_put_in_force(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_snapshot_t *snapshot)
{
    uint32_t                                  weight;
    ngx_uint_t                                t, i, n;
    ngx_http_upstream_health_shm_live_t      *live;
    ngx_http_upstream_health_shm_tier_t      *tier;
    ngx_http_upstream_health_shm_snapshot_t  *before;

    before = hscf->snapshot;

    for (i = 0; before && i < before->nhosts; i++) {
        live = before->hosts[i].live;

        live->balance = NULL;
        live->weight = 0;
        live->taken = 0;
    }

    for (t = 0; t < snapshot->ntiers; t++) {
        tier = &snapshot->tiers[t];

        for (i = 0; i < tier->nhosts; i++) {
            live = tier->hosts[i].live;
            weight = ngx_http_upstream_health_shm_weight(hscf,
                                                         &tier->hosts[i]);

            live->snapshot = snapshot;
            live->balance = tier->balance;
            live->index = i;
            live->weight = weight;

            tier->usable += (weight != 0);
            snapshot->usable += (weight != 0);

            for (n = 0; n < live->conns; n++) {
                ngx_http_upstream_health_shm_balance_use(tier->balance, i);
            }
        }
    }

    hscf->snapshot = snapshot;
    hscf->outdated = 0;
    hscf->unnamed = 1;

    if (before) {
        ngx_http_upstream_health_shm_let_go(before);
    }
}


void
ngx_http_upstream_health_shm_let_go(
    ngx_http_upstream_health_shm_snapshot_t *snapshot)
{
    ngx_uint_t                            i;
    ngx_http_upstream_health_shm_live_t  *live;

    if (--snapshot->refs) {
        return;
    }

    for (i = 0; i < snapshot->nhosts; i++) {
        live = snapshot->hosts[i].live;
        live->taken = 0;

        if (live->snapshot == snapshot) {
            live->balance = NULL;
        }

        ngx_http_upstream_health_shm_drop_live(live);
    }

    snapshot->pool->log = ngx_cycle->log;

    ngx_destroy_pool(snapshot->pool);
}


static int ngx_libc_cdecl
ngx_http_upstream_health_shm_cmp_ranks(const void *one, const void *two)
{
    const ngx_http_upstream_health_shm_rank_t  *first, *second;

    first = one;
    second = two;

    if (first->priority != second->priority) {
        return (first->priority > second->priority)
               - (first->priority < second->priority);
    }

    return (first->pool > second->pool) - (first->pool < second->pool);
}
