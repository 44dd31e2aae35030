/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The peer of a request to an upstream without servers.
 *
 * Each try is of the snapshot in force: a request that waited long for a host
 * goes on to one that is there now, and holds no more than the hosts that it
 * was sent to.  It tries none of them twice, also if they have got another
 * place meanwhile.
 *
 * They are held by the memory pool of the request rather than until the peer is
 * freed: their names are asked for when the request is logged.
 *
 * A host that is picked is put into the slot, the only peer of the balancer
 * that we wrap, for as long as that one hands it out (see placeholder.c).
 *
 * max_fails, fail_timeout and max_conns mean what they mean to round robin,
 * but for two things: they are in milliseconds, and a kept connection that its
 * host has closed is not a failure of the host, which may be tried again.  Yet
 * a request is not sent on one kept connection after the other: it may be what
 * makes its hosts close them.
 */


#include "ngx_http_upstream_health_shm_pool.h"


/* where connections fail at once, all tries of a request are made in one turn,
 * and with many refusals each costs O(hosts) */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_MOST_TRIES  256


/* a host that a request was sent to */

typedef struct ngx_http_upstream_health_shm_held_s
    ngx_http_upstream_health_shm_held_t;

struct ngx_http_upstream_health_shm_held_s {
    ngx_http_upstream_health_shm_live_t      *live;
    ngx_http_upstream_health_shm_held_t      *next;
    ngx_uint_t                                tried;   /* not again */
};


typedef struct {
    ngx_http_upstream_health_shm_peer_data_t  hp;      /* must be first */

    ngx_http_request_t                       *request;
    ngx_http_upstream_health_shm_held_t      *held;    /* the last one first */
    ngx_http_upstream_health_shm_held_t       first;
    ngx_uint_t                                tried;   /* of those held */
    ngx_uint_t                                closed;  /* kept connections */

    ngx_http_upstream_health_shm_tier_t      *tier;    /* during a pick */

    /* of the last pick */

    ngx_uint_t                                snapshot; /* its number, or 0 */
    uint32_t                                  number;  /* in the segment */
    uint32_t                                  max_fails;

    uint32_t                                  key;
    unsigned                                  keyed:1;
} ngx_http_upstream_health_shm_pool_peer_t;


static void ngx_http_upstream_health_shm_cleanup(void *data);
static ngx_int_t ngx_http_upstream_health_shm_get_pool_peer(
    ngx_peer_connection_t *pc, void *data);
static ngx_int_t ngx_http_upstream_health_shm_find_key(
    ngx_http_upstream_health_shm_pool_peer_t *pp);
static ngx_http_upstream_health_shm_host_t *
    ngx_http_upstream_health_shm_pick(
    ngx_http_upstream_health_shm_pool_peer_t *pp,
    ngx_http_upstream_health_shm_snapshot_t *snapshot);
static ngx_uint_t ngx_http_upstream_health_shm_usable(void *data,
    ngx_uint_t i);
static ngx_uint_t ngx_http_upstream_health_shm_has_tried(
    ngx_http_upstream_health_shm_pool_peer_t *pp,
    ngx_http_upstream_health_shm_live_t *live);
static ngx_inline ngx_int_t ngx_http_upstream_health_shm_hold(
    ngx_http_upstream_health_shm_pool_peer_t *pp,
    ngx_http_upstream_health_shm_live_t *live);
static ngx_int_t ngx_http_upstream_health_shm_hand_out(
    ngx_peer_connection_t *pc, ngx_http_upstream_health_shm_pool_peer_t *pp,
    ngx_http_upstream_health_shm_host_t *host);
static void ngx_http_upstream_health_shm_free_pool_peer(
    ngx_peer_connection_t *pc, void *data, ngx_uint_t state);
static ngx_uint_t ngx_http_upstream_health_shm_closed(
    ngx_peer_connection_t *pc, ngx_uint_t state);
