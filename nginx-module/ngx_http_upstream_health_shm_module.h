/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the module share.  Who owns what:
 *
 *   main conf   one per cycle; the timer, the segments, the bound handlers
 *   segment     one per path and cycle; the mapping of this worker and how far
 *               it has acted on it.  Lives in the cycle's pool; the mapping and
 *               `pool` (the tables made from it) are replaced when the file is
 *   srv conf    one per upstream{}; settings, and for a covered one the tables
 *               that lead from a host of the segment to nginx's peers
 *   shared      one per path, in an nginx shared zone that outlives reloads;
 *               what has been said already, so that it is said once
 *
 *   snapshot    for an upstream without servers, what a worker made of its
 *               pools; goes with the last request that uses it, see pool.h
 *
 * module.c     directives, covering upstreams
 * placeholder.c  upstreams without servers, and what nginx makes of them
 * peer.c       the wrapped peer handlers
 * pool.c       those of an upstream without servers
 * snapshot.c   how one takes over from the other
 * retire.c     how the other goes
 * build.c      its tiers and hosts
 * host.c       addresses and names of these
 * live.c       what traffic tells of them
 * weights.c    from host words to what they get
 * balance.c    which of them is next
 * segment.c    mapping, replacing, heartbeat, the timer
 * condition.c  what is said of the file
 * renew.c      what takes longer than a request should wait
 * match.c      which host is which peer
 * address.c    by their addresses
 * unknown.c    what is no peer, what is no host
 * sync.c       from host words to peer->down
 * zone.c       the shared zone
 * events.c     event lines and the hook
 * report.c     live failures, told to checkerd
 * variables.c  what a configuration can ask
 */


#ifndef _NGX_HTTP_UPSTREAM_HEALTH_SHM_MODULE_H_INCLUDED_
#define _NGX_HTTP_UPSTREAM_HEALTH_SHM_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "ngx_http_upstream_health_shm.h"


#ifdef angie_version
#error "Angie takes the peer data of any module for round robin's own"
#endif


/* Only the hook is for others; calls among our own files need no table. */

#pragma GCC visibility push(hidden)


/*
 * Our bit of peer->down.  nginx itself sets 1 (down) and, since "sticky", 8
 * (drain), and tests the whole word; commercial builds use a few low bits
 * more.  "sticky" passes a peer that has no other bit than 8, so ours wins.
 */

#define NGX_HTTP_UPSTREAM_HEALTH_SHM_DOWN    0x40000000

#define NGX_HTTP_UPSTREAM_HEALTH_SHM_TICK    1000   /* ms */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_SOON    20     /* ms, if work is left */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_BATCH   64     /* events at a time */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_WORK    64     /* hosts at a time */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_SLICE   2000   /* us, of such work */

/* what can be said once is kept by keys with one of these at their top */

#define NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_USABLE   ((uint64_t) 1 << 62)
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_STALE    ((uint64_t) 2 << 62)
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_UNKNOWN  ((uint64_t) 3 << 62)


#if (NGX_HTTP_UPSTREAM_ZONE && nginx_version >= 1027003)
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_RESOLVE  1
#endif


typedef struct ngx_http_upstream_health_shm_srv_conf_s
    ngx_http_upstream_health_shm_srv_conf_t;


/* family, port, and an address or the path of a unix socket */

#define NGX_HTTP_UPSTREAM_HEALTH_SHM_KEY_LEN                                  \
    (1 + 2 + sizeof(((struct sockaddr_un *) 0)->sun_path))

#define NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE    ((ngx_uint_t) -1)

/* hosts of one upstream that may share an address */

#define NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_SAME  256


/* a host of the segment by its address */

typedef struct {
    ngx_str_t                                 key;
    uint32_t                                  host;
} ngx_http_upstream_health_shm_address_t;


/* a peer, and the first of the equal addresses that are its own, if any */

typedef struct {
    ngx_uint_t                                address;
    ngx_http_upstream_rr_peer_t              *peer;
} ngx_http_upstream_health_shm_member_t;


/* peers that are looked at under one lock */

#define NGX_HTTP_UPSTREAM_HEALTH_SHM_AT_ONCE  256


/* a list of peers as it was when its members were written down */

typedef struct {
    ngx_http_upstream_rr_peers_t             *peers;
    ngx_http_upstream_rr_peer_t              *peer;
    ngx_uint_t                                number;
    ngx_http_upstream_health_shm_member_t    *members;  /* by address */
    ngx_uint_t                                nmembers;
} ngx_http_upstream_health_shm_list_t;


/* tiers and hosts of an upstream without servers, see pool.h */

