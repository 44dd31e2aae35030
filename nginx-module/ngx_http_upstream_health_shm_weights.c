/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Weights: how the newest snapshot follows the host words.
 *
 * While health is ignored, a host takes requests unless a person took it out,
 * or its agent for a while, as in a panic.
 *
 * Where hash puts a host is made of its configured weight, and all workers
 * must agree on it.  When that changes, which is rare, the snapshot is renewed.
 */


#include "ngx_http_upstream_health_shm_pool.h"


/* of so many hosts one, and more */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_MANY  16

/* hosts that come in, or weigh something else, in one turn */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_COME  8192


static ngx_int_t ngx_http_upstream_health_shm_weigh_tier(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t t,
    ngx_uint_t *come);
static void ngx_http_upstream_health_shm_look(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_tier_t *tier, ngx_uint_t i);
static void ngx_http_upstream_health_shm_weigh(
    ngx_http_upstream_health_shm_snapshot_t *snapshot, ngx_uint_t t,
    ngx_uint_t i, uint32_t weight);


/* one that the next snapshot has is weighed when that is in force */

static ngx_inline ngx_uint_t
ngx_http_upstream_health_shm_differs(
    ngx_http_upstream_health_shm_snapshot_t *snapshot,
    ngx_http_upstream_health_shm_live_t *live, uint32_t weight)
{
    return live->weight != weight && live->snapshot == snapshot;
}


/*
 * Brings all weights in line, whatever was done before.  Who is out is out at
 * once; of those who come in some may be left for later: NGX_AGAIN.
 */

ngx_int_t
ngx_http_upstream_health_shm_weigh_all(
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    ngx_int_t                                 rc;
    ngx_uint_t                                t, come;
    ngx_http_upstream_health_shm_snapshot_t  *snapshot;

    snapshot = hscf->snapshot;

    if (snapshot == NULL) {
        return NGX_OK;
    }

    rc = NGX_OK;
    come = NGX_HTTP_UPSTREAM_HEALTH_SHM_COME;

    for (t = 0; t < snapshot->ntiers; t++) {

        if (ngx_http_upstream_health_shm_weigh_tier(hscf, t, &come)
            == NGX_AGAIN)
        {
            rc = NGX_AGAIN;
        }
    }

    ngx_http_upstream_health_shm_skip_empty(snapshot);

    return rc;
}


/* Many that changed, such as all of a large tier, are put in order together. */

static ngx_int_t
ngx_http_upstream_health_shm_weigh_tier(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t t,
    ngx_uint_t *come)
{
    uint32_t                                  weight;
    ngx_int_t                                 rc;
    ngx_uint_t                                i, changed, many;
    ngx_http_upstream_health_shm_host_t      *host;
    ngx_http_upstream_health_shm_tier_t      *tier;
    ngx_http_upstream_health_shm_segment_t   *segment;

    segment = hscf->segment;
    tier = &hscf->snapshot->tiers[t];

    rc = NGX_OK;
    changed = 0;
    many = tier->nhosts / NGX_HTTP_UPSTREAM_HEALTH_SHM_MANY + 1;

    for (i = 0; i < tier->nhosts; i++) {
        host = &tier->hosts[i];

        if (segment->mapped && !hscf->foreign
            && tier->first + i < segment->shm.host_count)
        {
            ngx_http_upstream_health_shm_look(hscf, tier, i);
        }

        weight = ngx_http_upstream_health_shm_weight(hscf, host);

        if (!ngx_http_upstream_health_shm_differs(hscf->snapshot, host->live,
                                                  weight))
        {
            continue;
        }

        if (weight) {

            if (*come == 0) {
                rc = NGX_AGAIN;
                continue;
            }

            (*come)--;
        }

        if (++changed == many) {
            ngx_http_upstream_health_shm_balance_many(tier->balance, 1);
        }

        ngx_http_upstream_health_shm_weigh(hscf->snapshot, t, i, weight);
    }

    if (changed >= many) {
        ngx_http_upstream_health_shm_balance_many(tier->balance, 0);
    }

    return rc;
}


/* `host` of the segment, which `tier` belongs to, has changed. */

void
ngx_http_upstream_health_shm_weigh_host(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t t, uint32_t host)
{
    ngx_uint_t                                i;
    ngx_http_upstream_health_shm_tier_t      *tier;
    ngx_http_upstream_health_shm_snapshot_t  *snapshot;

    snapshot = hscf->snapshot;

    if (snapshot == NULL || hscf->foreign || t >= snapshot->ntiers) {
        return;
    }

    tier = &snapshot->tiers[t];

    if (host < tier->first || host - tier->first >= tier->nhosts) {
        return;
    }

    i = host - tier->first;

    ngx_http_upstream_health_shm_look(hscf, tier, i);

    ngx_http_upstream_health_shm_weigh(snapshot, t, i,
                 ngx_http_upstream_health_shm_weight(hscf, &tier->hosts[i]));

    ngx_http_upstream_health_shm_skip_empty(snapshot);
}


static void
ngx_http_upstream_health_shm_look(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_tier_t *tier, ngx_uint_t i)
{
    struct health_shm                    *shm;
    ngx_http_upstream_health_shm_host_t  *host;

    shm = &hscf->segment->shm;
    host = &tier->hosts[i];

    host->word = health_shm_word(shm, tier->first + i);

    if (tier->method == HEALTH_HASH
        && ngx_http_upstream_health_shm_configured(shm, tier->first + i)
           != host->configured)
    {
        hscf->outdated = 1;
    }
}


static void
ngx_http_upstream_health_shm_weigh(
    ngx_http_upstream_health_shm_snapshot_t *snapshot, ngx_uint_t t,
    ngx_uint_t i, uint32_t weight)
{
    ngx_http_upstream_health_shm_live_t  *live;
    ngx_http_upstream_health_shm_tier_t  *tier;

    tier = &snapshot->tiers[t];
    live = tier->hosts[i].live;

    if (!ngx_http_upstream_health_shm_differs(snapshot, live, weight)) {
        return;
    }

    if (live->weight == 0) {
        tier->usable++;
        snapshot->usable++;
        snapshot->first = ngx_min(snapshot->first, t);

    } else if (weight == 0) {
        tier->usable--;
        snapshot->usable--;
    }

    live->weight = weight;

    ngx_http_upstream_health_shm_balance_weigh(tier->balance, i, weight);
}


/* tiers that requests need not look at */

void
ngx_http_upstream_health_shm_skip_empty(
    ngx_http_upstream_health_shm_snapshot_t *snapshot)
{
    while (snapshot->first < snapshot->ntiers
           && snapshot->tiers[snapshot->first].usable == 0)
    {
        snapshot->first++;
    }
}


uint32_t
ngx_http_upstream_health_shm_weight(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_host_t *host)
{
    if (host->live->sockaddr == NULL) {
        return 0;
    }

    if (hscf->active ? !health_word_routable(host->word)
                     : (health_word_admin(host->word) != HEALTH_AUTO
                || health_word_agent(host->word) == HEALTH_AGENT_DRAIN
                || health_word_agent(host->word) == HEALTH_AGENT_MAINT))
    {
        return 0;
    }

    return health_word_weight(host->word);
}
