/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Datagrams on the report socket, from a sender who is believed: a worker of
 * nginx that somebody took over.  Each is one byte that says how long it is,
 * and as many bytes; a stream or a birthday of 0 is that of the segment, and
 * the time of sending is how long ago.
 *
 * What is no report is counted and goes no further; whatever is reported, the
 * segment stays sound, and a person's order gets every host back.
 */
#include "world.h"

#include "clock.h"
#include "report_receiver.h"

#include <pwd.h>

#define CONFIG                                                                 \
	"[defaults]\n"                                                         \
	"check = none\n"                                                       \
	"observe = status\n"                                                   \
	"fail_status = 5xx\n"                                                  \
	"on_error = fail\n"                                                    \
	"[pool web]\n"                                                         \
	"panic = 30%\n"                                                        \
	"server = 10.0.0.1:8080 id=a\n"                                        \
	"server = 10.0.0.2:8080 id=b\n"                                        \
	"[host web/b]\n"                                                       \
	"on_error = down\n"                                                    \
	"[pool asked]\n"                                                       \
	"check = tcp\n"                                                        \
	"on_error = probe\n"                                                   \
	"observe = connect\n"                                                  \
	"interval = 1d\n"                                                      \
	"server = 127.0.0.1:9 id=c\n"

static struct world world;
static struct report_receiver *receiver;
static struct sockaddr_un place = { .sun_family = AF_UNIX };
static int sender = -1;

static enum report_worth on_report(void *owner,
                                   const struct health_report *report,
                                   pid_t pid)
{
	const struct reader hello = { pid, report->reader_version, report->seq,
		                      1 };
	enum report_worth worth = rounds_report(world.rounds, report);

	(void) owner;
	HOLDS(pid == getpid());
	if (worth != REPORT_COUNTS)
		return worth;
	if (report->kind == HEALTH_REPORT_HELLO)
		readers_hello(&world.readers, &hello);
	else
		HOLDS(report->host < world.config->host_count);
	return worth;
}

static void prepare(void)
{
	const struct passwd *user = getpwuid(getuid());
	char path[SCRATCH_PATH_SIZE];

	if (receiver)
		return;
	world_make(&world, CONFIG);
	scratch_path(path, "report");
	HOLDS(strlen(path) < sizeof(place.sun_path));
	strcpy(place.sun_path, path);
	HOLDS(report_receiver_new(&receiver, world.event, path,
	                          user ? user->pw_name : "", on_report,
	                          NULL) >= 0);
	sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	HOLDS(sender >= 0);
}

/* Returns whether it can be a report. */
static bool send_one(const uint8_t *data, size_t size)
{
	const struct health_shm *shm = segment_writer_shm(world.writer);
	struct health_report report;
	uint8_t datagram[UINT8_MAX];

	memcpy(datagram, data, size);
	if (size >= sizeof(report)) {
		memcpy(&report, data, sizeof(report));
		if (report.stream == 0)
			report.stream = shm->stream;
		if (report.created_at_us == 0)
			report.created_at_us = shm->header->created_at_us;
		report.sent_mono_us = monotonic_us() - report.sent_mono_us;
		memcpy(datagram, &report, sizeof(report));
	}
	HOLDS(sendto(sender, datagram, size, 0, (struct sockaddr *) &place,
	             sizeof(place)) == (ssize_t) size);
	return size == sizeof(report) && report.magic == HEALTH_REPORT_MAGIC &&
	       report.version == HEALTH_REPORT_VERSION;
}

static void check_segment(void)
{
	const struct health_shm *shm = segment_writer_shm(world.writer);

	for (uint32_t p = 0; p < shm->pool_count; p++) {
		const struct health_pool *pool = &shm->pools[p];
		uint32_t routable = 0;

		for (uint32_t i = 0; i < pool->host_count; i++) {
			uint64_t word =
				health_shm_word(shm, pool->first_host + i);

			HOLDS(health_word_verdict(word) <= HEALTH_DOWN);
			HOLDS(health_word_admin(word) == HEALTH_AUTO);
			HOLDS(health_word_outcome(word) < HEALTH_OUTCOME_COUNT);
			routable += health_word_routable(word) != 0;
		}
		HOLDS(health_pool_word_routable(health_shm_pool_word(shm, p)) ==
		      routable);
	}
	HOLDS(world.readers.count <= 1);
}

static void raise_hosts(void)
{
	const struct rounds_order up = { .admin = HEALTH_AUTO,
		                         .weight = 1,
		                         .raise = true,
		                         .why = "for the next input" };
	const struct health_shm *shm;

	rounds_order(world.rounds, "web", "a", &up);
	rounds_order(world.rounds, "web", "b", &up);
	rounds_order(world.rounds, "asked", "c", &up);
	shm = segment_writer_shm(world.writer);
	for (uint32_t i = 0; i < shm->host_count; i++) {
		HOLDS(health_word_routable(health_shm_word(shm, i)));
		HOLDS(health_word_failcount(health_shm_word(shm, i)) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t refused;
	size_t length;

	prepare();
	/* the receiver's queue is not long */
	for (int i = 0; i < 8 && size > 1; i++) {
		length = data[0] < size - 1 ? data[0] : size - 1;
		refused = report_receiver_refused(receiver);
		if (!send_one(data + 1, length))
			refused++;
		world_run(&world);
		HOLDS(report_receiver_refused(receiver) >= refused);
		check_segment();
		data += 1 + length;
		size -= 1 + length;
	}
	raise_hosts();
	return 0;
}
