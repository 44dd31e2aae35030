/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Readers against a writer at full speed: is a snapshot ever put together from
 * two states?
 *
 *   torn_reads threads SNAPSHOTS   writer and readers are threads that share
 *                                  one mapping, so that ThreadSanitizer sees
 *                                  both sides
 *   torn_reads killed SNAPSHOTS    the writer is a process, killed -9 at
 *                                  random and followed by another that adopts
 *
 * Each state is made from one number; a snapshot whose parts speak of
 * different numbers is torn.  Across kills the events must go on without a
 * gap, and each must begin where the one before it ended.
 */
#include "../unit/fixture_config.h"
#include "segment_draft.h"
#include "segment_writer.h"
#include "topology.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOSTS   4
#define READERS 2

static char directory[] = "/dev/shm/checkerd-stress-XXXXXX";
static char path[64];
static unsigned long wanted;
static bool stop; /* atomic */

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static struct segment_writer *open_writer(void)
{
	static struct fixture_config fixture;
	struct segment_writer *writer = NULL;
	struct segment_draft *draft;
	struct topology topology;
	pid_t holder;
	int r;

	/* the one before may still be dying */
	while ((r = segment_writer_new(&writer, path, 0644, &holder)) == -EBUSY)
		usleep(100);
	if (r < 0 ||
	    topology_build(&topology, fixture_config(&fixture, "p: a b c d"),
	                   64, 64) < 0 ||
	    segment_draft_new(&draft, writer, &topology) < 0 ||
	    segment_writer_activate(writer, draft) < 0)
		die("segment");
	segment_draft_free(draft);
	topology_clear(&topology);
	return writer;
}

/* --- one number, many places ------------------------------------------------- */

static uint64_t word_of(uint64_t n)
{
	return health_word_make(n & 1 ? HEALTH_UP : HEALTH_DOWN, HEALTH_AUTO,
	                        n & 1, 0, 256, (uint32_t) (n & 0xffff),
	                        HEALTH_L7OK);
}

static void write_state(struct segment_writer *writer, uint32_t host,
                        uint64_t n)
{
	struct health_detail *detail = segment_writer_edit(writer, host);
	struct health_event event = { .at_us = n,
		                      .kind = HEALTH_HOST_UP,
		                      .from = (uint8_t) (n - 1) & 1,
		                      .to = (uint8_t) n & 1,
		                      .failcount = (uint32_t) n };

	detail->checked_at_us = n;
	detail->probes = n;
	detail->recorded = (uint32_t) n;
	for (int i = 0; i < HEALTH_HISTORY; i++)
		detail->history[i].at_us = n;
	memset(detail->message, 'a' + (int) (n % 26), 100);
	segment_writer_commit(writer);
	memset(event.reason, 'a' + (int) (n % 26), 100);
	segment_writer_publish(writer,
	                       &(struct segment_change) { .host = host,
	                                                  .word = word_of(n),
	                                                  .event = &event });
}

static bool detail_torn(const struct health_detail *detail)
{
	uint64_t n = detail->probes;
	bool torn = detail->checked_at_us != n ||
	            detail->recorded != (uint32_t) n;

	for (int i = 0; i < HEALTH_HISTORY; i++)
		torn |= detail->history[i].at_us != n;
	for (int i = 0; n && i < 100; i++)
		torn |= detail->message[i] != 'a' + (char) (n % 26);
	return torn;
}

static bool event_torn(const struct health_event *event)
{
	uint64_t n = event->at_us;
	bool torn = event->failcount != (uint32_t) n || event->to != (n & 1) ||
	            event->word != word_of(n);

	for (int i = 0; i < 100; i++)
		torn |= event->reason[i] != 'a' + (char) (n % 26);
	return torn;
}

struct tally {
	unsigned long snapshots;
	unsigned long torn;
	unsigned long busy; /* the writer was there all the time */
};

static void look(const struct health_shm *shm, struct tally *tally, uint32_t i)
{
	struct health_detail detail = { 0 };
	struct health_event event;

	if (health_shm_detail(shm, i % HOSTS, &detail)) {
		tally->snapshots++;
		tally->torn += detail_torn(&detail);
	} else {
		tally->busy++;
	}
	if (health_shm_event(shm, health_shm_event_head(shm) - i % 60, &event)) {
		tally->snapshots++;
		tally->torn += event_torn(&event);
	} else {
		tally->busy++;
	}
}