typedef struct ngx_http_upstream_health_shm_snapshot_s
    ngx_http_upstream_health_shm_snapshot_t;


typedef struct ngx_http_upstream_health_shm_build_s
    ngx_http_upstream_health_shm_build_t;


/* covered upstreams of a pool of the segment */

typedef struct ngx_http_upstream_health_shm_link_s
    ngx_http_upstream_health_shm_link_t;

struct ngx_http_upstream_health_shm_link_s {
    ngx_http_upstream_health_shm_srv_conf_t  *conf;
    ngx_http_upstream_health_shm_link_t      *next;
    ngx_uint_t                                tier;  /* of conf->snapshot */
};


typedef struct {
    uint64_t                                  key;
    uint64_t                                  value;
} ngx_http_upstream_health_shm_said_t;


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_SAID  2048

typedef struct {
    ngx_atomic_t                              cycle;   /* in force */
    uint64_t                                  started_us;

    uint64_t                                  stream;
    uint64_t                                  logged;

    /* the newest file that any worker has mapped */

    uint64_t                                  ticket;
    uint64_t                                  device;
    uint64_t                                  inode;
    uint64_t                                  created_at_us;
    uint64_t                                  heartbeat;
    ngx_msec_t                                moved;

    ngx_http_upstream_health_shm_said_t
                                   said[NGX_HTTP_UPSTREAM_HEALTH_SHM_SAID];
} ngx_http_upstream_health_shm_shared_t;


typedef struct ngx_http_upstream_health_shm_failure_s
    ngx_http_upstream_health_shm_failure_t;


typedef struct {
    ngx_str_t                                 path;
    struct sockaddr_un                        report;
    ngx_array_t                               upstreams;  /* srv conf * */
    ngx_shm_zone_t                           *shm_zone;
    ngx_http_upstream_health_shm_shared_t    *shared;
    ngx_slab_pool_t                          *shpool;
    ngx_event_t                              *event;
    ngx_atomic_uint_t                         cycle;      /* shared's */

    /* of this worker; what was seen last */

    const uint64_t                           *word;
    uint64_t                                  generation;
    uint64_t                                  seq;
    uint64_t                                  ticket;     /* 0: none yet */

    struct health_shm                         shm;
    struct health_shm                         former;  /* size: still mapped */
    uint64_t                                  device;
    uint64_t                                  inode;
    ngx_pool_t                               *pool;
    ngx_http_upstream_health_shm_link_t     **links;  /* by pool */

    uint64_t                                  heartbeat;
    ngx_msec_t                                moved;

    uint64_t                                  stream;     /* of what is seen */
    uint64_t                                  seen;
    uint64_t                                  lost;

    ngx_msec_t                                hello;      /* when it is due */
    ngx_event_t                               flush;
    ngx_http_upstream_health_shm_failure_t   *failures;

    uint64_t                                  said;
    ngx_err_t                                 err;
    const char                               *reason;     /* of a refusal */
    ngx_file_info_t                           refused;

    unsigned                                  mapped:1;
    unsigned                                  all:1;      /* hosts to sync */
    unsigned                                  renewing:1;
    unsigned                                  silent:1;   /* has left */
} ngx_http_upstream_health_shm_segment_t;


typedef struct {
    ngx_http_upstream_health_shm_handler_pt   handler;
    void                                     *data;
} ngx_http_upstream_health_shm_hook_t;


typedef struct {
    ngx_cycle_t                              *cycle;
    ngx_event_t                               event;
    ngx_array_t                               segments;  /* segment * */
    ngx_array_t                               upstreams; /* srv conf * */
    ngx_array_t                               hooks;
} ngx_http_upstream_health_shm_main_conf_t;


struct ngx_http_upstream_health_shm_srv_conf_s {
    ngx_flag_t                                enable;
    ngx_str_t                                 path;
    ngx_str_t                                 name;
    ngx_msec_t                                stale;
    ngx_http_complex_value_t                 *key;

    /* the rest is for covered upstreams only */

    ngx_http_upstream_health_shm_segment_t   *segment;
    ngx_http_upstream_srv_conf_t             *upstream;
    ngx_str_t                                 variable;
    ngx_http_upstream_init_peer_pt            original_init_peer;

    /* the segment's, and what this upstream is in line with; while it is not,
     * a generation that there is not */

    const uint64_t                           *word;
    uint64_t                                  generation;
    uint64_t                                  seq;

    ngx_http_upstream_health_shm_address_t   *addresses;
    ngx_uint_t                                naddresses;
    ngx_http_upstream_health_shm_list_t       lists[2]; /* primary, backup */
    uint32_t                                 *pools;
    ngx_uint_t                                npools;

