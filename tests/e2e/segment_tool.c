/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A hand on the segment for tests of its readers: does with the daemon's own
 * writer what a line on standard input says, and answers each with one line,
 * "ok ..." or "error ...".  In between it keeps the heart beating.
 *
 *   pool NAME UPSTREAM [PRIORITY BALANCE]  describes the next topology,
 *   observe off|connect|status [MASKS]  of the hosts that follow,
 *   host ID ADDRESS [KEY=NUMBER ...]    pool by pool,
 *                                   KEY: weight max_conns max_fails
 *                                   fail_timeout, in ms
 *   activate                        which then takes force: ok FATE
 *   set POOL/HOST STATE [FAILCOUNT OUTCOME STATUS]      ok SEQ
 *                                   STATE: up down drain ordered-down
 *   quiet POOL/HOST STATE           the same without an event: ok 0
 *   sweep POOL STATE                the same of all its hosts: ok 0
 *   weigh POOL/HOST WEIGHT [CONFIGURED]     the former in 1/256: ok 0
 *   tell KIND POOL                  an event about no host, KIND by number
 *   flip COUNT POOL/HOST            down, up, down, ...: COUNT transitions
 *   heart stop | heart beat
 */
#include "address.h"
#include "config.h"
#include "segment_draft.h"
#include "segment_writer.h"
#include "status_mask.h"
#include "topology.h"
#include "transition.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_POOLS   4096
#define MAX_HOSTS   131072
#define MAX_WORDS   7
#define BEAT_MS     100
#define LINE_SIZE   512

struct observation {
	uint8_t mode; /* enum health_observe */
	struct status_mask fail_status;
};

struct tool {
	struct segment_writer *writer;
	bool active; /* there is a segment */
	bool stopped; /* the heart */
	struct config config;
	struct settings settings;
	struct pool_config pools[MAX_POOLS];
	struct host_config hosts[MAX_HOSTS];
	struct address addresses[MAX_HOSTS];
	struct observation observe; /* of hosts to come */
	struct observation observes[MAX_HOSTS];
};

struct command {
	const char *name;
	int (*run)(struct tool *tool, char **words, int count);
	int min_words;
};

static uint64_t now_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static int answer(const char *status, const char *text)
{
	printf("%s %s\n", status, text);
	fflush(stdout);
	return 0;
}

static int answer_number(uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long) number);
	return answer("ok", text);
}

static int add_pool(struct tool *tool, char **words, int count)
{
	struct config *config = &tool->config;
	unsigned balance = 0;

	if (config->pool_count == MAX_POOLS)
		return -E2BIG;
	while (count > 4 && balance < HEALTH_BALANCE_COUNT &&
	       strcmp(health_balance_name(balance), words[4]) != 0)
		balance++;
	if (balance == HEALTH_BALANCE_COUNT)
		return -EINVAL;
	tool->pools[config->pool_count++] = (struct pool_config) {
		.name = strdup(words[1]),
		.upstream = strdup(words[2]),
		.priority = count > 3 ? (uint16_t) atoi(words[3]) : 0,
		.balance = (enum health_balance) balance,
		.hosts = tool->hosts + config->host_count,
	};
	return answer("ok", "");
}

