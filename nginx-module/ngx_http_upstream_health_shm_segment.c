/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The mapping: how a worker gets at the segment, notices that it was replaced
 * and that its writer is gone.
 *
 * Everything here runs from one timer per worker, once a second and whenever
 * a request found the generation moved (it posts the timer's event, so that
 * the work is done in the same turn of the event loop, but outside of the
 * request).  A file on tmpfs is opened and mapped without blocking; a request
 * never opens anything.
 *
 * While nothing is mapped `word` points to a constant, so that the check made
 * for each request has no case of its own for that.
 *
 * Each worker has its own mapping.  One made by the master and inherited was
 * not taken: workers outlive files.
 */


#include "ngx_http_upstream_health_shm_pool.h"


/* the greatest segment that the limits of health_shm.h allow is below */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_SIZE  ((off_t) 4 << 30)

/* at the end: more than a ring has batches, with some to wait for others */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_LAST      1024


static void ngx_http_upstream_health_shm_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_upstream_health_shm_follow(
    ngx_http_upstream_health_shm_segment_t *segment, uint64_t until_us,
    ngx_log_t *log);
static ngx_int_t ngx_http_upstream_health_shm_speak(
    ngx_http_upstream_health_shm_main_conf_t *hmcf,
    ngx_http_upstream_health_shm_segment_t *segment, ngx_log_t *log);
static void ngx_http_upstream_health_shm_speak_last(
    ngx_http_upstream_health_shm_main_conf_t *hmcf,
    ngx_http_upstream_health_shm_segment_t *segment, ngx_log_t *log);
static ngx_int_t ngx_http_upstream_health_shm_replaced(
    ngx_http_upstream_health_shm_segment_t *segment);
static ngx_int_t ngx_http_upstream_health_shm_renamed(
    ngx_http_upstream_health_shm_segment_t *segment);
static void ngx_http_upstream_health_shm_remap(
    ngx_http_upstream_health_shm_segment_t *segment, ngx_log_t *log);
static void ngx_http_upstream_health_shm_refuse(
    ngx_http_upstream_health_shm_segment_t *segment);
static ngx_uint_t ngx_http_upstream_health_shm_refused(
    ngx_http_upstream_health_shm_segment_t *segment);
static void ngx_http_upstream_health_shm_release(
    ngx_http_upstream_health_shm_segment_t *segment);
static void ngx_http_upstream_health_shm_set_word(
    ngx_http_upstream_health_shm_segment_t *segment, const uint64_t *word);
static void ngx_http_upstream_health_shm_judge(
    ngx_http_upstream_health_shm_segment_t *segment);


static const uint64_t  ngx_http_upstream_health_shm_no_word = 0;

/* the cycle that this process reads segments for */
static ngx_http_upstream_health_shm_main_conf_t
    *ngx_http_upstream_health_shm_running;


/* returns NULL, or what is wrong; then *err is an error number or 0 */

const char *
ngx_http_upstream_health_shm_map(ngx_str_t *path, struct health_shm *shm,
    ngx_file_info_t *fi, ngx_err_t *err)
{
    int          fd;
    void        *base;
    size_t       size;
    const char  *reason;

    *err = 0;

    /* a FIFO must not block us */

    fd = open((const char *) path->data, O_RDONLY|O_NONBLOCK|O_CLOEXEC);

    if (fd == -1) {
        *err = ngx_errno;
        return "cannot be opened";
    }

    base = MAP_FAILED;
    size = 0;

    if (ngx_fd_info(fd, fi) == NGX_FILE_ERROR) {
        *err = ngx_errno;
        reason = "cannot be examined";

    } else if (!ngx_is_file(fi)) {
        reason = "not a regular file";

    } else if (ngx_file_size(fi) < (off_t) sizeof(struct health_header)) {
        reason = "too small";

    } else if (ngx_file_size(fi) > NGX_HTTP_UPSTREAM_HEALTH_SHM_MAX_SIZE) {
        reason = "too large";

    } else {
        size = (size_t) ngx_file_size(fi);
        base = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

        if (base == MAP_FAILED) {
            *err = ngx_errno;
            reason = "cannot be mapped";

        } else {
            reason = health_shm_attach(shm, base, size);
        }
    }

    if (reason && base != MAP_FAILED) {
        (void) munmap(base, size);
    }

    (void) close(fd);

    return reason;
}