static void ngx_http_upstream_health_shm_observe_host(
    ngx_peer_connection_t *pc, ngx_http_upstream_health_shm_pool_peer_t *pp,
    ngx_uint_t state);
static void ngx_http_upstream_health_shm_judge_host(ngx_peer_connection_t *pc,
    ngx_http_upstream_health_shm_pool_peer_t *pp, ngx_uint_t state);
static void ngx_http_upstream_health_shm_mark_tried(
    ngx_http_upstream_health_shm_pool_peer_t *pp);
static void ngx_http_upstream_health_shm_notify_pool_peer(
    ngx_peer_connection_t *pc, void *data, ngx_uint_t type);
#if (NGX_HTTP_SSL || NGX_COMPAT)
static ngx_int_t ngx_http_upstream_health_shm_set_pool_session(
    ngx_peer_connection_t *pc, void *data);
static void ngx_http_upstream_health_shm_save_pool_session(
    ngx_peer_connection_t *pc, void *data);
#endif


/* there has been one, so there is one */

static ngx_inline ngx_uint_t
ngx_http_upstream_health_shm_has_many(
    ngx_http_upstream_health_shm_pool_peer_t *pp)
{
    ngx_http_upstream_health_shm_snapshot_t  *snapshot;

    snapshot = pp->hp.conf->snapshot;

    return snapshot && snapshot->nhosts > 1;
}


