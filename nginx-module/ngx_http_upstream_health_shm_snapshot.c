/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Snapshots: what a worker makes of the pools of an upstream without servers
 * when a segment is mapped, and how the weights in it follow the host words.
 *
 * A snapshot is built outside of requests, in the turn of the event loop that
 * maps the segment; until then the one before it serves.  It takes O(hosts)
 * and all memory that it needs at once.
 *
 * The file is not trusted: each number is read once and checked, texts are
 * bounded, and addresses are spelled anew from their binary form, since they
 * end up in logs and in what $upstream_addr is used for.  A host that has no
 * address nginx could connect to keeps its place and never gets a request.
 *
 * A host is the same one in the next topology if pool, id and address are.
 * They are compared by 64 bits of hash, and a host is taken over once: should
 * two ever be mistaken for each other, one inherits the failures of the other.
 *
 * While health is ignored, a host takes requests unless a person took it out.
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

    /* hosts of the one before, by identity; a power of two places */
    ngx_http_upstream_health_shm_host_t      **known;
    ngx_uint_t                                 places;

    /* for a tier's balance */
    ngx_str_t                                 *names;
    uint32_t                                  *weights;
    uint32_t                                  *configured;
} ngx_http_upstream_health_shm_build_t;


static ngx_int_t ngx_http_upstream_health_shm_build(
    ngx_http_upstream_health_shm_build_t *b);
static ngx_int_t ngx_http_upstream_health_shm_rank(
    ngx_http_upstream_health_shm_build_t *b);
static ngx_int_t ngx_http_upstream_health_shm_know(
    ngx_http_upstream_health_shm_build_t *b);
static ngx_int_t ngx_http_upstream_health_shm_add_tier(
    ngx_http_upstream_health_shm_build_t *b, ngx_uint_t t, uint32_t first,
    uint32_t n);
static ngx_int_t ngx_http_upstream_health_shm_add_host(
    ngx_http_upstream_health_shm_build_t *b,
    ngx_http_upstream_health_shm_host_t *host, uint32_t number);
static ngx_int_t ngx_http_upstream_health_shm_set_address(
    ngx_pool_t *pool, struct health_shm *shm,
    ngx_http_upstream_health_shm_host_t *host, uint32_t number);
static uint64_t ngx_http_upstream_health_shm_identity(
    ngx_http_upstream_health_shm_build_t *b,
    ngx_http_upstream_health_shm_host_t *host, uint32_t number);
static ngx_int_t ngx_http_upstream_health_shm_find_live(
    ngx_http_upstream_health_shm_build_t *b,
    ngx_http_upstream_health_shm_host_t *host);
static void ngx_http_upstream_health_shm_link_tiers(
    ngx_http_upstream_health_shm_build_t *b);
static void ngx_http_upstream_health_shm_put_in_force(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_snapshot_t *snapshot);
static void ngx_http_upstream_health_shm_free_live(
    ngx_http_upstream_health_shm_live_t *live);
static void ngx_http_upstream_health_shm_weigh(
    ngx_http_upstream_health_shm_snapshot_t *snapshot, ngx_uint_t t,
    ngx_uint_t i, uint32_t weight);