void
ngx_http_upstream_health_shm_unmap(struct health_shm *shm)
{
    (void) munmap((void *) shm->base, (size_t) shm->size);
}


/* the state in which a segment starts and ends */

void
ngx_http_upstream_health_shm_unmapped(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    segment->generation = ngx_http_upstream_health_shm_no_word;
    segment->ticket = 0;
    segment->mapped = 0;
    segment->all = 0;

    ngx_http_upstream_health_shm_set_word(segment,
                                         &ngx_http_upstream_health_shm_no_word);
}


static void
ngx_http_upstream_health_shm_set_word(
    ngx_http_upstream_health_shm_segment_t *segment, const uint64_t *word)
{
    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_srv_conf_t  **hscfp;

    segment->word = word;

    hscfp = segment->upstreams.elts;

    for (i = 0; i < segment->upstreams.nelts; i++) {
        hscfp[i]->word = word;
        ngx_http_upstream_health_shm_look_again(hscfp[i]);
    }
}


void
ngx_http_upstream_health_shm_start(
    ngx_http_upstream_health_shm_main_conf_t *hmcf, ngx_cycle_t *cycle)
{
    ngx_uint_t                                i;
    ngx_event_t                              *ev;
    ngx_http_upstream_health_shm_segment_t  **segment;

    /* without a master process the old cycle goes on beside the new one */

    if (ngx_http_upstream_health_shm_running) {
        ngx_http_upstream_health_shm_stop(ngx_http_upstream_health_shm_running);
    }

    if (hmcf == NULL || hmcf->segments.nelts == 0) {
        return;
    }

    ngx_http_upstream_health_shm_running = hmcf;

    hmcf->cycle = cycle;

    ev = &hmcf->event;

    ev->data = hmcf;
    ev->handler = ngx_http_upstream_health_shm_handler;
    ev->log = cycle->log;
    ev->cancelable = 1;

    segment = hmcf->segments.elts;

    /* nobody waits yet */

    for (i = 0; i < hmcf->segments.nelts; i++) {
        (void) ngx_http_upstream_health_shm_follow(segment[i], (uint64_t) -1,
                                                   cycle->log);
    }

    /* lines and hooks are for the event loop */

    ngx_add_timer(ev, 1);
}


/* called once or twice: for a newer cycle, and when the pool goes */

void
ngx_http_upstream_health_shm_stop(void *data)
{
    ngx_http_upstream_health_shm_main_conf_t  *hmcf = data;

    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_segment_t   **segment;
    ngx_http_upstream_health_shm_srv_conf_t  **hscfp;

    if (ngx_http_upstream_health_shm_running != hmcf) {
        return;
    }

    ngx_http_upstream_health_shm_running = NULL;

    if (hmcf->event.timer_set) {
        ngx_del_timer(&hmcf->event);
    }

    if (hmcf->event.posted) {
        ngx_delete_posted_event(&hmcf->event);
    }

    segment = hmcf->segments.elts;

    for (i = 0; i < hmcf->segments.nelts; i++) {
        ngx_http_upstream_health_shm_release(segment[i]);
        ngx_http_upstream_health_shm_unmap_former(segment[i], (size_t) -1);
    }

    /* requests that go on hold their hosts, and get no further try */

    hscfp = hmcf->upstreams.elts;

    for (i = 0; i < hmcf->upstreams.nelts; i++) {

        if (hscfp[i]->snapshot) {
            ngx_http_upstream_health_shm_retire(hscfp[i]->snapshot);
            hscfp[i]->snapshot = NULL;
        }
    }

    ngx_http_upstream_health_shm_hang_up();
}


/* A worker ends, maybe the instance: what it knows nobody else may tell. */

void
ngx_http_upstream_health_shm_leave(void)
{
    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_segment_t   **segment;
    ngx_http_upstream_health_shm_main_conf_t  *hmcf;

    hmcf = ngx_http_upstream_health_shm_running;

    if (hmcf == NULL) {
        return;
    }

    segment = hmcf->segments.elts;

    for (i = 0; i < hmcf->segments.nelts; i++) {
        ngx_http_upstream_health_shm_speak_last(hmcf, segment[i],
                                                ngx_cycle->log);
    }
}