static int report(const char *mode, const struct tally *tally)
{
	printf("torn_reads %s: %lu snapshots, %lu torn, %lu given up\n", mode,
	       tally->snapshots, tally->torn, tally->busy);
	return tally->torn ? 1 : 0;
}

/* --- threads ------------------------------------------------------------------- */

static void *write_on(void *userdata)
{
	for (uint64_t n = 1; !__atomic_load_n(&stop, __ATOMIC_RELAXED); n++)
		write_state(userdata, (uint32_t) (n % HOSTS), n);
	return NULL;
}

struct reader {
	pthread_t thread;
	const struct health_shm *shm;
	struct tally tally;
};

static void *read_on(void *userdata)
{
	struct reader *reader = userdata;

	for (uint32_t i = 0; reader->tally.snapshots < wanted / READERS; i++)
		look(reader->shm, &reader->tally, i);
	return NULL;
}

static int threads(void)
{
	struct segment_writer *writer = open_writer();
	struct reader readers[READERS] = { 0 };
	struct tally all = { 0 };
	pthread_t thread;

	for (uint32_t host = 0; host < HOSTS; host++)
		write_state(writer, host, host);
	pthread_create(&thread, NULL, write_on, writer);
	for (int i = 0; i < READERS; i++) {
		readers[i].shm = segment_writer_shm(writer);
		pthread_create(&readers[i].thread, NULL, read_on, &readers[i]);
	}
	for (int i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		all.snapshots += readers[i].tally.snapshots;
		all.torn += readers[i].tally.torn;
		all.busy += readers[i].tally.busy;
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	segment_writer_free(writer);
	return report("threads", &all);
}

/* --- processes ------------------------------------------------------------------ */

static pid_t start_writer(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct segment_writer *writer = open_writer();
		uint64_t n = health_shm_event_head(segment_writer_shm(writer));

		/* the number of an event is the number it is made from */
		for (;;) {
			n++;
			write_state(writer, (uint32_t) (n % HOSTS), n);
		}
	}
	return pid;
}

/* Every event still in the ring is the successor of the one before it, and the
 * host words say what the last ones made true. */
static unsigned long broken_chain(const struct health_shm *shm)
{
	uint64_t head = health_shm_event_head(shm);
	uint64_t number = health_shm_event_tail(shm, head);
	unsigned long broken = 0;
	struct health_event event;

	for (; number <= head; number++)
		broken += !health_shm_event(shm, number, &event) ||
		          event.at_us != number || event_torn(&event);
	for (uint32_t host = 0; head > HOSTS && host < HOSTS; host++) {
		uint64_t last = head - (head - host) % HOSTS;

		broken += health_shm_word(shm, host) != word_of(last);
	}
	return broken;
}

static int killed(void)
{
	unsigned long kills = 0, broken = 0;
	struct tally tally = { 0 };
	struct segment_writer *writer;
	struct health_shm shm;
	struct stat st;
	void *base;
	int fd;

	segment_writer_free(open_writer());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	base = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED ||
	    health_shm_attach(&shm, base, (uint64_t) st.st_size))
		die("attach");
	srand(1);
	while (tally.snapshots < wanted) {
		pid_t pid = start_writer();

		for (uint32_t i = 0, end = 1000 + (uint32_t) rand() % 20000;
		     i < end; i++)
			look(&shm, &tally, i);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		kills++;
		writer = open_writer(); /* completes what was interrupted */
		broken += broken_chain(&shm);
		segment_writer_free(writer);
	}
	printf("torn_reads killed: %lu kills, %lu broken chains\n", kills,
	       broken);
	return report("killed", &tally) || broken;
}

int main(int argc, char **argv)
{
	int status;
	char command[96];

	if (argc != 3 || (wanted = strtoul(argv[2], NULL, 10)) == 0) {
		fprintf(stderr, "torn_reads threads|killed SNAPSHOTS\n");
		return 2;
	}
	if (!mkdtemp(directory))
		die(directory);
	snprintf(path, sizeof(path), "%s/health.shm", directory);
	status = strcmp(argv[1], "killed") == 0 ? killed() : threads();
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command) ? 2 : status;
}