static uint32_t ngx_http_upstream_health_shm_weight(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_host_t *host);
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
        || ngx_http_upstream_health_shm_know(b) != NGX_OK)
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
ngx_http_upstream_health_shm_know(ngx_http_upstream_health_shm_build_t *b)
{
    ngx_uint_t                                i, n;
    ngx_http_upstream_health_shm_host_t      *host;
    ngx_http_upstream_health_shm_snapshot_t  *before;

    before = b->conf->snapshot;

    if (before == NULL) {
        return NGX_OK;
    }

    for (n = 2; n < 2 * before->nhosts; n *= 2) { /* void */ }

    b->places = n;
    b->known = ngx_pcalloc(b->temp,
                           n * sizeof(ngx_http_upstream_health_shm_host_t *));
    if (b->known == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < before->nhosts; i++) {
        host = &before->hosts[i];
        n = host->identity & (b->places - 1);

        while (b->known[n]) {
            n = (n + 1) & (b->places - 1);
        }

        b->known[n] = host;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_add_tier(ngx_http_upstream_health_shm_build_t *b,
    ngx_uint_t t, uint32_t first, uint32_t n)
{
    uint32_t                                  i, method;
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
        b->configured[i] = *(const volatile uint16_t *)
                                           &b->shm->details[first + i].weight;

        if (b->configured[i] == 0) {
            b->configured[i] = health_word_weight(host->word)
                               / HEALTH_WEIGHT_UNIT;
        }
    }

    method = *(const volatile uint8_t *)
                                     &b->shm->pools[b->ranks[t].pool].balance;

    tier->balance = ngx_http_upstream_health_shm_balance_create(snapshot->pool,
                            method, n, b->names, b->weights, b->configured,
                            (uint32_t) ngx_random() ^ (uint32_t) ngx_pid);
    if (tier->balance == NULL) {
        return NGX_ERROR;
    }

    snapshot->ntiers++;
    snapshot->hash |= (method == HEALTH_HASH);

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

    if (ngx_http_upstream_health_shm_set_address(b->snapshot->pool, b->shm,
                                                 host, number)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    host->identity = ngx_http_upstream_health_shm_identity(b, host, number);

    ngx_http_upstream_health_shm_add_observe(b->conf, h);

    return ngx_http_upstream_health_shm_find_live(b, host);
}


/* NGX_DECLINED: it has none that could be connected to */

static ngx_int_t
ngx_http_upstream_health_shm_set_address(ngx_pool_t *pool,
    struct health_shm *shm, ngx_http_upstream_health_shm_host_t *host,
    uint32_t number)
{
    size_t                len, i;
    u_char                key[NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_LEN];
    u_char                text[NGX_SOCKADDR_STRLEN];
    ngx_sockaddr_t        sa;

    len = ngx_http_upstream_health_shm_host_key(shm, number, key);

    if (len == 0) {
        return NGX_DECLINED;
    }

    ngx_memzero(&sa, sizeof(ngx_sockaddr_t));

    switch (key[0]) {

    case HEALTH_IPV4:
        host->socklen = sizeof(struct sockaddr_in);
        sa.sockaddr_in.sin_family = AF_INET;
        ngx_memcpy(&sa.sockaddr_in.sin_port, &key[1], 2);
        ngx_memcpy(&sa.sockaddr_in.sin_addr, &key[3], 4);
        break;

#if (NGX_HAVE_INET6)
    case HEALTH_IPV6:
        host->socklen = sizeof(struct sockaddr_in6);
        sa.sockaddr_in6.sin6_family = AF_INET6;
        ngx_memcpy(&sa.sockaddr_in6.sin6_port, &key[1], 2);
        ngx_memcpy(&sa.sockaddr_in6.sin6_addr, &key[3], 16);
        break;
#endif

#if (NGX_HAVE_UNIX_DOMAIN)
    case HEALTH_UNIX:
        len -= 3;

        if (len >= sizeof(sa.sockaddr_un.sun_path)) {
            return NGX_DECLINED;
        }

        for (i = 3; i < 3 + len; i++) {
            if (key[i] < 0x20 || key[i] == 0x7f) {
                return NGX_DECLINED;
            }
        }

        host->socklen = sizeof(struct sockaddr_un);
        sa.sockaddr_un.sun_family = AF_UNIX;
        ngx_memcpy(sa.sockaddr_un.sun_path, &key[3], len);
        break;
#endif

    default:
        return NGX_DECLINED;
    }

    host->name.len = ngx_sock_ntop(&sa.sockaddr, host->socklen, text,
                                   NGX_SOCKADDR_STRLEN, 1);

    host->name.data = ngx_pnalloc(pool, host->name.len);
    host->sockaddr = ngx_palloc(pool, host->socklen);

    if (host->name.data == NULL || host->sockaddr == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(host->name.data, text, host->name.len);
    ngx_memcpy(host->sockaddr, &sa, host->socklen);

    return NGX_OK;
}


static uint64_t
ngx_http_upstream_health_shm_identity(ngx_http_upstream_health_shm_build_t *b,
    ngx_http_upstream_health_shm_host_t *host, uint32_t number)
{
    uint32_t    at[2], hash[2], rest;
    ngx_uint_t  i;

    at[0] = ngx_http_upstream_health_shm_get32(&b->shm->hosts[number].id);
    at[1] = ngx_http_upstream_health_shm_get32(&b->shm->hosts[number].pool);
    at[1] = (at[1] < b->shm->pool_count)
            ? ngx_http_upstream_health_shm_get32(&b->shm->pools[at[1]].name)
            : 0;

    for (i = 0; i < 2; i++) {
        if (at[i] >= b->shm->strings_size) {
            at[i] = 0;
        }

        rest = ngx_min(b->shm->strings_size - at[i], HEALTH_NAME_SIZE);

        hash[i] = ngx_murmur_hash2((u_char *) b->shm->strings + at[i],
                                   strnlen(b->shm->strings + at[i], rest));
    }

    return (uint64_t) hash[0] << 32
           ^ (uint64_t) hash[1] << 16
           ^ ngx_murmur_hash2(host->name.data, host->name.len);
}


static ngx_int_t
ngx_http_upstream_health_shm_find_live(ngx_http_upstream_health_shm_build_t *b,
    ngx_http_upstream_health_shm_host_t *host)
{
    ngx_uint_t                             n;
    ngx_http_upstream_health_shm_live_t   *live;

    live = NULL;

    if (b->known) {

        for (n = host->identity & (b->places - 1);
             b->known[n];
             n = (n + 1) & (b->places - 1))
        {
            if (b->known[n]->identity == host->identity
                && b->known[n]->live->taken == 0)
            {
                live = b->known[n]->live;
                live->taken = 1;
                break;
            }
        }
    }

    if (live == NULL) {
        live = ngx_calloc(sizeof(ngx_http_upstream_health_shm_live_t),
                          ngx_cycle->log);
        if (live == NULL) {
            return NGX_ERROR;
        }
    }

    live->refs++;
    host->live = live;

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

        if (--live->refs == 0) {
            ngx_http_upstream_health_shm_free_live(live);
        }
    }

    snapshot->pool->log = ngx_cycle->log;

    ngx_destroy_pool(snapshot->pool);
}


static void
ngx_http_upstream_health_shm_free_live(
    ngx_http_upstream_health_shm_live_t *live)
{
#if (NGX_HTTP_SSL)

    if (live->ssl_session) {
        ngx_ssl_free_session(live->ssl_session);
    }

#endif

    ngx_free(live);
}


/* Brings all weights in line, whatever was done before. */

void
ngx_http_upstream_health_shm_weigh_all(
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    ngx_uint_t                                t, i;
    ngx_http_upstream_health_shm_host_t      *host;
    ngx_http_upstream_health_shm_tier_t      *tier;
    ngx_http_upstream_health_shm_segment_t   *segment;
    ngx_http_upstream_health_shm_snapshot_t  *snapshot;

    snapshot = hscf->snapshot;
    segment = hscf->segment;

    if (snapshot == NULL) {
        return;
    }

    for (t = 0; t < snapshot->ntiers; t++) {
        tier = &snapshot->tiers[t];

        for (i = 0; i < tier->nhosts; i++) {
            host = &tier->hosts[i];

            if (segment->mapped && tier->first + i < segment->shm.host_count) {
                host->word = health_shm_word(&segment->shm, tier->first + i);
            }

            ngx_http_upstream_health_shm_weigh(snapshot, t, i,
                            ngx_http_upstream_health_shm_weight(hscf, host));
        }
    }
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

    if (t >= snapshot->ntiers) {
        return;
    }

    tier = &snapshot->tiers[t];

    if (host < tier->first || host - tier->first >= tier->nhosts) {
        return;
    }

    i = host - tier->first;

    tier->hosts[i].word = health_shm_word(&hscf->segment->shm, host);

    ngx_http_upstream_health_shm_weigh(snapshot, t, i,
                 ngx_http_upstream_health_shm_weight(hscf, &tier->hosts[i]));
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

    if (live->weight == weight) {
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

    while (snapshot->first < snapshot->ntiers
           && snapshot->tiers[snapshot->first].usable == 0)
    {
        snapshot->first++;
    }
}


static uint32_t
ngx_http_upstream_health_shm_weight(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    ngx_http_upstream_health_shm_host_t *host)
{
    if (host->sockaddr == NULL) {
        return 0;
    }

    if (hscf->active ? !health_word_routable(host->word)
                     : health_word_admin(host->word) != HEALTH_AUTO)
    {
        return 0;
    }

    return health_word_weight(host->word);
}


/* An upstream that nobody can be sent to, or a host: said once for each file. */

void
ngx_http_upstream_health_shm_name_missing(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_log_t *log)
{
    ngx_http_upstream_health_shm_snapshot_t  *snapshot;

    snapshot = hscf->snapshot;

    if (!hscf->unnamed || snapshot == NULL) {
        return;
    }

    if (snapshot->nhosts && snapshot->unusable == 0) {
        hscf->unnamed = 0;
        return;
    }

    switch (ngx_http_upstream_health_shm_say_unknown(hscf,
                                                     snapshot->unusable)) {
    case NGX_AGAIN:
        return;

    case NGX_OK:

        if (snapshot->nhosts == 0) {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "upstream_health: segment \"%V\" has no hosts for "
                          "upstream \"%V\" as \"%V\"",
                          &hscf->segment->path, &hscf->upstream->host,
                          &hscf->name);

        } else {
            ngx_log_error(NGX_LOG_WARN, log, 0,
                          "upstream_health: %ui hosts of upstream \"%V\" in "
                          "segment \"%V\" have no usable address",
                          snapshot->unusable, &hscf->upstream->host,
                          &hscf->segment->path);
        }
    }

    hscf->unnamed = 0;
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