static void
ngx_http_upstream_health_shm_handler(ngx_event_t *ev)
{
    ngx_http_upstream_health_shm_main_conf_t  *hmcf = ev->data;

    uint64_t                                  until_us;
    ngx_uint_t                                i;
    ngx_msec_t                                delay;
    ngx_core_conf_t                          *ccf;
    ngx_http_upstream_health_shm_segment_t  **segment;

    /* without a master process a newer cycle may do without us */

    if (hmcf->cycle != ngx_cycle) {
        ngx_http_upstream_health_shm_stop(hmcf);
        return;
    }

    delay = NGX_HTTP_UPSTREAM_HEALTH_SHM_TICK;
    until_us = ngx_http_upstream_health_shm_now_us()
               + NGX_HTTP_UPSTREAM_HEALTH_SHM_SLICE;

    segment = hmcf->segments.elts;

    for (i = 0; i < hmcf->segments.nelts; i++) {

        if (ngx_http_upstream_health_shm_follow(segment[i], until_us, ev->log)
            == NGX_AGAIN)
        {
            delay = 1;
        }

        if (ngx_http_upstream_health_shm_speak(hmcf, segment[i], ev->log)
            == NGX_AGAIN)
        {
            delay = ngx_min(delay, NGX_HTTP_UPSTREAM_HEALTH_SHM_SOON);
        }
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, delay);

    /* with "timer_resolution", no timer expires before the next tick of that */

    ccf = (ngx_core_conf_t *) ngx_get_conf(hmcf->cycle->conf_ctx,
                                           ngx_core_module);

    if (delay == 1 && ccf->timer_resolution) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


/* Brings mapping and peers up to date.  NGX_AGAIN: come back soon. */

static ngx_int_t
ngx_http_upstream_health_shm_follow(
    ngx_http_upstream_health_shm_segment_t *segment, uint64_t until_us,
    ngx_log_t *log)
{
    uint64_t    heartbeat;
    ngx_int_t   rc;
    ngx_uint_t  renewing;

    if (segment->mapped) {
        heartbeat = health_shm_heartbeat(&segment->shm);

        if (heartbeat != segment->heartbeat) {
            segment->heartbeat = heartbeat;
            segment->moved = ngx_current_msec;

            ngx_http_upstream_health_shm_beat(segment);
        }
    }

    renewing = segment->renewing;

    if (!renewing && ngx_http_upstream_health_shm_replaced(segment)) {
        ngx_http_upstream_health_shm_remap(segment, log);
    }

    if (segment->mapped && segment->ticket == 0
        && ngx_http_upstream_health_shm_enter(segment) == NGX_OK)
    {
        segment->all = 1;
    }

    ngx_http_upstream_health_shm_judge(segment);

    if (segment->all || health_load(segment->word) != segment->generation) {
        ngx_http_upstream_health_shm_sync(segment);
    }

    rc = ngx_http_upstream_health_shm_renew(segment, until_us);

    if (rc == NGX_ERROR) {
        ngx_http_upstream_health_shm_refuse(segment);

        /* without the memory for it, again at the next tick */

        renewing = 0;
    }

    segment->renewing = (rc == NGX_AGAIN);

    /* once more when all is done: the file may have been replaced meanwhile */

    return (renewing || segment->renewing) ? NGX_AGAIN : NGX_OK;
}


/* NGX_AGAIN: there is more to say, come back soon */

static ngx_int_t
ngx_http_upstream_health_shm_speak(
    ngx_http_upstream_health_shm_main_conf_t *hmcf,
    ngx_http_upstream_health_shm_segment_t *segment, ngx_log_t *log)
{
    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_srv_conf_t  **hscfp;

    if (segment->mapped) {
        ngx_http_upstream_health_shm_hello(segment);
    }

    if (ngx_exiting || ngx_terminate) {

        /* the file may have been replaced meanwhile */

        if (!segment->renewing) {
            ngx_http_upstream_health_shm_speak_last(hmcf, segment, log);
        }

        return NGX_OK;
    }

    ngx_http_upstream_health_shm_say_usable(segment, log);

    if (!segment->mapped) {
        return NGX_OK;
    }

    hscfp = segment->upstreams.elts;

    for (i = 0; i < segment->upstreams.nelts; i++) {
        ngx_http_upstream_health_shm_say_stale(hscfp[i], log);

        if (hscfp[i]->pooled) {
            ngx_http_upstream_health_shm_name_missing(hscfp[i], log);

        } else {
            ngx_http_upstream_health_shm_name_unknown(hscfp[i], log);
        }
    }

    if (segment->ticket == 0) {
        return NGX_AGAIN;
    }

    return ngx_http_upstream_health_shm_events(hmcf, segment, log);
}


/*
 * What happened until this worker was told to leave.  After a reload it is for
 * others to tell: the instance may have another log by now.
 */

static void
ngx_http_upstream_health_shm_speak_last(
    ngx_http_upstream_health_shm_main_conf_t *hmcf,
    ngx_http_upstream_health_shm_segment_t *segment, ngx_log_t *log)
{
    ngx_uint_t  i;

    if (segment->silent) {
        return;
    }

    segment->silent = 1;

    if (segment->cycle != segment->shared->cycle) {
        return;
    }

    /* whatever its heartbeat says: there is no time to wait for that */

    if (!segment->mapped || ngx_http_upstream_health_shm_renamed(segment)) {
        ngx_http_upstream_health_shm_remap(segment, log);
    }

    for (i = 0; segment->mapped && i < NGX_HTTP_UPSTREAM_HEALTH_SHM_LAST; i++) {

        if (segment->ticket == 0
            && ngx_http_upstream_health_shm_enter(segment) != NGX_OK)
        {
            continue;
        }

        if (ngx_http_upstream_health_shm_events(hmcf, segment, log) == NGX_OK) {
            break;
        }
    }
}


/*
 * A segment is replaced by renaming another one over it.  The writer marks the
 * old one; if it died before it could, the heartbeat tells.
 */

static ngx_int_t
ngx_http_upstream_health_shm_replaced(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    if (!segment->mapped) {
        return 1;
    }

    if (!(health_load(segment->word) & HEALTH_SUPERSEDED)
        && ngx_current_msec - segment->moved
           < NGX_HTTP_UPSTREAM_HEALTH_SHM_TICK)
    {
        return 0;
    }

    return ngx_http_upstream_health_shm_renamed(segment);
}


/* Another file has the name. */

static ngx_int_t
ngx_http_upstream_health_shm_renamed(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    ngx_file_info_t  fi;

    if (ngx_file_info(segment->path.data, &fi) == NGX_FILE_ERROR) {
        return 0;
    }

    return (uint64_t) fi.st_dev != segment->device
           || (uint64_t) ngx_file_uniq(&fi) != segment->inode;
}


static void
ngx_http_upstream_health_shm_remap(
    ngx_http_upstream_health_shm_segment_t *segment, ngx_log_t *log)
{
    ngx_uint_t                                 i;
    ngx_file_info_t                            fi;
    struct health_shm                          shm;
    ngx_http_upstream_health_shm_srv_conf_t  **hscfp;

    if (ngx_http_upstream_health_shm_refused(segment)) {
        return;
    }

    segment->reason = ngx_http_upstream_health_shm_map(&segment->path, &shm,
                                                       &fi, &segment->err);

    if (segment->reason) {

        /* what was mapped, if anything, is good until it is stale */

        segment->refused = fi;
        return;
    }

    ngx_http_upstream_health_shm_release(segment);

    segment->shm = shm;
    segment->device = (uint64_t) fi.st_dev;
    segment->inode = (uint64_t) ngx_file_uniq(&fi);

    segment->mapped = 1;

    ngx_http_upstream_health_shm_set_word(segment,
                                          &segment->shm.header->generation);

    segment->pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, log);

    if (segment->pool == NULL
        || ngx_http_upstream_health_shm_link_pools(segment) != NGX_OK)
    {
        ngx_http_upstream_health_shm_refuse(segment);
        return;
    }

    hscfp = segment->upstreams.elts;

    for (i = 0; i < segment->upstreams.nelts; i++) {
        hscfp[i]->foreign = 1;
    }

    segment->heartbeat = health_shm_heartbeat(&segment->shm);
    segment->moved = ngx_current_msec;
    segment->hello = ngx_current_msec;

    segment->all = 1;
}