static int observe(struct tool *tool, char **words, int count)
{
	static const char *const modes[] = { "off", "connect", "status" };
	const char *at;

	tool->observe = (struct observation) { .mode = 0 };
	for (uint8_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (strcmp(modes[i], words[1]) == 0)
			tool->observe.mode = i;
	if (count > 2 &&
	    status_mask_parse(&tool->observe.fail_status, words[2], &at) < 0)
		return -EINVAL;
	return answer("ok", "");
}

static int set_key(struct host_config *host, const char *word)
{
	const char *equals = strchr(word, '=');
	uint32_t number = equals ? (uint32_t) atoi(equals + 1) : 0;

	if (strncmp(word, "weight=", 7) == 0)
		host->weight = (uint16_t) number;
	else if (strncmp(word, "max_conns=", 10) == 0)
		host->max_conns = number;
	else if (strncmp(word, "max_fails=", 10) == 0)
		host->max_fails = number;
	else if (strncmp(word, "fail_timeout=", 13) == 0)
		host->fail_timeout_ms = number;
	else
		return -EINVAL;
	return 0;
}

static int add_host(struct tool *tool, char **words, int count)
{
	struct config *config = &tool->config;
	struct host_config *host = &tool->hosts[config->host_count];
	struct address *address = &tool->addresses[config->host_count];
	size_t name_length;
	uint16_t port;

	if (config->host_count == MAX_HOSTS || config->pool_count == 0)
		return -E2BIG;
	*host = (struct host_config) { .id = strdup(words[1]),
		                       .weight = 1,
		                       .max_fails = 1,
		                       .fail_timeout_ms = 10000,
		                       .settings = &tool->settings };
	for (int i = 3; i < count; i++)
		if (set_key(host, words[i]) < 0)
			return -EINVAL;
	if (address_parse(address, words[2], &name_length, &port) < 0)
		return -EINVAL;
	host->address = address;
	tool->observes[config->host_count] = tool->observe;
	tool->pools[config->pool_count - 1].host_count++;
	config->host_count++;
	return answer("ok", "");
}

static void set_configured(struct tool *tool, uint32_t host, uint16_t weight)
{
	const struct health_shm *shm = segment_writer_shm(tool->writer);
	struct health_detail *detail =
	        (struct health_detail *) (uintptr_t) &shm->details[host];

	detail->weight = weight;
}

/* Constant for readers, but the mapping is the writer's. */
static void poke(const struct tool *tool, const struct health_shm *shm,
                 uint32_t number)
{
	const struct observation *from = &tool->observes[number];
	struct health_host *host =
	        (struct health_host *) (uintptr_t) &shm->hosts[number];
	host->observe = from->mode;
	memcpy(host->live_fail_status, from->fail_status.bits,
	       sizeof(host->live_fail_status));
}

static uint64_t pool_word(const struct health_shm *shm, uint32_t pool,
                          uint32_t changed, uint64_t word)
{
	uint32_t first = shm->pools[pool].first_host, routable = 0, up = 0;

	for (uint32_t h = first; h < first + shm->pools[pool].host_count; h++) {
		uint64_t w = h == changed ? word : health_shm_word(shm, h);

		routable += health_word_routable(w);
		up += health_word_verdict(w) == HEALTH_UP;
	}
	return health_pool_word_make(routable, up, 0);
}

/* Before anybody sees them: hosts that were go on, those that are new are
 * unknown. */
static void fill_in(struct tool *tool, struct segment_draft *draft)
{
	const struct health_shm *shm = segment_draft_shm(draft);

	for (uint32_t h = 0; h < shm->host_count; h++) {
		uint64_t fresh = health_word_make(
		        HEALTH_UNKNOWN, HEALTH_AUTO, 1, 0,
		        tool->hosts[h].weight * HEALTH_WEIGHT_UNIT, 0,
		        HEALTH_NONE);
		struct health_detail detail;
		uint64_t word = segment_draft_recall(draft, h, &detail);

		poke(tool, shm, h);
		detail.weight = tool->hosts[h].weight;
		if (segment_draft_fate(draft) == SEGMENT_ADOPTED)
			set_configured(tool, h, tool->hosts[h].weight);
		else
			segment_draft_set(draft, h, word ? word : fresh,
			                  &detail);
	}
	for (uint32_t p = 0; p < shm->pool_count; p++)
		if (segment_draft_fate(draft) != SEGMENT_ADOPTED)
			segment_draft_set_pool(
			        draft, p,
			        pool_word(shm, p, HEALTH_ALL_HOSTS, 0));
}

static uint64_t publish(struct tool *tool, uint32_t host, uint64_t word,
                        struct health_event *event)
{
	const struct health_shm *shm = segment_writer_shm(tool->writer);
	struct segment_change change = {
		.host = host,
		.word = word,
		.pool_word = pool_word(shm, shm->hosts[host].pool, host, word),
		.event = event,
	};

	return segment_writer_publish(tool->writer, &change);
}

/* What was described: the next topology is described anew. */
static void forget(struct tool *tool)
{
	for (uint32_t p = 0; p < tool->config.pool_count; p++) {
		free((char *) (uintptr_t) tool->pools[p].name);
		free((char *) (uintptr_t) tool->pools[p].upstream);
	}
	for (uint32_t h = 0; h < tool->config.host_count; h++)
		free((char *) (uintptr_t) tool->hosts[h].id);
	tool->config = (struct config) { .pool_count = 0 };
}

static int activate(struct tool *tool, char **words, int count)
{
	static const char *const fates[] = { "created", "adopted", "replaced" };
	struct segment_draft *draft;
	struct topology topology;
	enum segment_fate fate;
	int rc;

	(void) words;
	(void) count;
	tool->config.pools = tool->pools;
	rc = topology_build(&topology, &tool->config, SEGMENT_CHANGES,
	                    SEGMENT_EVENTS);
	if (rc < 0)
		return rc;
	rc = segment_draft_new(&draft, tool->writer, &topology);
	topology_clear(&topology);
	if (rc < 0)
		return rc;
	fate = segment_draft_fate(draft);
	fill_in(tool, draft);
	rc = segment_writer_activate(tool->writer, draft);
	segment_draft_free(draft);
	if (rc < 0)
		return rc;
	segment_writer_beat(tool->writer, now_us(CLOCK_MONOTONIC));
	forget(tool);
	tool->active = true;
	return answer("ok", fates[fate]);
}

static bool text_is(struct health_text text, const char *name, size_t length)
{
	return text.size == length && memcmp(text.data, name, length) == 0;
}

static int find_host(const struct health_shm *shm, const char *name,
                     uint32_t *ret)
{
	const char *slash = strchr(name, '/');

	if (!slash)
		return -EINVAL;
	for (uint32_t h = 0; h < shm->host_count; h++) {
		const struct health_host *host = &shm->hosts[h];

		if (text_is(health_shm_text(shm, host->id), slash + 1,
		            strlen(slash + 1)) &&
		    text_is(health_shm_text(shm, shm->pools[host->pool].name),
		            name, (size_t) (slash - name))) {
			*ret = h;
			return 0;
		}
	}
	return -ENOENT;
}

static int make_word(const char *state, uint32_t weight, uint32_t failcount,
                     unsigned outcome, uint64_t *ret)
{
	static const struct {
		const char *name;
		enum health_verdict verdict;
		enum health_admin admin;
	} states[] = {
		{ "up", HEALTH_UP, HEALTH_AUTO },
		{ "down", HEALTH_DOWN, HEALTH_AUTO },
		{ "drain", HEALTH_UP, HEALTH_ADMIN_DRAIN },
		{ "ordered-down", HEALTH_UP, HEALTH_ADMIN_DOWN },
	};

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		if (strcmp(states[i].name, state) != 0)
			continue;
		*ret = health_word_make(states[i].verdict, states[i].admin,
		                        i == 0, 0, weight, failcount,
		                        (enum health_outcome) outcome);
		return 0;
	}
	return -EINVAL;
}

