/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How a snapshot goes that is not in force, or never came to be: some hosts at
 * a time, since there may be very many.
 *
 * The queue is the process's: it may take longer than its cycle lasts.  When no
 * cycle is there to come back to it, all is done at once.
 */


#include "ngx_http_upstream_health_shm_pool.h"


static ngx_int_t ngx_http_upstream_health_shm_free_snapshot(
    ngx_http_upstream_health_shm_snapshot_t *snapshot, ngx_uint_t *work);


static ngx_queue_t  ngx_http_upstream_health_shm_retired = {
    &ngx_http_upstream_health_shm_retired,
    &ngx_http_upstream_health_shm_retired
};


void
ngx_http_upstream_health_shm_retire(
    ngx_http_upstream_health_shm_snapshot_t *snapshot)
{
    ngx_uint_t  work;

    snapshot->done = 0;

    ngx_queue_insert_tail(&ngx_http_upstream_health_shm_retired,
                          &snapshot->queue);

    if (ngx_http_upstream_health_shm_soon() != NGX_OK) {
        work = (ngx_uint_t) -1;
        (void) ngx_http_upstream_health_shm_bury(&work);
    }
}


/* NGX_AGAIN: there are more */

ngx_int_t
ngx_http_upstream_health_shm_bury(ngx_uint_t *work)
{
    ngx_int_t                                 rc;
    ngx_queue_t                              *q;
    ngx_http_upstream_health_shm_snapshot_t  *snapshot;

    while (!ngx_queue_empty(&ngx_http_upstream_health_shm_retired)) {
        q = ngx_queue_head(&ngx_http_upstream_health_shm_retired);
        snapshot = ngx_queue_data(q, ngx_http_upstream_health_shm_snapshot_t,
                                  queue);

        rc = ngx_http_upstream_health_shm_free_snapshot(snapshot, work);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_free_snapshot(
    ngx_http_upstream_health_shm_snapshot_t *snapshot, ngx_uint_t *work)
{
    ngx_http_upstream_health_shm_live_t  *live;
    ngx_http_upstream_health_shm_tier_t  *tier;

    for ( /* void */ ; snapshot->done < snapshot->nhosts; snapshot->done++) {

        if (*work == 0) {
            return NGX_AGAIN;
        }

        (*work)--;

        live = snapshot->hosts[snapshot->done].live;

        if (live->snapshot == snapshot) {
            live->snapshot = NULL;
            live->balance = NULL;
        }

        ngx_http_upstream_health_shm_drop_live(live);
    }

    for ( /* void */ ; snapshot->ntiers; snapshot->ntiers--) {
        tier = &snapshot->tiers[snapshot->ntiers - 1];

        do {
            if (*work == 0) {
                return NGX_AGAIN;
            }

            *work -= ngx_min(*work, NGX_HTTP_UPSTREAM_HEALTH_SHM_WORK);

        } while (ngx_http_upstream_health_shm_balance_shed(tier->balance)
                 == NGX_AGAIN);
    }

    /* NOLINTNEXTLINE: it is in the queue */
    ngx_queue_remove(&snapshot->queue);

    snapshot->pool->log = ngx_cycle->log;

    ngx_destroy_pool(snapshot->pool);

    return NGX_OK;
}