static void
ngx_http_upstream_health_shm_refuse(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    segment->reason = "no memory for its hosts";

    ngx_http_upstream_health_shm_release(segment);
}


/*
 * A file that was no segment is not read again before it has changed, which
 * its times tell only if they are not of this moment.
 */

static ngx_uint_t
ngx_http_upstream_health_shm_refused(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    ngx_file_info_t  fi, *was;

    was = &segment->refused;

    if (segment->reason == NULL || segment->err
        || ngx_file_info(segment->path.data, &fi) == NGX_FILE_ERROR)
    {
        return 0;
    }

    return fi.st_dev == was->st_dev
           && ngx_file_uniq(&fi) == ngx_file_uniq(was)
           && ngx_file_size(&fi) == ngx_file_size(was)
           && fi.st_mtim.tv_sec == was->st_mtim.tv_sec
           && fi.st_mtim.tv_nsec == was->st_mtim.tv_nsec
           && ngx_time() - ngx_file_mtime(&fi) > 1;
}


static void
ngx_http_upstream_health_shm_release(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    ngx_uint_t                                 i;
    ngx_http_upstream_health_shm_srv_conf_t  **hscfp;

    if (!segment->mapped) {
        return;
    }

    ngx_http_upstream_health_shm_unmapped(segment);
    ngx_http_upstream_health_shm_forget_failures(segment);

    hscfp = segment->upstreams.elts;

    for (i = 0; i < segment->upstreams.nelts; i++) {
        ngx_http_upstream_health_shm_give_up_build(hscfp[i]);
        hscfp[i]->addresses = NULL;
        hscfp[i]->naddresses = 0;
        ngx_memzero(hscfp[i]->lists, sizeof(hscfp[i]->lists));
        hscfp[i]->npools = 0;
        ngx_memzero(&hscfp[i]->any, sizeof(struct health_host));
        hscfp[i]->unnamed = 0;
        hscfp[i]->foreign = hscfp[i]->pooled;
#if (NGX_HTTP_UPSTREAM_HEALTH_SHM_RESOLVE)
        hscfp[i]->config = NULL;
#endif
    }

    if (segment->pool) {
        ngx_destroy_pool(segment->pool);
        segment->pool = NULL;
    }

    ngx_http_upstream_health_shm_unmap_former(segment, (size_t) -1);

    segment->former = segment->shm;
    segment->former.size = ngx_align(segment->shm.size, ngx_pagesize);
}