static void copy_text(char *ret, const struct health_shm *shm, uint32_t offset)
{
	struct health_text text = health_shm_text(shm, offset);

	snprintf(ret, HEALTH_NAME_SIZE, "%.*s", (int) text.size, text.data);
}

static uint64_t publish_event(struct tool *tool, uint32_t host, uint64_t word,
                              uint16_t status)
{
	const struct health_shm *shm = segment_writer_shm(tool->writer);
	const struct health_host *record = &shm->hosts[host];
	const struct health_pool *pool = &shm->pools[record->pool];
	uint64_t before = health_shm_word(shm, host);
	struct health_event event = {
		.at_us = now_us(CLOCK_REALTIME),
		.word = word,
		.host = host,
		.kind = transition_kind(before, word),
		.outcome = (uint16_t) health_word_outcome(word),
		.from = (uint8_t) health_word_state(before),
		.to = (uint8_t) health_word_state(word),
		.http_status = status,
		.failcount = health_word_failcount(word),
	};

	copy_text(event.pool, shm, pool->name);
	copy_text(event.upstream, shm, pool->upstream);
	copy_text(event.host_id, shm, record->id);
	copy_text(event.address, shm, record->address);
	return publish(tool, host, word, event.kind ? &event : NULL);
}

static uint32_t weight_of(struct tool *tool, uint32_t host)
{
	return health_word_weight(
	        health_shm_word(segment_writer_shm(tool->writer), host));
}

static unsigned outcome_by_name(const char *name)
{
	unsigned outcome = 0;

	while (outcome < HEALTH_OUTCOME_COUNT &&
	       strcmp(health_outcome_name(outcome), name) != 0)
		outcome++;
	return outcome;
}

static int set(struct tool *tool, char **words, int count)
{
	uint32_t host, failcount = count > 3 ? (uint32_t) atoi(words[3]) : 0;
	unsigned outcome = outcome_by_name(count > 4 ? words[4] : "NONE");
	uint64_t word;

	if (find_host(segment_writer_shm(tool->writer), words[1], &host) < 0 ||
	    make_word(words[2], weight_of(tool, host), failcount, outcome,
	              &word) < 0)
		return -EINVAL;
	return answer_number(publish_event(
	        tool, host, word, count > 5 ? (uint16_t) atoi(words[5]) : 0));
}

static int quiet(struct tool *tool, char **words, int count)
{
	uint32_t host;
	uint64_t word;

	(void) count;
	if (find_host(segment_writer_shm(tool->writer), words[1], &host) < 0 ||
	    make_word(words[2], weight_of(tool, host), 0, HEALTH_NONE,
	              &word) < 0)
		return -EINVAL;
	return answer_number(publish(tool, host, word, NULL));
}

