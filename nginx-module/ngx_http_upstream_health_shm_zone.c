/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The memory of an nginx instance: one small shared zone per segment path,
 * kept by nginx across reloads because name, size and tag stay the same.  It
 * is what makes one line out of many workers that see the same thing.
 *
 * It is guarded by the mutex of the zone's slab pool, which the master
 * releases should a worker die with it.  A worker tries it for a moment and
 * goes on without: whatever it wanted to say is said at its next turn.
 *
 * `said` maps what could be said to what was said last.  It is a fixed table:
 * should an instance ever have more to say than fits, new things push out old
 * ones, and the worst that follows is a repeated line.
 */


#include "ngx_http_upstream_health_shm_module.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_ZONE_SIZE  (128 * 1024)
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_TRIES      64
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES     8
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_MIX        0x9e3779b97f4a7c15


static ngx_int_t ngx_http_upstream_health_shm_init_zone(
    ngx_shm_zone_t *shm_zone, void *data);
static ngx_int_t ngx_http_upstream_health_shm_lock(ngx_slab_pool_t *shpool);


static ngx_str_t  ngx_http_upstream_health_shm_zone_prefix =
    ngx_string("upstream_health_shm:");


ngx_int_t
ngx_http_upstream_health_shm_add_zone(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_segment_t *segment)
{
    u_char     *p;
    ngx_str_t   name, *prefix;

    prefix = &ngx_http_upstream_health_shm_zone_prefix;

    name.len = prefix->len + segment->path.len;
    name.data = ngx_pnalloc(cf->pool, name.len + 1);
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(name.data, prefix->data, prefix->len);
    p = ngx_cpymem(p, segment->path.data, segment->path.len);
    *p = '\0';

    segment->shm_zone = ngx_shared_memory_add(cf, &name,
                                     NGX_HTTP_UPSTREAM_HEALTH_SHM_ZONE_SIZE,
                                     &ngx_http_upstream_health_shm_module);
    if (segment->shm_zone == NULL) {
        return NGX_ERROR;
    }

    segment->shm_zone->init = ngx_http_upstream_health_shm_init_zone;
    segment->shm_zone->data = segment;

    return NGX_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_upstream_health_shm_segment_t  *segment = shm_zone->data;

    ngx_err_t          err;
    ngx_slab_pool_t   *shpool;
    ngx_file_info_t    fi;
    struct health_shm  shm;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    segment->shpool = shpool;

    /* `data`, if any, is of the cycle before: only the zone is inherited */

    if (data || shm_zone->shm.exists) {
        segment->shared = shpool->data;
        return NGX_OK;
    }

    segment->shared = ngx_slab_calloc(shpool,
                                sizeof(ngx_http_upstream_health_shm_shared_t));
    if (segment->shared == NULL) {
        return NGX_ERROR;
    }

    shpool->data = segment->shared;

    /* what happened before this instance started is not its news */

    if (ngx_http_upstream_health_shm_map(&segment->path, &shm, &fi, &err)
        == NULL)
    {
        segment->shared->stream = shm.stream;
        segment->shared->logged = health_shm_event_head(&shm);

        ngx_http_upstream_health_shm_unmap(&shm);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_upstream_health_shm_lock(ngx_slab_pool_t *shpool)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_UPSTREAM_HEALTH_SHM_TRIES; i++) {
        if (ngx_shmtx_trylock(&shpool->mutex)) {
            return NGX_OK;
        }

        ngx_cpu_pause();
    }

    return NGX_AGAIN;
}


/*
 * NGX_OK: the caller is the one to say it.  NGX_DECLINED: that has been said.
 * NGX_AGAIN: ask later.
 */

ngx_int_t
ngx_http_upstream_health_shm_say(
    ngx_http_upstream_health_shm_segment_t *segment, uint64_t key,
    uint64_t value, uint64_t *previous)
{
    ngx_int_t                             rc;
    ngx_uint_t                            i, n;
    ngx_http_upstream_health_shm_said_t  *said, *slot;

    if (ngx_http_upstream_health_shm_lock(segment->shpool) != NGX_OK) {
        return NGX_AGAIN;
    }

    said = segment->shared->said;

    /* keys are alike in their low bits */

    n = (key * NGX_HTTP_UPSTREAM_HEALTH_SHM_MIX >> 32)
        % NGX_HTTP_UPSTREAM_HEALTH_SHM_SAID;
    slot = &said[n];

    for (i = 0; i < NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES; i++) {

        if (said[n].key == key || said[n].key == 0) {
            slot = &said[n];
            break;
        }

        n = (n + 1) % NGX_HTTP_UPSTREAM_HEALTH_SHM_SAID;
    }

    *previous = (slot->key == key) ? slot->value : 0;
    rc = (*previous == value) ? NGX_DECLINED : NGX_OK;

    slot->key = key;
    slot->value = value;

    ngx_shmtx_unlock(&segment->shpool->mutex);

    return rc;
}


/*
 * Events *first .. last, if any, become the caller's to log.  They count as
 * logged from here on: a worker that is killed in between loses its lines,
 * rather than that a line is written twice.
 */

ngx_int_t
ngx_http_upstream_health_shm_claim(
    ngx_http_upstream_health_shm_segment_t *segment, uint64_t last,
    uint64_t *first)
{
    uint64_t                                head;
    ngx_http_upstream_health_shm_shared_t  *shared;

    if (ngx_http_upstream_health_shm_lock(segment->shpool) != NGX_OK) {
        return NGX_AGAIN;
    }

    shared = segment->shared;

    if (shared->stream != segment->shm.stream) {
        shared->stream = segment->shm.stream;
        shared->logged = 0;
    }

    /* numbers only ever grow, unless the file was tampered with */

    head = health_shm_event_head(&segment->shm);

    if (shared->logged > head) {
        shared->logged = head;
    }

    *first = ngx_max(shared->logged, segment->seen) + 1;

    if (shared->logged < last) {
        shared->logged = last;
    }

    ngx_shmtx_unlock(&segment->shpool->mutex);

    return NGX_OK;
}


/* where a worker that has just mapped the segment begins */

uint64_t
ngx_http_upstream_health_shm_logged(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    ngx_http_upstream_health_shm_shared_t  *shared = segment->shared;

    return (shared->stream == segment->shm.stream) ? shared->logged : 0;
}


/* the heartbeat moved: workers that start later should know since when */

void
ngx_http_upstream_health_shm_beat(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    ngx_http_upstream_health_shm_shared_t  *shared = segment->shared;

    if (ngx_http_upstream_health_shm_lock(segment->shpool) != NGX_OK) {
        return;
    }

    shared->inode = segment->inode;
    shared->heartbeat = segment->heartbeat;
    shared->moved = segment->moved;

    ngx_shmtx_unlock(&segment->shpool->mutex);
}


void
ngx_http_upstream_health_shm_last_beat(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    ngx_http_upstream_health_shm_shared_t  *shared = segment->shared;

    if (ngx_http_upstream_health_shm_lock(segment->shpool) != NGX_OK) {
        return;
    }

    if (shared->inode == segment->inode
        && shared->heartbeat == segment->heartbeat
        && (ngx_msec_int_t) (ngx_current_msec - shared->moved) >= 0)
    {
        segment->moved = shared->moved;

    } else {
        shared->inode = segment->inode;
        shared->heartbeat = segment->heartbeat;
        shared->moved = segment->moved;
    }

    ngx_shmtx_unlock(&segment->shpool->mutex);
}