    /* without servers: what it has instead, and the peer to hand it out by */

    ngx_http_upstream_health_shm_snapshot_t  *snapshot;
    ngx_http_upstream_health_shm_build_t     *build;     /* of the next one */
    ngx_msec_t                                later;     /* not before */
    ngx_http_upstream_rr_peer_t              *slot;

    /* all that any of its hosts wants to be told of live traffic */
    struct health_host                        any;

#if (NGX_HTTP_UPSTREAM_HEALTH_SHM_RESOLVE)
    ngx_uint_t                               *config;
    ngx_uint_t                                config_seen;
#endif

    uint64_t                                  said;

    unsigned                                  explicit:1;
    unsigned                                  placed:1;  /* a placeholder */
    unsigned                                  late:1;    /* after a balancer */
    unsigned                                  pooled:1;  /* has no servers */
    unsigned                                  outdated:1; /* the snapshot */
    unsigned                                  foreign:1; /* of another file */
    unsigned                                  active:1;
    unsigned                                  pending:1; /* look at all hosts */
    unsigned                                  complete:1; /* all are known */
    unsigned                                  unnamed:1;
};


typedef struct {
    ngx_http_upstream_health_shm_srv_conf_t  *conf;
    uint64_t                                  seq;

    void                                     *data;

    ngx_event_get_peer_pt                     original_get_peer;
    ngx_event_free_peer_pt                    original_free_peer;
    ngx_event_notify_peer_pt                  original_notify;

#if (NGX_HTTP_SSL || NGX_COMPAT)
    ngx_event_set_peer_session_pt             original_set_session;
    ngx_event_save_peer_session_pt            original_save_session;
#endif
} ngx_http_upstream_health_shm_peer_data_t;


/* A number that is checked must not be read again: the file is not ours. */

static ngx_inline uint32_t
ngx_http_upstream_health_shm_get32(const uint32_t *p)
{
    return *(const volatile uint32_t *) p;
}


static ngx_inline ngx_uint_t
ngx_http_upstream_health_shm_changed(
    ngx_http_upstream_health_shm_srv_conf_t *hscf)
{
    if (health_load(hscf->word) != hscf->generation) {
        return 1;
    }

#if (NGX_HTTP_UPSTREAM_HEALTH_SHM_RESOLVE)

    if (hscf->config
        && *(volatile ngx_uint_t *) hscf->config != hscf->config_seen)
    {
        return 1;
    }

#endif

    return 0;
}


/* Is it still the list that was written down?  Under the lock of `peers`. */

static ngx_inline ngx_uint_t
ngx_http_upstream_health_shm_same(ngx_http_upstream_health_shm_list_t *list,
    ngx_http_upstream_rr_peers_t *peers)
{
    return list->peers == peers
           && list->peer == peers->peer
           && list->number == peers->number;
}


/* For what is done for n hosts without a stop: many have a turn to themselves.
 * They cost less there than in what counts as work. */

static ngx_inline ngx_int_t
ngx_http_upstream_health_shm_at_once(ngx_uint_t *work, ngx_uint_t n)
{
    if (*work < n && *work < NGX_HTTP_UPSTREAM_HEALTH_SHM_WORK) {
        *work = 0;
        return NGX_AGAIN;
    }

    *work -= ngx_min(*work, n);

    return NGX_OK;
}


/* placeholder.c */

char *ngx_http_upstream_health_shm_place(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_srv_conf_t *hscf);
char *ngx_http_upstream_health_shm_init_main_conf(ngx_conf_t *cf, void *conf);

/* peer.c */

void ngx_http_upstream_health_shm_catch_up(
    ngx_http_upstream_health_shm_srv_conf_t *hscf);
ngx_int_t ngx_http_upstream_health_shm_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);

/* segment.c */

const char *ngx_http_upstream_health_shm_map(ngx_str_t *path,
    struct health_shm *shm, ngx_file_info_t *fi, ngx_err_t *err);
void ngx_http_upstream_health_shm_unmap(struct health_shm *shm);
void ngx_http_upstream_health_shm_unmapped(
    ngx_http_upstream_health_shm_segment_t *segment);
void ngx_http_upstream_health_shm_start(
    ngx_http_upstream_health_shm_main_conf_t *hmcf, ngx_cycle_t *cycle);
void ngx_http_upstream_health_shm_stop(void *data);
void ngx_http_upstream_health_shm_leave(void);
void ngx_http_upstream_health_shm_unmap_former(
    ngx_http_upstream_health_shm_segment_t *segment, size_t size);
ngx_int_t ngx_http_upstream_health_shm_soon(void);

/* renew.c */