static int sweep(struct tool *tool, char **words, int count)
{
	const struct health_shm *shm = segment_writer_shm(tool->writer);
	uint32_t next, p = 0;
	struct segment_change change = { 0 };

	(void) count;
	while (p < shm->pool_count &&
	       !text_is(health_shm_text(shm, shm->pools[p].name), words[1],
	                strlen(words[1])))
		p++;
	if (p == shm->pool_count)
		return -ENOENT;
	change.host = shm->pools[p].first_host;
	next = change.host + shm->pools[p].host_count;
	for (; change.host < next; change.host++) {
		if (make_word(words[2], weight_of(tool, change.host), 0,
		              HEALTH_NONE, &change.word) < 0)
			return -EINVAL;
		change.pool_word = change.host + 1 == next
			? pool_word(shm, p, change.host, change.word)
			: health_shm_pool_word(shm, p);
		segment_writer_publish(tool->writer, &change);
	}
	return answer_number(0);
}

static int weigh(struct tool *tool, char **words, int count)
{
	const struct health_shm *shm = segment_writer_shm(tool->writer);
	uint64_t mask = UINT64_C(0xffffff) << 8;
	uint32_t host;

	if (find_host(shm, words[1], &host) < 0)
		return -EINVAL;
	if (count > 3)
		set_configured(tool, host, (uint16_t) atoi(words[3]));
	return answer_number(publish(tool, host,
	                             (health_shm_word(shm, host) & ~mask) |
	                             ((uint64_t) atoi(words[2]) << 8 & mask),
	                             NULL));
}

static int tell(struct tool *tool, char **words, int count)
{
	struct health_event event = { .at_us = now_us(CLOCK_REALTIME),
		                      .kind = (uint16_t) atoi(words[1]),
		                      .host = HEALTH_ALL_HOSTS };
	struct segment_change change = { .host = HEALTH_ALL_HOSTS,
		                         .event = &event };

	(void) count;
	snprintf(event.pool, sizeof(event.pool), "%s", words[2]);
	snprintf(event.upstream, sizeof(event.upstream), "%s", words[2]);
	return answer_number(segment_writer_publish(tool->writer, &change));
}

static int flip(struct tool *tool, char **words, int count)
{
	int times = atoi(words[1]);
	uint64_t word, number = 0;
	uint32_t host;

	(void) count;
	if (find_host(segment_writer_shm(tool->writer), words[2], &host) < 0)
		return -EINVAL;
	for (int i = 0; i < times; i++) {
		make_word(i % 2 ? "up" : "down", weight_of(tool, host), 3,
		          HEALTH_L4CON, &word);
		number = publish_event(tool, host, word, 0);
	}
	return answer_number(number);
}

static int heart(struct tool *tool, char **words, int count)
{
	(void) count;
	tool->stopped = strcmp(words[1], "stop") == 0;
	return answer("ok", "");
}

static const struct command commands[] = {
	{ "pool", add_pool, 3 }, { "observe", observe, 2 },
	{ "host", add_host, 3 }, { "activate", activate, 1 },
	{ "set", set, 3 }, { "quiet", quiet, 3 },
		{ "sweep", sweep, 3 },
	{ "weigh", weigh, 3 }, { "tell", tell, 3 }, { "flip", flip, 3 },
	{ "heart", heart, 2 },
};

static void run(struct tool *tool, char *line)
{
	char *words[MAX_WORDS], *word;
	int count = 0, rc = -EINVAL;

	while (count < MAX_WORDS && (word = strsep(&line, " ")))
		words[count++] = word;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, words[0]) == 0 &&
		    count >= commands[i].min_words)
			rc = commands[i].run(tool, words, count);
	if (rc < 0)
		answer("error", strerror(-rc));
}

int main(int argc, char **argv)
{
	static struct tool tool;
	char buffer[LINE_SIZE], *end;
	size_t used = 0;
	ssize_t n;
	pid_t holder;
	int rc;

	if (argc != 2) {
		fprintf(stderr, "usage: segment_tool SEGMENT\n");
		return 2;
	}
	rc = segment_writer_new(&tool.writer, argv[1], 0644, &holder);
	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-rc));
		return 1;
	}
	for (;;) {
		struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };

		if (tool.active && !tool.stopped)
			segment_writer_beat(tool.writer,
			                    now_us(CLOCK_MONOTONIC));
		if (poll(&in, 1, BEAT_MS) <= 0)
			continue;
		n = read(STDIN_FILENO, buffer + used, sizeof(buffer) - used);
		if (n <= 0)
			break;
		used += (size_t) n;
		while ((end = memchr(buffer, '\n', used))) {
			*end++ = '\0';
			run(&tool, buffer);
			used -= (size_t) (end - buffer);
			memmove(buffer, end, used);
		}
	}
	segment_writer_free(tool.writer);
	return 0;
}
