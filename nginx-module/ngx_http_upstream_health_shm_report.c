/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Live failures: what this worker's requests meet with, told to checkerd, and
 * that this worker is there at all.  See health_report.h for the datagrams;
 * they go to "report.sock" in the folder of the segment.
 *
 * What counts as a failure of a host:
 *   - nginx gave a try up before it had a whole header: refused, reset, timed
 *     out, garbage.  A kept connection that turns out to be closed tells
 *     nothing about its host, and nginx makes up for it with another try.
 *   - a status that the host's `live_fail_status` holds, wherever nginx sends
 *     the request then.
 * An answer that breaks off in its body is none: it is no failed try for
 * nginx's own max_fails either.
 *
 * The first failure of a host is told at once, then one datagram in 100 ms
 * speaks for all that came in between.  Those wait in a small table of hosts
 * that failed lately, and a timer runs while there are any.  Should more hosts
 * fail at a time than fit, the rest is not told: a bound on memory and on what
 * a worker sends.
 *
 * Nothing here waits or logs.  If nobody listens, nobody wanted to know.
 */


#include "ngx_http_upstream_health_shm_module.h"
#include "health_report.h"


#define NGX_HTTP_UPSTREAM_HEALTH_SHM_REPORT    100     /* ms, for each host */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_HELLO     10000   /* ms */
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_FAILURES  1024
#define NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES    8


struct ngx_http_upstream_health_shm_failure_s {
    uint32_t    host;
    uint32_t    failures;   /* not told yet */
    ngx_uint_t  status;     /* of the last of them */
    ngx_msec_t  sent;
};


static void ngx_http_upstream_health_shm_fail(
    ngx_http_upstream_health_shm_segment_t *segment, uint32_t host,
    ngx_uint_t status);
static ngx_http_upstream_health_shm_failure_t *
    ngx_http_upstream_health_shm_get_failure(
    ngx_http_upstream_health_shm_segment_t *segment, uint32_t host);
static void ngx_http_upstream_health_shm_flush(ngx_event_t *ev);
static ngx_int_t ngx_http_upstream_health_shm_tell(
    ngx_http_upstream_health_shm_segment_t *segment,
    ngx_http_upstream_health_shm_failure_t *failure);
static ngx_int_t ngx_http_upstream_health_shm_send(
    ngx_http_upstream_health_shm_segment_t *segment,
    struct health_report *report);


static ngx_str_t  ngx_http_upstream_health_shm_report_name =
    ngx_string("report.sock");

static ngx_socket_t  ngx_http_upstream_health_shm_report_fd =
    (ngx_socket_t) -1;


void
ngx_http_upstream_health_shm_set_report(ngx_conf_t *cf,
    ngx_http_upstream_health_shm_segment_t *segment)
{
    u_char     *p;
    size_t      len;
    ngx_str_t  *name;

    name = &ngx_http_upstream_health_shm_report_name;

    len = segment->path.len;

    while (len && segment->path.data[len - 1] != '/') {
        len--;
    }

    if (len + name->len >= sizeof(segment->report.sun_path)) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "the path of \"%V\" beside segment \"%V\" is too long "
                      "for a socket, live failures are not reported",
                      name, &segment->path);
        return;
    }

    segment->report.sun_family = AF_UNIX;

    p = ngx_cpymem(segment->report.sun_path, segment->path.data, len);
    ngx_memcpy(p, name->data, name->len);
}


/*
 * A try is over.  Its connection and its peer's address are still there.  Is
 * it a failure that some host of the upstream wants to be told of?  *status is
 * 0 if there was no answer at all.
 */

ngx_uint_t
ngx_http_upstream_health_shm_failed(ngx_peer_connection_t *pc,
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t state,
    ngx_uint_t *status)
{
    ngx_connection_t     *c;
    ngx_http_upstream_t  *u;

    u = (ngx_http_upstream_t *) ((u_char *) pc
                                 - offsetof(ngx_http_upstream_t, peer));

    if (u->state->header_time != (ngx_msec_t) -1) {

        /*
         * headers_in may be those of a stale answer from the cache by now;
         * the status of early hints stays in state for good
         */

        *status = u->state->status;

        if (*status < NGX_HTTP_OK) {
            *status = u->headers_in.status_n;
        }

        return health_host_fails_with(&hscf->any, *status);
    }

    *status = 0;

    c = pc->connection;

    return (state & NGX_PEER_FAILED)
           && hscf->any.observe != HEALTH_OBSERVE_OFF
           && !(pc->cached && c && !c->read->timedout && !c->write->timedout);
}


