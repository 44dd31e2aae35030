/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lives: what this worker's traffic has told of a host, handed on from one
 * topology to the next.
 *
 * A live belongs to the snapshots that name it, and each of them names it once:
 * a host of the one before is handed on to one host only, whatever the file
 * says.  Many that hash alike, which only a file that is not ours could hold,
 * begin anew rather than be looked for one by one.
 */


#include "ngx_http_upstream_health_shm_pool.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES  64


static ngx_uint_t  ngx_http_upstream_health_shm_builds;


/* NGX_AGAIN: there is no work left, but there are hosts */

ngx_int_t
ngx_http_upstream_health_shm_know(ngx_http_upstream_health_shm_known_t *known,
    ngx_http_upstream_health_shm_snapshot_t *before, ngx_pool_t *temp,
    ngx_uint_t *work)
{
    ngx_uint_t                            k, n;
    ngx_http_upstream_health_shm_host_t  *host;

    if (known->hosts == NULL) {
        for (n = 2; n < 2 * before->nhosts; n *= 2) { /* void */ }

        known->places = n;
        known->number = ++ngx_http_upstream_health_shm_builds;
        known->hosts = ngx_pcalloc(temp,
                           n * sizeof(ngx_http_upstream_health_shm_host_t *));
        if (known->hosts == NULL) {
            return NGX_ERROR;
        }
    }

    for ( /* void */ ; known->done < before->nhosts; known->done++, (*work)--) {

        if (*work == 0) {
            return NGX_AGAIN;
        }

        host = &before->hosts[known->done];

        for (k = 0; k < NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES; k++) {
            n = (host->identity + k) & (known->places - 1);

            if (known->hosts[n] == NULL) {
                known->hosts[n] = host;
                break;
            }
        }
    }

    return NGX_OK;
}


/* That of the host it was, or a new one; NULL: no memory. */

ngx_http_upstream_health_shm_live_t *
ngx_http_upstream_health_shm_get_live(
    ngx_http_upstream_health_shm_known_t *known, uint64_t identity)
{
    ngx_uint_t                            k;
    ngx_http_upstream_health_shm_host_t  *host;
    ngx_http_upstream_health_shm_live_t  *live;

    for (k = 0; known->hosts && k < NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES; k++) {
        host = known->hosts[(identity + k) & (known->places - 1)];

        if (host == NULL) {
            break;
        }

        if (host->identity == identity
            && host->live->taken != known->number)
        {
            host->live->taken = known->number;
            host->live->refs++;

            return host->live;
        }
    }

    live = ngx_calloc(sizeof(ngx_http_upstream_health_shm_live_t),
                      ngx_cycle->log);
    if (live == NULL) {
        return NULL;
    }

    live->refs = 1;

    return live;
}


void
ngx_http_upstream_health_shm_drop_live(
    ngx_http_upstream_health_shm_live_t *live)
{
    if (--live->refs) {
        return;
    }

#if (NGX_HTTP_SSL)

    if (live->ssl_session) {
        ngx_ssl_free_session(live->ssl_session);
    }

#endif

    ngx_free(live);
}
