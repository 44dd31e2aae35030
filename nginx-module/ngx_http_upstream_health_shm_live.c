/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lives: what this worker's traffic has told of a host, handed on from one
 * topology to the next.
 *
 * A snapshot names each live once: a host of the one before is handed on to one
 * host only, whatever the file says.  Many that hash alike, which only a file
 * that is not ours could hold, begin anew rather than be looked for one by one.
 */


#include "ngx_http_upstream_health_shm_pool.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES  64


static ngx_http_upstream_health_shm_live_t *
    ngx_http_upstream_health_shm_create_live(
    ngx_http_upstream_health_shm_place_t *place);


/* the k'th; what tells hosts of one address apart is in the upper half */

static ngx_inline ngx_uint_t
ngx_http_upstream_health_shm_nth(ngx_http_upstream_health_shm_known_t *known,
    uint64_t identity, ngx_uint_t k)
{
    return (ngx_uint_t) ((identity ^ identity >> 32) + k)
           & (known->places - 1);
}


/* NGX_AGAIN: there is no work left, but there are hosts */

ngx_int_t
ngx_http_upstream_health_shm_know(ngx_http_upstream_health_shm_known_t *known,
    ngx_http_upstream_health_shm_snapshot_t *before, ngx_pool_t *temp,
    ngx_uint_t *work)
{
    ngx_uint_t                            k, n;
    ngx_http_upstream_health_shm_live_t  *live;

    if (known->lives == NULL) {
        for (n = 2; n < 2 * before->nhosts; n *= 2) { /* void */ }

        known->places = n;
        known->lives = ngx_pcalloc(temp,
                           n * sizeof(ngx_http_upstream_health_shm_live_t *));
        if (known->lives == NULL) {
            return NGX_ERROR;
        }
    }

    for ( /* void */ ; known->done < before->nhosts; known->done++, (*work)--) {

        if (*work == 0) {
            return NGX_AGAIN;
        }

        live = before->hosts[known->done].live;

        for (k = 0; k < NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES; k++) {
            n = ngx_http_upstream_health_shm_nth(known, live->identity, k);

            if (known->lives[n] == NULL) {
                known->lives[n] = live;
                break;
            }
        }
    }

    return NGX_OK;
}


/* That of the host it was, or a new one; NULL: no memory. */

ngx_http_upstream_health_shm_live_t *
ngx_http_upstream_health_shm_get_live(
    ngx_http_upstream_health_shm_known_t *known,
    ngx_http_upstream_health_shm_place_t *place)
{
    ngx_uint_t                            k, n;
    ngx_http_upstream_health_shm_live_t  *live;

    for (k = 0; known->lives && k < NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES; k++) {
        n = ngx_http_upstream_health_shm_nth(known, place->identity, k);
        live = known->lives[n];

        if (live == NULL) {
            break;
        }

        if (live->identity == place->identity
            && live->taken != known->number
            && live->name.len == place->name.len
            && ngx_memcmp(live->name.data, place->name.data, live->name.len)
               == 0)
        {
            live->taken = known->number;
            live->refs++;

            return live;
        }
    }

    return ngx_http_upstream_health_shm_create_live(place);
}


/* in one piece of memory with its address and its name */

static ngx_http_upstream_health_shm_live_t *
ngx_http_upstream_health_shm_create_live(
    ngx_http_upstream_health_shm_place_t *place)
{
    u_char                               *p;
    ngx_http_upstream_health_shm_live_t  *live;

    live = ngx_calloc(sizeof(ngx_http_upstream_health_shm_live_t)
                      + place->socklen + place->name.len, ngx_cycle->log);
    if (live == NULL) {
        return NULL;
    }

    live->refs = 1;
    live->identity = place->identity;

    p = (u_char *) (live + 1);

    if (place->socklen == 0) {

        /* memcmp() takes no NULL, not even for nothing */

        live->name.data = p;

        return live;
    }

    live->sockaddr = (struct sockaddr *) p;
    live->socklen = place->socklen;

    p = ngx_cpymem(p, &place->sockaddr, place->socklen);

    live->name.data = p;
    live->name.len = place->name.len;

    ngx_memcpy(p, place->name.data, place->name.len);

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