void
ngx_http_upstream_health_shm_observe(ngx_peer_connection_t *pc,
    ngx_http_upstream_health_shm_srv_conf_t *hscf, ngx_uint_t state)
{
    ngx_uint_t  i, end, status;

    if (!ngx_http_upstream_health_shm_failed(pc, hscf, state, &status)) {
        return;
    }

    i = ngx_http_upstream_health_shm_find_sockaddr(hscf, pc->sockaddr,
                                                   pc->socklen);

    if (i == NGX_HTTP_UPSTREAM_HEALTH_SHM_NONE) {
        return;
    }

    end = ngx_http_upstream_health_shm_find_end(hscf, i);

    for ( /* void */ ; i < end; i++) {
        ngx_http_upstream_health_shm_report(hscf->segment,
                                            hscf->addresses[i].host, status);
    }
}


/* A failure of this host, if that is one for it. */

void
ngx_http_upstream_health_shm_report(
    ngx_http_upstream_health_shm_segment_t *segment, uint32_t host,
    ngx_uint_t status)
{
    const struct health_host  *h;

    h = &segment->shm.hosts[host];

    if (status ? (h->observe == HEALTH_OBSERVE_STATUS
                  && health_host_fails_with(h, status))
               : (h->observe != HEALTH_OBSERVE_OFF))
    {
        ngx_http_upstream_health_shm_fail(segment, host, status);
    }
}


static void
ngx_http_upstream_health_shm_fail(
    ngx_http_upstream_health_shm_segment_t *segment, uint32_t host,
    ngx_uint_t status)
{
    ngx_msec_t                               past;
    ngx_http_upstream_health_shm_failure_t  *failure;

    failure = ngx_http_upstream_health_shm_get_failure(segment, host);
    if (failure == NULL) {
        return;
    }

    failure->failures++;
    failure->status = status;

    past = ngx_current_msec - failure->sent;

    if (past >= NGX_HTTP_UPSTREAM_HEALTH_SHM_REPORT) {

        if (ngx_http_upstream_health_shm_tell(segment, failure) == NGX_OK) {
            failure->failures = 0;
            return;
        }

        /* once more: a queue that is full has room again soon */

        past = 0;
    }

    if (!segment->flush.timer_set) {
        ngx_add_timer(&segment->flush,
                      NGX_HTTP_UPSTREAM_HEALTH_SHM_REPORT - past);
    }
}


static ngx_http_upstream_health_shm_failure_t *
ngx_http_upstream_health_shm_get_failure(
    ngx_http_upstream_health_shm_segment_t *segment, uint32_t host)
{
    ngx_uint_t                               i;
    ngx_http_upstream_health_shm_failure_t  *failure, *idle;

    if (segment->failures == NULL) {
        segment->failures = ngx_pcalloc(segment->pool,
                              NGX_HTTP_UPSTREAM_HEALTH_SHM_FAILURES
                              * sizeof(ngx_http_upstream_health_shm_failure_t));
        if (segment->failures == NULL) {
            return NULL;
        }

        segment->flush.data = segment;
        segment->flush.handler = ngx_http_upstream_health_shm_flush;
        segment->flush.log = segment->event->log;
        segment->flush.cancelable = 1;
    }

    idle = NULL;

    for (i = 0; i < NGX_HTTP_UPSTREAM_HEALTH_SHM_PROBES; i++) {
        failure = &segment->failures[(host + i)
                                     % NGX_HTTP_UPSTREAM_HEALTH_SHM_FAILURES];

        if (failure->host == host) {
            return failure;
        }

        if (idle == NULL && failure->failures == 0
            && ngx_current_msec - failure->sent
               >= NGX_HTTP_UPSTREAM_HEALTH_SHM_REPORT)
        {
            idle = failure;
        }
    }

    if (idle) {
        idle->host = host;
    }

    return idle;
}


