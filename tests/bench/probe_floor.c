/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a check costs before anything else is done with it: HOSTS addresses
 * 127.x.y.z, each probed once a second for SECONDS through the curl loop and
 * the prober, with a schedule that does nothing but spread them.
 *
 *   probe_floor HOSTS SECONDS PORT [http|kept|tcp|https|names]
 *
 * prints the CPU time of this process per check.  `kept` keeps connections;
 * `https` trusts what the file BENCH_CA has, or anybody; `names` does so with
 * ten thousand names in turn instead of one.  The backend, which listens
 * at 0.0.0.0:PORT, is another one.  `strace -c` shows the rest.
 */
#include "clock.h"
#include "curl_loop.h"
#include "probe.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define FIRST_HOST 0x7f010000u /* 127.1.0.0 */
#define TICK_US    UINT64_C(2000)
#define NAMES      10000
#define AT_ONCE    1000 /* as max_concurrent */

struct bench {
	sd_event *event;
	struct prober *prober;
	struct settings settings;
	struct settings *named; /* NAMES of them, or NULL */
	struct address *hosts;
	struct probe_line *lines;
	unsigned host_count;
	uint64_t start_us;
	uint64_t end_us;
	uint64_t started;
	uint64_t done;
	uint64_t failed;
	double init_cpu_us;
	unsigned in_flight;
	unsigned most_in_flight;
	uint64_t latency_us;
	struct probe_result a_failure;
};

static void on_probe(void *owner, const struct probe *probe)
{
	struct bench *bench = owner;
	struct probe_result judged, *result = &judged;

	probe_judge(probe, &bench->settings, result);

	bench->in_flight--;
	bench->done++;
	bench->latency_us += result->total_us;
	if (health_outcome_class(result->outcome) != HEALTH_CLASS_PASS) {
		bench->failed++;
		bench->a_failure = *result;
	}
}

static int start_one(struct bench *bench)
{
	uint64_t i = bench->started % bench->host_count;
	struct probe *probe;

	if (++bench->in_flight > bench->most_in_flight)
		bench->most_in_flight = bench->in_flight;
	return probe_start(bench->prober, &bench->lines[i], &bench->hosts[i],
	                   bench->named != NULL ? &bench->named[bench->started % NAMES]
	                                        : &bench->settings,
	                   NULL, on_probe, bench, &probe);
}

