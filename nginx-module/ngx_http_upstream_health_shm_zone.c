/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The memory of an nginx instance: one small shared zone per segment path,
 * kept by nginx across reloads because name, size and tag stay the same.  It
 * is what makes one line out of many workers that see the same thing.
 *
 * It also knows the newest file that any worker has mapped.  A worker that
 * cannot follow at once, for want of a descriptor or because it was stopped,
 * still sees the one before: it must neither undo in shared peers what the
 * others did, nor take the log back to where it is itself.
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
    ngx_time_t        *tp;
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

    tp = ngx_timeofday();
    segment->shared->started_us = (uint64_t) tp->sec * 1000000
                                  + (uint64_t) tp->msec * 1000;

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


/* In the master: workers that are forked from now on speak for the instance,
 * and those which know an earlier number do not. */

void
ngx_http_upstream_health_shm_begin_cycle(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    (void) ngx_atomic_fetch_add(&segment->shared->cycle, 1);

    segment->cycle = segment->shared->cycle;
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

    if (segment->ticket != shared->ticket) {
        ngx_shmtx_unlock(&segment->shpool->mutex);

        *first = last + 1;

        return NGX_OK;
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


/*
 * What this worker has mapped is the newest file, or is not and NGX_AGAIN.  A
 * heart that is still has been so since others saw it move.
 */

ngx_int_t
ngx_http_upstream_health_shm_enter(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    uint64_t                                created_at_us;
    ngx_file_info_t                         fi;
    ngx_http_upstream_health_shm_shared_t  *shared;

    if (ngx_http_upstream_health_shm_lock(segment->shpool) != NGX_OK) {
        return NGX_AGAIN;
    }

    shared = segment->shared;
    created_at_us = segment->shm.header->created_at_us;

    if (shared->ticket == 0
        || shared->device != segment->device
        || shared->inode != segment->inode
        || shared->created_at_us != created_at_us)
    {
        /* under the lock, lest it comes after a newer one */

        if (ngx_file_info(segment->path.data, &fi) != NGX_FILE_ERROR
            && ((uint64_t) fi.st_dev != segment->device
                || (uint64_t) ngx_file_uniq(&fi) != segment->inode))
        {
            ngx_shmtx_unlock(&segment->shpool->mutex);
            return NGX_AGAIN;
        }

        shared->ticket++;
        shared->device = segment->device;
        shared->inode = segment->inode;
        shared->created_at_us = created_at_us;
        shared->heartbeat = segment->heartbeat;
        shared->moved = segment->moved;
    }

    segment->ticket = shared->ticket;

    if (shared->heartbeat == segment->heartbeat
        && (ngx_msec_int_t) (ngx_current_msec - shared->moved) >= 0)
    {
        segment->moved = shared->moved;

    } else {
        shared->heartbeat = segment->heartbeat;
        shared->moved = segment->moved;
    }

    if (shared->stream != segment->shm.stream) {

        /* a file that was there before us but could not be read is no news */

        shared->logged = (shared->stream == 0
                          && created_at_us < shared->started_us)
                         ? health_shm_event_head(&segment->shm) : 0;
        shared->stream = segment->shm.stream;
    }

    if (segment->stream != shared->stream) {
        segment->stream = shared->stream;
        segment->seen = shared->logged;
        segment->lost = 0;
    }

    ngx_shmtx_unlock(&segment->shpool->mutex);

    return NGX_OK;
}


/* one word is read, without the lock */

ngx_uint_t
ngx_http_upstream_health_shm_newest(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    return segment->ticket
           && segment->ticket == health_load(&segment->shared->ticket);
}


/*
 * The heartbeat moved, as this worker sees it; or others saw that already.
 * They agree on since when it is still, whoever looked last.
 */

void
ngx_http_upstream_health_shm_beat(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    ngx_http_upstream_health_shm_shared_t  *shared = segment->shared;

    if (ngx_http_upstream_health_shm_lock(segment->shpool) != NGX_OK) {
        return;
    }

    if (segment->ticket == shared->ticket) {
        shared->heartbeat = segment->heartbeat;

        if ((ngx_msec_int_t) (segment->moved - shared->moved) > 0) {
            shared->moved = segment->moved;
        }
    }

    ngx_shmtx_unlock(&segment->shpool->mutex);
}