static void
ngx_http_upstream_health_shm_flush(ngx_event_t *ev)
{
    ngx_http_upstream_health_shm_segment_t  *segment = ev->data;

    ngx_uint_t                               i;
    ngx_msec_t                               past, delay;
    ngx_http_upstream_health_shm_failure_t  *failure;

    delay = 0;

    for (i = 0; i < NGX_HTTP_UPSTREAM_HEALTH_SHM_FAILURES; i++) {
        failure = &segment->failures[i];

        if (failure->failures == 0) {
            continue;
        }

        past = ngx_current_msec - failure->sent;

        if (past < NGX_HTTP_UPSTREAM_HEALTH_SHM_REPORT) {
            delay = ngx_max(delay, NGX_HTTP_UPSTREAM_HEALTH_SHM_REPORT - past);
            continue;
        }

        /* told or not: older ones would be history */

        (void) ngx_http_upstream_health_shm_tell(segment, failure);

        failure->failures = 0;
    }

    if (delay) {
        ngx_add_timer(ev, delay);
    }
}


static ngx_int_t
ngx_http_upstream_health_shm_tell(
    ngx_http_upstream_health_shm_segment_t *segment,
    ngx_http_upstream_health_shm_failure_t *failure)
{
    struct health_report  report;

    ngx_memzero(&report, sizeof(struct health_report));

    report.kind = HEALTH_REPORT_FAILURE;
    report.host = failure->host;
    report.failures = failure->failures;
    report.http_status = (uint16_t) failure->status;

    failure->sent = ngx_current_msec;

    return ngx_http_upstream_health_shm_send(segment, &report);
}


void
ngx_http_upstream_health_shm_hello(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    struct health_report  report;

    if ((ngx_msec_int_t) (ngx_current_msec - segment->hello) < 0) {
        return;
    }

    ngx_memzero(&report, sizeof(struct health_report));

    report.kind = HEALTH_REPORT_HELLO;

    if (ngx_http_upstream_health_shm_send(segment, &report) == NGX_OK) {
        segment->hello = ngx_current_msec + NGX_HTTP_UPSTREAM_HEALTH_SHM_HELLO;
    }
}


static ngx_int_t
ngx_http_upstream_health_shm_send(
    ngx_http_upstream_health_shm_segment_t *segment,
    struct health_report *report)
{
    ssize_t          n;
    struct timespec  now;

    if (segment->report.sun_family != AF_UNIX) {
        return NGX_DECLINED;
    }

    if (ngx_http_upstream_health_shm_report_fd == (ngx_socket_t) -1) {
        ngx_http_upstream_health_shm_report_fd =
            socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

        if (ngx_http_upstream_health_shm_report_fd == (ngx_socket_t) -1) {
            return NGX_DECLINED;
        }
    }

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    report->magic = HEALTH_REPORT_MAGIC;
    report->version = HEALTH_REPORT_VERSION;
    report->stream = segment->shm.stream;
    report->created_at_us = segment->shm.header->created_at_us;
    report->sent_mono_us = (uint64_t) now.tv_sec * 1000000
                           + (uint64_t) now.tv_nsec / 1000;
    report->seq = segment->seq;
    report->reader_version = nginx_version;

    /* by name each time: another checkerd is another socket */

    n = sendto(ngx_http_upstream_health_shm_report_fd, report,
               sizeof(struct health_report), MSG_DONTWAIT|MSG_NOSIGNAL,
               (struct sockaddr *) &segment->report,
               sizeof(struct sockaddr_un));

    return (n == (ssize_t) sizeof(struct health_report)) ? NGX_OK
                                                         : NGX_DECLINED;
}


/* what waits is about a mapping that goes */

void
ngx_http_upstream_health_shm_forget_failures(
    ngx_http_upstream_health_shm_segment_t *segment)
{
    if (segment->flush.timer_set) {
        ngx_del_timer(&segment->flush);
    }

    segment->failures = NULL;
}


void
ngx_http_upstream_health_shm_hang_up(void)
{
    if (ngx_http_upstream_health_shm_report_fd != (ngx_socket_t) -1) {
        (void) close(ngx_http_upstream_health_shm_report_fd);
        ngx_http_upstream_health_shm_report_fd = (ngx_socket_t) -1;
    }
}