ngx_int_t ngx_http_upstream_health_shm_renew(
    ngx_http_upstream_health_shm_segment_t *segment, uint64_t until_us);
uint64_t ngx_http_upstream_health_shm_now_us(void);

/* condition.c */

void ngx_http_upstream_health_shm_say_usable(
    ngx_http_upstream_health_shm_segment_t *segment, ngx_log_t *log);
void ngx_http_upstream_health_shm_say_stale(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_log_t *log);

/* match.c */

ngx_int_t ngx_http_upstream_health_shm_link_pools(
    ngx_http_upstream_health_shm_segment_t *segment);
ngx_int_t ngx_http_upstream_health_shm_match(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t *work);
uint32_t ngx_http_upstream_health_shm_pool_hosts(struct health_shm *shm,
    uint32_t p, uint32_t *first);
void ngx_http_upstream_health_shm_add_observe(
    ngx_http_upstream_health_shm_srv_conf_t *hscf,
    const struct health_host *host);

/* address.c */

size_t ngx_http_upstream_health_shm_host_key(struct health_shm *shm,
    uint32_t host, u_char *buf);
ngx_uint_t ngx_http_upstream_health_shm_find(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, u_char *key, size_t len);
ngx_uint_t ngx_http_upstream_health_shm_find_sockaddr(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, struct sockaddr *sa,
    socklen_t socklen);
ngx_uint_t ngx_http_upstream_health_shm_find_end(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t n);

/* unknown.c */

void ngx_http_upstream_health_shm_name_unknown(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_log_t *log);
void ngx_http_upstream_health_shm_name_missing(
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_log_t *log);

/* sync.c */

ngx_int_t ngx_http_upstream_health_shm_refresh(
    ngx_http_upstream_health_shm_srv_conf_t *hscf);
void ngx_http_upstream_health_shm_look_again(
    ngx_http_upstream_health_shm_srv_conf_t *hscf);
ngx_int_t ngx_http_upstream_health_shm_catch_up_from(
    ngx_http_upstream_health_shm_segment_t *segment, uint64_t generation);
void ngx_http_upstream_health_shm_sync(
    ngx_http_upstream_health_shm_segment_t *segment);

/* zone.c */

ngx_int_t ngx_http_upstream_health_shm_add_zone(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_segment_t *segment);
void ngx_http_upstream_health_shm_begin_cycle(
    ngx_http_upstream_health_shm_segment_t *segment);
ngx_int_t ngx_http_upstream_health_shm_say(
    ngx_http_upstream_health_shm_segment_t *segment, uint64_t key,
    uint64_t value, uint64_t *previous);
ngx_int_t ngx_http_upstream_health_shm_claim(
    ngx_http_upstream_health_shm_segment_t *segment, uint64_t last,
    uint64_t *first);
ngx_int_t ngx_http_upstream_health_shm_enter(
    ngx_http_upstream_health_shm_segment_t *segment);
ngx_uint_t ngx_http_upstream_health_shm_newest(
    ngx_http_upstream_health_shm_segment_t *segment);
void ngx_http_upstream_health_shm_beat(
    ngx_http_upstream_health_shm_segment_t *segment);

/* events.c */

ngx_int_t ngx_http_upstream_health_shm_events(
    ngx_http_upstream_health_shm_main_conf_t *hmcf,
    ngx_http_upstream_health_shm_segment_t *segment, ngx_log_t *log);

/* report.c */

void ngx_http_upstream_health_shm_set_report(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_segment_t *segment);
void ngx_http_upstream_health_shm_observe(ngx_peer_connection_t *pc,
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t state);
ngx_uint_t ngx_http_upstream_health_shm_failed(ngx_peer_connection_t *pc,
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t state,
    ngx_uint_t *status);
void ngx_http_upstream_health_shm_report(
    ngx_http_upstream_health_shm_segment_t *segment, uint32_t host,
    ngx_uint_t status);
void ngx_http_upstream_health_shm_hello(
    ngx_http_upstream_health_shm_segment_t *segment);
void ngx_http_upstream_health_shm_forget_failures(
    ngx_http_upstream_health_shm_segment_t *segment);
void ngx_http_upstream_health_shm_hang_up(void);

/* variables.c */

ngx_int_t ngx_http_upstream_health_shm_add_variables(ngx_conf_t *cf);
ngx_int_t ngx_http_upstream_health_shm_name_variables(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_main_conf_t *hmcf);


extern ngx_module_t  ngx_http_upstream_health_shm_module;


#pragma GCC visibility pop


#endif /* _NGX_HTTP_UPSTREAM_HEALTH_SHM_MODULE_H_INCLUDED_ */
