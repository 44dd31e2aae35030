/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Builds: a snapshot on its way.
 *
 * It takes O(hosts), which with 100 000 of them is more than a request should
 * have to wait for.  So a build goes on for so much work at a time, in turns of
 * the event loop, while the snapshot before it serves.  Memory is taken as it
 * goes; a build that has not got any is given up and begun anew.
 *
 * The mapping stays until the build is done.  What changes in it meanwhile is
 * looked at when the snapshot is put in force.  A thread was not taken: nginx
 * is built without them as often as not.
 *
 * The file is not trusted: each number is read once and checked where it is
 * used.
 */


#include "ngx_http_upstream_health_shm_pool.h"


typedef struct {
    uint32_t                                   pool;
    uint32_t                                   priority;

    /* hosts */
    uint32_t                                   first;
    uint32_t                                   n;
} ngx_http_upstream_health_shm_rank_t;


struct ngx_http_upstream_health_shm_build_s {
    ngx_http_upstream_health_shm_srv_conf_t   *conf;
    struct health_shm                         *shm;
    ngx_pool_t                                *temp;     /* of this, too */
    ngx_http_upstream_health_shm_snapshot_t   *snapshot;
    ngx_http_upstream_health_shm_rank_t       *ranks;    /* by tier */
    uint64_t                                   generation; /* at the start */

    /* of those that are handed on */
    ngx_uint_t                                 tier;
    ngx_uint_t                                 host;

    ngx_http_upstream_health_shm_known_t       known;    /* lives */

    /* for a tier's balance */
    ngx_str_t                                 *names;
    uint32_t                                  *weights;
    uint32_t                                  *configured;
};


static ngx_int_t ngx_http_upstream_health_shm_lay_out(
    ngx_http_upstream_health_shm_build_t *b);
static ngx_int_t ngx_http_upstream_health_shm_rank(
    ngx_http_upstream_health_shm_build_t *b);
static ngx_int_t ngx_http_upstream_health_shm_add_tier(
    ngx_http_upstream_health_shm_build_t *b, ngx_uint_t *work);
static ngx_int_t ngx_http_upstream_health_shm_add_host(
    ngx_http_upstream_health_shm_build_t *b,
    ngx_http_upstream_health_shm_host_t *host, uint32_t number,
    ngx_uint_t hash);
static ngx_int_t ngx_http_upstream_health_shm_hand_on(
    ngx_http_upstream_health_shm_build_t *b, ngx_uint_t *work);
static void ngx_http_upstream_health_shm_link_tiers(
    ngx_http_upstream_health_shm_build_t *b);
static void ngx_http_upstream_health_shm_end_build(
    ngx_http_upstream_health_shm_build_t *b);
static int ngx_libc_cdecl ngx_http_upstream_health_shm_cmp_ranks(
    const void *one, const void *two);


static ngx_uint_t  ngx_http_upstream_health_shm_builds;