ngx_int_t
ngx_http_upstream_health_shm_init_pool_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_pool_cleanup_t                        *cln;
    ngx_peer_connection_t                     *pc;
    ngx_http_upstream_health_shm_srv_conf_t   *hscf;
    ngx_http_upstream_health_shm_pool_peer_t  *pp;

    hscf = ngx_http_conf_upstream_srv_conf(us,
                                          ngx_http_upstream_health_shm_module);

    cln = ngx_pool_cleanup_add(r->pool,
                             sizeof(ngx_http_upstream_health_shm_pool_peer_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    pp = cln->data;
    ngx_memzero(pp, sizeof(ngx_http_upstream_health_shm_pool_peer_t));

    cln->handler = ngx_http_upstream_health_shm_cleanup;

    if (ngx_http_upstream_health_shm_changed(hscf)) {
        ngx_http_upstream_health_shm_catch_up(hscf);
    }

    pp->hp.conf = hscf;
    pp->request = r;

    if (hscf->original_init_peer(r, us) != NGX_OK) {
        return NGX_ERROR;
    }

    pc = &r->upstream->peer;

    pp->hp.data = pc->data;
    pp->hp.original_get_peer = pc->get;
    pp->hp.original_free_peer = pc->free;
    pp->hp.original_notify = pc->notify;

    pc->data = pp;
    pc->get = ngx_http_upstream_health_shm_get_pool_peer;
    pc->free = ngx_http_upstream_health_shm_free_pool_peer;

    if (pc->notify) {
        pc->notify = ngx_http_upstream_health_shm_notify_pool_peer;
    }

    pc->tries = hscf->snapshot
                ? ngx_min(hscf->snapshot->usable,
                          NGX_HTTP_UPSTREAM_HEALTH_SHM_MOST_TRIES)
                : 0;

#if (NGX_HTTP_SSL || NGX_COMPAT)
    pc->set_session = ngx_http_upstream_health_shm_set_pool_session;
    pc->save_session = ngx_http_upstream_health_shm_save_pool_session;
#endif

    ngx_http_set_ctx(r, pp, ngx_http_upstream_health_shm_module);

    return NGX_OK;
}


static void
ngx_http_upstream_health_shm_cleanup(void *data)
{
    ngx_http_upstream_health_shm_pool_peer_t  *pp = data;

    ngx_http_upstream_health_shm_held_t  *held;

    for (held = pp->held; held; held = held->next) {
        held->live->tried -= held->tried;

        ngx_http_upstream_health_shm_drop_live(held->live);
    }
}


static ngx_int_t
ngx_http_upstream_health_shm_get_pool_peer(ngx_peer_connection_t *pc,
    void *data)
{
    ngx_http_upstream_health_shm_pool_peer_t  *pp = data;

    ngx_http_upstream_health_shm_host_t      *host;
    ngx_http_upstream_health_shm_srv_conf_t  *hscf;
    ngx_http_upstream_health_shm_snapshot_t  *snapshot;

    hscf = pp->hp.conf;

    if (ngx_http_upstream_health_shm_changed(hscf)) {
        ngx_http_upstream_health_shm_catch_up(hscf);
    }

    pp->hp.seq = hscf->seq;
    pp->snapshot = 0;

    snapshot = hscf->snapshot;
    host = NULL;

    if (snapshot) {

        if (snapshot->hash && !pp->keyed
            && ngx_http_upstream_health_shm_find_key(pp) != NGX_OK)
        {
            return NGX_ERROR;
        }

        host = ngx_http_upstream_health_shm_pick(pp, snapshot);
    }

    if (host == NULL) {
        pc->cached = 0;
        pc->connection = NULL;
        pc->name = &hscf->upstream->host;

        return NGX_BUSY;
    }

    if (ngx_http_upstream_health_shm_hold(pp, host->live) != NGX_OK) {
        return NGX_ERROR;
    }

    pp->snapshot = snapshot->number;
    pp->max_fails = host->max_fails;

    return ngx_http_upstream_health_shm_hand_out(pc, pp, host);
}


static ngx_int_t
ngx_http_upstream_health_shm_find_key(
    ngx_http_upstream_health_shm_pool_peer_t *pp)
{
    ngx_str_t            key;
    ngx_http_request_t  *r;

    r = pp->request;
    key = r->connection->addr_text;

    if (pp->hp.conf->key
        && ngx_http_complex_value(r, pp->hp.conf->key, &key) != NGX_OK)
    {
        return NGX_ERROR;
    }

    pp->key = ngx_murmur_hash2(key.data, key.len);
    pp->keyed = 1;

    return NGX_OK;
}


/* The next tier takes over when nobody in the earlier ones takes a request. */

static ngx_http_upstream_health_shm_host_t *
ngx_http_upstream_health_shm_pick(ngx_http_upstream_health_shm_pool_peer_t *pp,
    ngx_http_upstream_health_shm_snapshot_t *snapshot)
{
    ngx_uint_t                            i, t;
    ngx_http_upstream_health_shm_tier_t  *tier;

    for (t = snapshot->first; t < snapshot->ntiers; t++) {
        tier = &snapshot->tiers[t];

        if (tier->usable == 0) {
            continue;
        }

        pp->tier = tier;

        i = ngx_http_upstream_health_shm_balance_pick(tier->balance, pp->key,
                                      ngx_http_upstream_health_shm_usable, pp);

        if (i != NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE) {
            pp->number = tier->first + i;
            return &tier->hosts[i];
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_http_upstream_health_shm_usable(void *data, ngx_uint_t i)
{
    ngx_http_upstream_health_shm_pool_peer_t  *pp = data;

    ngx_http_upstream_health_shm_host_t  *host;
    ngx_http_upstream_health_shm_live_t  *live;

    host = &pp->tier->hosts[i];
    live = host->live;

    if (live->weight == 0) {
        return 0;
    }

    if (live->fails && host->max_fails && live->fails >= host->max_fails
        && ngx_http_upstream_health_shm_has_many(pp)
        && ngx_current_msec - live->checked <= host->fail_timeout)
    {
        return 0;
    }

    if (host->max_conns && live->conns >= host->max_conns) {
        return 0;
    }

    return !(live->tried && pp->tried
             && ngx_http_upstream_health_shm_has_tried(pp, live));
}


/* asked about hosts only that some request has tried: those are not many */

static ngx_uint_t
ngx_http_upstream_health_shm_has_tried(
    ngx_http_upstream_health_shm_pool_peer_t *pp,
    ngx_http_upstream_health_shm_live_t *live)
{
    ngx_http_upstream_health_shm_held_t  *held;

    for (held = pp->held; held; held = held->next) {
        if (held->live == live && held->tried) {
            return 1;
        }
    }

    return 0;
}


static ngx_inline ngx_int_t
ngx_http_upstream_health_shm_hold(ngx_http_upstream_health_shm_pool_peer_t *pp,
    ngx_http_upstream_health_shm_live_t *live)
{
    ngx_http_upstream_health_shm_held_t  *held;

    held = &pp->first;

    if (pp->held) {

        if (pp->held->live == live) {
            return NGX_OK;
        }

        held = ngx_palloc(pp->request->pool,
                          sizeof(ngx_http_upstream_health_shm_held_t));
        if (held == NULL) {
            return NGX_ERROR;
        }
    }

    held->live = live;
    held->tried = 0;
    held->next = pp->held;

    pp->held = held;
    live->refs++;

    return NGX_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_hand_out(ngx_peer_connection_t *pc,
    ngx_http_upstream_health_shm_pool_peer_t *pp,
    ngx_http_upstream_health_shm_host_t *host)
{
    ngx_int_t                             rc;
    ngx_http_upstream_rr_peer_t          *slot, empty;
    ngx_http_upstream_health_shm_live_t  *live;

    slot = pp->hp.conf->slot;

    empty.sockaddr = slot->sockaddr;
    empty.socklen = slot->socklen;
    empty.name = slot->name;

    live = host->live;

    slot->sockaddr = live->sockaddr;
    slot->socklen = live->socklen;
    slot->name = live->name;

    rc = pp->hp.original_get_peer(pc, pp->hp.data);

    slot->sockaddr = empty.sockaddr;
    slot->socklen = empty.socklen;
    slot->name = empty.name;

    /* NGX_DONE: with a kept connection */

    if (rc != NGX_OK && rc != NGX_DONE) {
        pp->snapshot = 0;
        return rc;
    }

    pc->name = &live->name;

    if (ngx_current_msec - live->checked > host->fail_timeout) {
        live->checked = ngx_current_msec;
    }

    live->conns++;

    if (live->balance) {
        ngx_http_upstream_health_shm_balance_use(live->balance, live->index);
    }

    return rc;
}


static void
ngx_http_upstream_health_shm_free_pool_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state)
{
    ngx_http_upstream_health_shm_pool_peer_t  *pp = data;

    ngx_uint_t                            tries, closed;
    ngx_http_upstream_health_shm_live_t  *live;

    tries = pc->tries;
    closed = ngx_http_upstream_health_shm_closed(pc, state);

    if (state || pp->hp.conf->any.observe == HEALTH_OBSERVE_STATUS) {
        ngx_http_upstream_health_shm_observe_host(pc, pp, state);
    }

    pp->hp.original_free_peer(pc, pp->hp.data, state);

    /* for round robin, there was one peer */

    pc->tries = tries ? tries - 1 : 0;

    if (pp->snapshot == 0) {
        return;
    }

    live = pp->held->live;

    live->conns--;

    if (live->balance) {
        ngx_http_upstream_health_shm_balance_done(live->balance, live->index);
    }

    if (!closed) {
        ngx_http_upstream_health_shm_judge_host(pc, pp, state);

    } else if (ngx_http_upstream_health_shm_has_many(pp)
               && ++pp->closed > pp->hp.conf->snapshot->usable)
    {
        ngx_http_upstream_health_shm_mark_tried(pp);
    }
}


/* a kept connection on which nothing came back: nginx adds a try for it */

static ngx_uint_t
ngx_http_upstream_health_shm_closed(ngx_peer_connection_t *pc,
    ngx_uint_t state)
{
    ngx_connection_t     *c;
    ngx_http_upstream_t  *u;

    c = pc->connection;

    if (!(state & NGX_PEER_FAILED) || !pc->cached || c == NULL
        || c->read->timedout || c->write->timedout)
    {
        return 0;
    }

    u = (ngx_http_upstream_t *) ((u_char *) pc
                                 - offsetof(ngx_http_upstream_t, peer));

    return u->state->bytes_received == 0;
}


static void
ngx_http_upstream_health_shm_observe_host(ngx_peer_connection_t *pc,
    ngx_http_upstream_health_shm_pool_peer_t *pp, ngx_uint_t state)
{
    ngx_uint_t                                status;
    ngx_http_upstream_health_shm_srv_conf_t  *hscf;

    hscf = pp->hp.conf;

    /* hosts of the topology before have no numbers any more */

    if (pp->snapshot == 0 || hscf->snapshot == NULL
        || pp->snapshot != hscf->snapshot->number
        || hscf->foreign || !hscf->segment->mapped
        || !ngx_http_upstream_health_shm_failed(pc, hscf, state, &status))
    {
        return;
    }

    if (pp->number < hscf->segment->shm.host_count) {
        ngx_http_upstream_health_shm_report(hscf->segment, pp->number, status);
    }
}


static void
ngx_http_upstream_health_shm_judge_host(ngx_peer_connection_t *pc,
    ngx_http_upstream_health_shm_pool_peer_t *pp, ngx_uint_t state)
{
    ngx_http_upstream_health_shm_live_t  *live;

    live = pp->held->live;

    if (state) {
        ngx_http_upstream_health_shm_mark_tried(pp);
    }

    if (!(state & NGX_PEER_FAILED)) {

        /* mark host live if check passed */

        if ((ngx_msec_int_t) (live->accessed - live->checked) < 0) {
            live->fails = 0;
        }

        return;
    }

    live->fails++;
    live->accessed = ngx_current_msec;
    live->checked = ngx_current_msec;

    if (pp->max_fails && live->fails >= pp->max_fails
        && ngx_http_upstream_health_shm_has_many(pp))
    {
        ngx_log_error(NGX_LOG_WARN, pc->log, 0,
                      "upstream server temporarily disabled");
    }
}


static void
ngx_http_upstream_health_shm_mark_tried(
    ngx_http_upstream_health_shm_pool_peer_t *pp)
{
    if (pp->held->tried) {
        return;
    }

    pp->held->tried = 1;
    pp->held->live->tried++;
    pp->tried++;
}


static void
ngx_http_upstream_health_shm_notify_pool_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t type)
{
    ngx_http_upstream_health_shm_pool_peer_t  *pp = data;

    pp->hp.original_notify(pc, pp->hp.data, type);
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_upstream_health_shm_set_pool_session(ngx_peer_connection_t *pc,
    void *data)
{
    ngx_http_upstream_health_shm_pool_peer_t  *pp = data;

    return ngx_ssl_set_session(pc->connection, pp->held->live->ssl_session);
}


static void
ngx_http_upstream_health_shm_save_pool_session(ngx_peer_connection_t *pc,
    void *data)
{
    ngx_http_upstream_health_shm_pool_peer_t  *pp = data;

    ngx_ssl_session_t                    *session;
    ngx_http_upstream_health_shm_live_t  *live;

    session = ngx_ssl_get_session(pc->connection);

    if (session == NULL) {
        return;
    }

    live = pp->held->live;

    if (live->ssl_session) {
        ngx_ssl_free_session(live->ssl_session);
    }

    live->ssl_session = session;
}

#elif (NGX_COMPAT)

/* Built without SSL, for an nginx that may have it: sessions are not kept. */

static ngx_int_t
ngx_http_upstream_health_shm_set_pool_session(ngx_peer_connection_t *pc,
    void *data)
{
    return NGX_OK;
}


static void
ngx_http_upstream_health_shm_save_pool_session(ngx_peer_connection_t *pc,
    void *data)
{
    /* void */
}

#endif