/* A large file takes as long to go as its successor to come: so much of it,
 * from its end. */

void
ngx_http_upstream_health_shm_unmap_former(
    ngx_http_upstream_health_shm_segment_t *segment, size_t size)
{
    struct health_shm  *former;

    former = &segment->former;

    size = ngx_min(size, former->size);

    if (size) {
        former->size -= size;
        (void) munmap((void *) (former->base + former->size), size);
    }
}


/* There is work for the next turn.  NGX_DECLINED: there is none to come. */

ngx_int_t
ngx_http_upstream_health_shm_soon(void)
{
    ngx_http_upstream_health_shm_main_conf_t  *hmcf;

    hmcf = ngx_http_upstream_health_shm_running;

    if (hmcf == NULL) {
        return NGX_DECLINED;
    }

    if (hmcf->event.timer_set) {
        ngx_del_timer(&hmcf->event);
    }

    ngx_add_timer(&hmcf->event, 1);

    return NGX_OK;
}


/* which upstreams heed the segment at all */

static void
ngx_http_upstream_health_shm_judge(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    ngx_uint_t                                 i, active;
    ngx_msec_t                                 moved, silent;
    ngx_http_upstream_health_shm_srv_conf_t  **hscfp;

    moved = segment->moved;

    /* shared peers have one state: let all workers see it by one clock */

    if (ngx_http_upstream_health_shm_newest(segment)
        && (ngx_msec_int_t) (segment->shared->moved - moved) > 0)
    {
        moved = segment->shared->moved;
    }

    silent = ngx_current_msec - moved;

    /* another worker's cached time may be ahead of ours */

    if ((ngx_msec_int_t) silent < 0) {
        silent = 0;
    }

    hscfp = segment->upstreams.elts;

    for (i = 0; i < segment->upstreams.nelts; i++) {
        active = segment->mapped && silent < hscfp[i]->stale;

        if (hscfp[i]->active != active) {
            hscfp[i]->active = active;

            ngx_http_upstream_health_shm_look_again(hscfp[i]);
        }
    }
}