ngx_int_t
ngx_http_upstream_health_shm_begin_build(
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    ngx_pool_t                            *temp;
    ngx_http_upstream_health_shm_build_t  *b;

    temp = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    if (temp == NULL) {
        return NGX_ERROR;
    }

    b = ngx_pcalloc(temp, sizeof(ngx_http_upstream_health_shm_build_t));
    if (b == NULL) {
        ngx_destroy_pool(temp);
        return NGX_ERROR;
    }

    b->temp = temp;
    b->conf = hscf;
    b->shm = &hscf->segment->shm;
    b->generation = hscf->segment->generation;

    hscf->build = b;
    hscf->pending = 0;

    if (ngx_http_upstream_health_shm_lay_out(b) != NGX_OK) {
        ngx_http_upstream_health_shm_give_up_build(hscf);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* NGX_OK: hscf->snapshot is the one that was built */

ngx_int_t
ngx_http_upstream_health_shm_go_on_building(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t *work)
{
    uint64_t                                  generation;
    ngx_int_t                                 rc;
    ngx_http_upstream_health_shm_build_t     *b;
    ngx_http_upstream_health_shm_snapshot_t  *snapshot;

    b = hscf->build;
    snapshot = b->snapshot;

    rc = hscf->snapshot
         ? ngx_http_upstream_health_shm_know(&b->known, hscf->snapshot,
                                             b->temp, work)
         : NGX_OK;

    while (rc == NGX_OK && snapshot->ntiers < hscf->npools) {
        rc = ngx_http_upstream_health_shm_add_tier(b, work);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_upstream_health_shm_hand_on(b, work);
    }

    if (rc == NGX_ERROR) {
        ngx_http_upstream_health_shm_give_up_build(hscf);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    generation = b->generation;

    ngx_http_upstream_health_shm_link_tiers(b);
    ngx_http_upstream_health_shm_end_build(b);
    ngx_http_upstream_health_shm_put_in_force(hscf, snapshot, generation);

    return NGX_OK;
}


void
ngx_http_upstream_health_shm_give_up_build(
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    ngx_http_upstream_health_shm_build_t     *b;
    ngx_http_upstream_health_shm_snapshot_t  *snapshot;

    b = hscf->build;

    if (b == NULL) {
        return;
    }

    snapshot = b->snapshot;

    ngx_http_upstream_health_shm_end_build(b);

    if (snapshot) {
        ngx_http_upstream_health_shm_retire(snapshot);
    }

    /* what it was begun in place of */

    ngx_http_upstream_health_shm_look_again(hscf);
}


static void
ngx_http_upstream_health_shm_end_build(ngx_http_upstream_health_shm_build_t *b)
{
    b->conf->build = NULL;

    ngx_destroy_pool(b->temp);
}


/* which hosts there will be, and their places */

static ngx_int_t
ngx_http_upstream_health_shm_lay_out(ngx_http_upstream_health_shm_build_t *b)
{
    uint32_t                                   left;
    ngx_uint_t                                 t, ntiers, nhosts, most;
    ngx_pool_t                                *pool;
    ngx_http_upstream_health_shm_rank_t       *rank;
    ngx_http_upstream_health_shm_snapshot_t   *snapshot;

    ntiers = b->conf->npools;

    if (ngx_http_upstream_health_shm_rank(b) != NGX_OK) {
        return NGX_ERROR;
    }

    left = b->shm->host_count;
    most = 0;

    for (t = 0; t < ntiers; t++) {
        rank = &b->ranks[t];

        rank->n = ngx_http_upstream_health_shm_pool_hosts(b->shm, rank->pool,
                                                          &rank->first);

        /* no host is of two pools */

        rank->n = ngx_min(rank->n, left);
        left -= rank->n;

        most = ngx_max(most, rank->n);
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

    snapshot->number = ++ngx_http_upstream_health_shm_builds;
    snapshot->pool = pool;

    b->known.number = snapshot->number;

    b->snapshot = snapshot;

    snapshot->tiers = ngx_pcalloc(pool, (ntiers + 1)
                                 * sizeof(ngx_http_upstream_health_shm_tier_t));
    snapshot->hosts = ngx_palloc(pool, (nhosts + 1)
                                 * sizeof(ngx_http_upstream_health_shm_host_t));

    b->names = ngx_palloc(b->temp, (most + 1) * sizeof(ngx_str_t));
    b->weights = ngx_palloc(b->temp, (most + 1) * sizeof(uint32_t));
    b->configured = ngx_palloc(b->temp, (most + 1) * sizeof(uint32_t));

    if (snapshot->tiers == NULL || snapshot->hosts == NULL
        || b->names == NULL || b->weights == NULL || b->configured == NULL)
    {
        return NGX_ERROR;
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


/* The next one: its hosts, and how they are balanced. */

static ngx_int_t
ngx_http_upstream_health_shm_add_tier(ngx_http_upstream_health_shm_build_t *b,
    ngx_uint_t *work)
{
    ngx_int_t                                 rc;
    ngx_uint_t                                i;
    ngx_http_upstream_health_shm_host_t      *host;
    ngx_http_upstream_health_shm_rank_t      *rank;
    ngx_http_upstream_health_shm_tier_t      *tier;
    ngx_http_upstream_health_shm_snapshot_t  *snapshot;

    snapshot = b->snapshot;

    rank = &b->ranks[snapshot->ntiers];
    tier = &snapshot->tiers[snapshot->ntiers];

    if (tier->nhosts == 0) {
        tier->hosts = snapshot->hosts + snapshot->nhosts;
        tier->first = rank->first;
        tier->method = *(const volatile uint8_t *)
                                             &b->shm->pools[rank->pool].balance;
    }

    for (i = tier->nhosts; i < rank->n; i++, (*work)--) {

        if (*work == 0) {
            return NGX_AGAIN;
        }

        host = &snapshot->hosts[snapshot->nhosts];

        if (ngx_http_upstream_health_shm_add_host(b, host, rank->first + i,
                                                  tier->method == HEALTH_HASH)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        /* from here on it is let go with the snapshot */

        tier->nhosts++;
        snapshot->nhosts++;
        snapshot->unusable += (host->live->sockaddr == NULL);

        b->names[i] = host->live->name;
        b->weights[i] = host->weight;
        b->configured[i] = host->configured;
    }

    if (tier->balance == NULL) {
        tier->balance = ngx_http_upstream_health_shm_balance_create(
                                 snapshot->pool, tier->method, tier->nhosts,
                                 b->names, b->weights, b->configured,
                                 (uint32_t) ngx_random() ^ (uint32_t) ngx_pid);
        if (tier->balance == NULL) {
            return NGX_ERROR;
        }
    }

    rc = ngx_http_upstream_health_shm_balance_prepare(tier->balance, work);

    if (rc == NGX_OK) {
        snapshot->ntiers++;
        snapshot->hash |= (tier->method == HEALTH_HASH);
    }

    return rc;
}


static ngx_int_t
ngx_http_upstream_health_shm_add_host(ngx_http_upstream_health_shm_build_t *b,
    ngx_http_upstream_health_shm_host_t *host, uint32_t number,
    ngx_uint_t hash)
{
    const struct health_host              *h;
    ngx_http_upstream_health_shm_place_t   place;

    h = &b->shm->hosts[number];

    ngx_memzero(host, sizeof(ngx_http_upstream_health_shm_host_t));

    host->max_conns = h->max_conns;
    host->max_fails = h->max_fails;
    host->fail_timeout = h->fail_timeout_ms;
    host->word = health_shm_word(b->shm, number);

    /* what nobody asks for stays unmapped */

    host->configured = hash ? ngx_http_upstream_health_shm_configured(b->shm,
                                                                      number)
                            : 1;

    ngx_http_upstream_health_shm_locate(&place, b->shm, number);

    host->live = ngx_http_upstream_health_shm_get_live(&b->known, &place);
    if (host->live == NULL) {
        return NGX_ERROR;
    }

    host->weight = ngx_http_upstream_health_shm_weight(b->conf, host);

    ngx_http_upstream_health_shm_add_observe(b->conf, h);

    return NGX_OK;
}


/* From here on, requests in flight count here, too. */

static ngx_int_t
ngx_http_upstream_health_shm_hand_on(ngx_http_upstream_health_shm_build_t *b,
    ngx_uint_t *work)
{
    ngx_http_upstream_health_shm_tier_t  *tier;

    for ( /* void */ ; b->tier < b->snapshot->ntiers; b->tier++) {
        tier = &b->snapshot->tiers[b->tier];

        for ( /* void */ ; b->host < tier->nhosts; b->host++, (*work)--) {

            if (*work == 0) {
                return NGX_AGAIN;
            }

            ngx_http_upstream_health_shm_adopt(b->snapshot, tier, b->host);
        }

        b->host = 0;
    }

    return NGX_OK;
}


/* Changes in the mapping lead here. */

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
