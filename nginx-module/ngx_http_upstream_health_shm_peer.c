/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the module adds to a request: the wrapped handlers of its peer.
 *
 * A request pays for one comparison when its peer is initialised and one for
 * each peer it gets, and for two when it lets go of one that did not fail.
 *
 * Wrapping `get` alone would have been cheaper than wrapping all handlers, but
 * there is no way from a peer connection to what was wrapped but its `data`.
 */


#include "ngx_http_upstream_health_shm_module.h"


static ngx_int_t ngx_http_upstream_health_shm_get_peer(
    ngx_peer_connection_t *pc, void *data);
static ngx_int_t ngx_http_upstream_health_shm_get_changed_peer(
    ngx_peer_connection_t *pc, ngx_http_upstream_health_shm_peer_data_t *hp)
    __attribute__((noinline));
static void ngx_http_upstream_health_shm_free_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static void ngx_http_upstream_health_shm_free_observed_peer(
    ngx_peer_connection_t *pc, ngx_http_upstream_health_shm_peer_data_t *hp,
    ngx_uint_t state) __attribute__((noinline));
static void ngx_http_upstream_health_shm_notify_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t type);
#if (NGX_HTTP_SSL || NGX_COMPAT)
static ngx_int_t ngx_http_upstream_health_shm_set_session(
    ngx_peer_connection_t *pc, void *data);
static void ngx_http_upstream_health_shm_save_session(
    ngx_peer_connection_t *pc, void *data);
#endif


ngx_int_t
ngx_http_upstream_health_shm_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_peer_connection_t                     *pc;
    ngx_http_upstream_health_shm_srv_conf_t   *hscf;
    ngx_http_upstream_health_shm_peer_data_t  *hp;

    hscf = ngx_http_conf_upstream_srv_conf(us,
                                          ngx_http_upstream_health_shm_module);

    hp = ngx_palloc(r->pool, sizeof(ngx_http_upstream_health_shm_peer_data_t));
    if (hp == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_upstream_health_shm_changed(hscf)) {
        ngx_http_upstream_health_shm_catch_up(hscf);
    }

    if (hscf->original_init_peer(r, hscf->upstream) != NGX_OK) {
        return NGX_ERROR;
    }

    pc = &r->upstream->peer;

    hp->conf = hscf;
    hp->seq = 0;

    hp->data = pc->data;
    hp->original_get_peer = pc->get;

    pc->data = hp;
    pc->get = ngx_http_upstream_health_shm_get_peer;

    if (pc->free) {
        hp->original_free_peer = pc->free;
        pc->free = ngx_http_upstream_health_shm_free_peer;
    }

    if (pc->notify) {
        hp->original_notify = pc->notify;
        pc->notify = ngx_http_upstream_health_shm_notify_peer;
    }

#if (NGX_HTTP_SSL || NGX_COMPAT)

    /* others have no sessions */

    if (r->upstream->ssl) {
        hp->original_set_session = pc->set_session;
        hp->original_save_session = pc->save_session;
        pc->set_session = ngx_http_upstream_health_shm_set_session;
        pc->save_session = ngx_http_upstream_health_shm_save_session;
    }

#endif

    ngx_http_set_ctx(r, hp, ngx_http_upstream_health_shm_module);

    return NGX_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_upstream_health_shm_peer_data_t  *hp = data;

    ngx_http_upstream_health_shm_srv_conf_t  *hscf;

    hscf = hp->conf;

    if (ngx_http_upstream_health_shm_changed(hscf)) {
        return ngx_http_upstream_health_shm_get_changed_peer(pc, hp);
    }

    hp->seq = hscf->seq;

    return hp->original_get_peer(pc, hp->data);
}


/* apart, so that the above gets by without a stack frame */

static ngx_int_t
ngx_http_upstream_health_shm_get_changed_peer(ngx_peer_connection_t *pc,
    ngx_http_upstream_health_shm_peer_data_t *hp)
{
    ngx_http_upstream_health_shm_catch_up(hp->conf);

    hp->seq = hp->conf->seq;

    return hp->original_get_peer(pc, hp->data);
}


static void
ngx_http_upstream_health_shm_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_upstream_health_shm_peer_data_t  *hp = data;

    if (state || hp->conf->any.observe == HEALTH_OBSERVE_STATUS) {
        ngx_http_upstream_health_shm_free_observed_peer(pc, hp, state);
        return;
    }

    hp->original_free_peer(pc, hp->data, state);
}


/* apart for the same reason */

static void
ngx_http_upstream_health_shm_free_observed_peer(ngx_peer_connection_t *pc,
    ngx_http_upstream_health_shm_peer_data_t *hp, ngx_uint_t state)
{
    /* first: the address may go with the peer */

    ngx_http_upstream_health_shm_observe(pc, hp->conf, state);

    hp->original_free_peer(pc, hp->data, state);
}


static void
ngx_http_upstream_health_shm_notify_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t type)
{
    ngx_http_upstream_health_shm_peer_data_t  *hp = data;

    hp->original_notify(pc, hp->data, type);
}


#if (NGX_HTTP_SSL || NGX_COMPAT)

static ngx_int_t
ngx_http_upstream_health_shm_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_upstream_health_shm_peer_data_t  *hp = data;

    return hp->original_set_session(pc, hp->data);
}


static void
ngx_http_upstream_health_shm_save_session(ngx_peer_connection_t *pc,
    void *data)
{
    ngx_http_upstream_health_shm_peer_data_t  *hp = data;

    hp->original_save_session(pc, hp->data);
}

#endif


/* Peers now; lines, hooks and a new mapping when the request is out of here. */

void
ngx_http_upstream_health_shm_catch_up(
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    ngx_http_upstream_health_shm_segment_t  *segment;

    segment = hscf->segment;

    if (health_load(segment->word) != segment->generation) {
        ngx_http_upstream_health_shm_sync(segment);

        ngx_post_event(segment->event, &ngx_posted_events);
    }

    if (ngx_http_upstream_health_shm_changed(hscf)
        && ngx_http_upstream_health_shm_refresh(hscf) == NGX_AGAIN)
    {
        ngx_post_event(segment->event, &ngx_posted_events);
    }
}