/* Starts what is due: one host after the other, evenly over each second. */
static int on_tick(sd_event_source *source, uint64_t at_us, void *userdata)
{
	struct bench *bench = userdata;
	uint64_t now_us = monotonic_us(), until_us, due;

	(void) at_us;
	until_us = now_us < bench->end_us ? now_us : bench->end_us;
	due = (until_us - bench->start_us) * bench->host_count / USEC_PER_SEC;
	if (now_us >= bench->end_us && bench->done == due)
		return sd_event_exit(bench->event, 0);
	for (; bench->started < due && bench->in_flight < AT_ONCE;
	     bench->started++)
		if (start_one(bench) < 0)
			return sd_event_exit(bench->event, 1);
	sd_event_source_set_time(source, now_us + TICK_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static double timeval_us(const struct timeval *time)
{
	return (double) time->tv_sec * 1e6 + (double) time->tv_usec;
}

static double cpu_us(struct rusage *usage)
{
	getrusage(RUSAGE_SELF, usage);
	return timeval_us(&usage->ru_utime) + timeval_us(&usage->ru_stime);
}

static void print_cost(const struct bench *bench)
{
	struct rusage usage;
	double cpu = cpu_us(&usage) - bench->init_cpu_us;

	printf("hosts %u checks %lu in_flight_max %u latency_us %.0f "
	       "cpu_us_per_check %.2f maxrss_kb %ld "
	       "failed %lu %s\n",
	       bench->host_count, (unsigned long) bench->done,
	       bench->most_in_flight,
	       (double) bench->latency_us / (double) bench->done,
	       cpu / (double) bench->done, usage.ru_maxrss, (unsigned long) bench->failed,
	       bench->a_failure.message);
}

static int name_hosts(struct bench *bench)
{
	unsigned i;
	char *name;

	bench->named = calloc(NAMES, sizeof(*bench->named));
	for (i = 0; bench->named != NULL && i < NAMES; i++) {
		if (asprintf(&name, "host%u.test", i) < 0)
			return -1;
		bench->named[i] = bench->settings;
		bench->named[i].sni = name;
	}
	return bench->named != NULL ? 0 : -1;
}

static int set_mode(struct bench *bench, const char *mode)
{
	bench->settings.keepalive = strcmp(mode, "kept") == 0;
	if (strcmp(mode, "tcp") == 0)
		bench->settings.check = CHECK_TCP;
	if (strcmp(mode, "https") == 0 || strcmp(mode, "names") == 0)
		bench->settings.check = CHECK_HTTPS;
	if (getenv("BENCH_CA") != NULL) {
		bench->settings.tls_verify = true;
		bench->settings.tls_ca = getenv("BENCH_CA");
		bench->settings.sni = "web.test";
	}
	return strcmp(mode, "names") == 0 ? name_hosts(bench) : 0;
}

int main(int argc, char **argv)
{
	static const char *const no_headers[] = { NULL };
	struct bench bench = {
		.settings = { .method = "GET",
		              .path = "/",
		              .http_version = HTTP_1_1,
		              .http_host = "",
		              .headers = no_headers,
		              .body = "",
		              .user_agent = "checkerd",
		              .grpc_service = "",
		              .sni = "",
		              .tls_ca = CONFIG_SYSTEM_CA,
		              .tls_cert = "",
		              .tls_key = "",
		              .max_body = 65536,
		              .interval_ms = 1000,
		              .connect_timeout_ms = 1000,
		              .read_timeout_ms = 2000 },
	};
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct curl_loop *loop;
	struct rusage usage;
	const char *at;
	unsigned i;

	if (argc < 4 || atoi(argv[1]) <= 0 || atoi(argv[2]) <= 0) {
		fprintf(stderr, "probe_floor HOSTS SECONDS PORT [http|tcp]\n");
		return 2;
	}
	bench.host_count = (unsigned) atoi(argv[1]);
	bench.hosts = calloc(bench.host_count, sizeof(*bench.hosts));
	if (bench.hosts == NULL)
		return 1;
	for (i = 0; i < bench.host_count; i++) {
		in.sin_addr.s_addr = htonl(FIRST_HOST + i);
		address_from_ip(&bench.hosts[i], (struct sockaddr *) &in,
		                (uint16_t) atoi(argv[3]));
	}
	bench.lines = calloc(bench.host_count, sizeof(*bench.lines));
	if (status_mask_parse(&bench.settings.pass_status, "200-399", &at) <
	            0 ||
	    bench.lines == NULL ||
	    (argc > 4 && set_mode(&bench, argv[4]) < 0) ||
	    sd_event_new(&bench.event) < 0 ||
	    curl_loop_new(&loop, bench.event) < 0 ||
	    prober_new(&bench.prober, loop) < 0)
		return 1;
	bench.init_cpu_us = cpu_us(&usage);
	bench.start_us = monotonic_us();
	bench.end_us = bench.start_us + (uint64_t) atoi(argv[2]) * USEC_PER_SEC;
	if (sd_event_add_time(bench.event, NULL, CLOCK_MONOTONIC,
	                      bench.start_us, 1, on_tick, &bench) < 0 ||
	    sd_event_loop(bench.event) != 0)
		return 1;
	print_cost(&bench);
	for (i = 0; i < bench.host_count; i++)
		probe_line_clear(&bench.lines[i]);
	prober_free(bench.prober);
	curl_loop_free(loop);
	sd_event_unref(bench.event);
	free(bench.hosts);
	return 0;
}
