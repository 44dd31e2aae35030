/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The health segment: who is up, as checkerd sees it, in one mapped file.
 *
 * checkerd is its only writer.  Any number of readers map it read-only, take
 * no lock, make no system call and never wait.  This header is the whole
 * reader: it compiles as C and as C++ and needs nothing but a C library.
 *
 *   int fd = open("/run/checkerd/health.shm", O_RDONLY | O_CLOEXEC);
 *   fstat(fd, &st);
 *   void *base = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
 *   const char *error = health_shm_attach(&shm, base, (uint64_t) st.st_size);
 *   if (error == NULL && health_word_routable(health_shm_word(&shm, 0))) ...
 *
 * The file, in the order of its offsets (all of them are in the header, all
 * are multiples of 64, and nothing ever moves or grows):
 *
 *        0  +---------------------------------------------------------+
 *           | magic, layout, sizes, counts, offsets        (constant) |
 *      192  | generation, alone on its line                           |
 *      256  | heartbeat | event_head, each alone on its line          |
 *      384  | writer: pid, start, version                             |
 *      512  | stats: lateness of probes, lag of the loop              |
 *     4096  +---------------------------------------------------------+
 *           | pools      pool_count  x  64    name, tier, hosts       |
 *           | hosts      host_count  x 128    id, address   CONSTANT  |
 *           | strings    NUL-terminated                               |
 *           +---------------------------------------------------------+
 *           | pool words pool_count  x  64    counts, panic           |
 *           | host words host_count  x  64    all that routing needs  |
 *           | changes    a ring: generation -> host  (power of two)   |
 *           | details    host_count  x 832    what people want to see |
 *           |            and one more: the writer's journal           |
 *           | events     a ring: number -> transition (power of two)  |
 *           +---------------------------------------------------------+
 *
 * The constant part is the topology.  It is written before the file gets its
 * name; another topology is another file under the same name, and the old
 * one's generation word carries HEALTH_SUPERSEDED from then on.
 *
 * How things change, and in which order a reader may rely on them:
 *   event slot, host word, pool word, change slot, event_head, generation.
 * A reader keeps the last generation it acted on.  Equal: nothing that routes
 * has changed.  Else health_shm_change() names the host behind each
 * generation in between, or says that all hosts must be looked at.
 *
 * Times are microseconds, of the real-time clock unless the name says
 * `mono`.  Integers are in the machine's own byte order: a file from a
 * machine of the other order fails the magic.
 *
 * Readers distrust the file.  health_shm_attach() checks every count and
 * offset against the size from fstat and keeps its own copy of them; the
 * accessors below check what they read later.  What no reader can survive is
 * the file being truncated under its mapping, which checkerd never does.
 */
#ifndef CHECKERD_HEALTH_SHM_H
#define CHECKERD_HEALTH_SHM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
#define HEALTH_STATIC_ASSERT(condition) static_assert(condition, #condition)
extern "C" {
#else
#define HEALTH_STATIC_ASSERT(condition) _Static_assert(condition, #condition)
#endif

#define HEALTH_MAGIC      UINT64_C(0x636865636b736870)
#define HEALTH_LAYOUT     UINT32_C(2)
#define HEALTH_SUPERSEDED (UINT64_C(1) << 63) /* in the generation word */
#define HEALTH_ALL_HOSTS  UINT32_C(0xffffffff) /* from health_shm_change() */

#define HEALTH_MAX_POOLS    UINT32_C(65536)
#define HEALTH_MAX_HOSTS    UINT32_C(1048576)
#define HEALTH_MAX_RING     UINT32_C(1048576)
#define HEALTH_MAX_STRINGS  UINT64_C(0x40000000)
#define HEALTH_MAX_NUMBER   (UINT64_C(1) << 62) /* nobody lives to count so far */
#define HEALTH_MAX_WEIGHT   UINT32_C(65535)
#define HEALTH_WEIGHT_UNIT  UINT32_C(256) /* effective weight of weight 1 */
#define HEALTH_HISTORY      8
#define HEALTH_MESSAGE_SIZE 128
#define HEALTH_NAME_SIZE    128
#define HEALTH_REASON_SIZE  264
#define HEALTH_SAID_SIZE    48
#define HEALTH_LATENESS     128

/* What a probe saw, in the order of layers.  Columns: code, class (what the
 * verdict does with it), sentence for people.  Codes are stored in the
 * segment: append, never reorder. */
#define HEALTH_OUTCOMES(X)                                                    \
	X(NONE,    NEUTRAL, "not checked yet")                                \
	X(L4CON,   FAIL,    "connection refused or unreachable")              \
	X(L4TOUT,  FAIL,    "no connection within connect_timeout")           \
	X(L6TLS,   FAIL,    "TLS handshake failed")                           \
	X(L6CERT,  FAIL,    "certificate does not verify")                    \
	X(L7TOUT,  FAIL,    "no complete answer within the deadline")         \
	X(L7STS,   FAIL,    "unexpected status")                              \
	X(L7HDR,   FAIL,    "unexpected header")                              \
	X(L7BODY,  FAIL,    "unexpected body")                                \
	X(L7RSP,   FAIL,    "invalid or no response")                         \
	X(L7OK,    PASS,    "check passed")                                   \
	X(L4OK,    PASS,    "connection accepted")                            \
	X(L6OK,    PASS,    "TLS handshake completed")                        \
	X(INCONCL, NEUTRAL, "inconclusive: checkerd itself was held up")      \
	X(ADMIN,   NEUTRAL, "ordered by a person")                            \
	X(PASSIVE, FAIL,    "live traffic failed")                            \
	X(AGENT,   NEUTRAL, "said by the host's agent")

enum health_outcome_class {
	HEALTH_CLASS_NEUTRAL,
	HEALTH_CLASS_PASS,
	HEALTH_CLASS_FAIL
};

enum health_outcome {
#define X(code, verdict_class, sentence) HEALTH_##code,
	HEALTH_OUTCOMES(X)
#undef X
	HEALTH_OUTCOME_COUNT
};

enum health_verdict { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN };

enum health_admin { HEALTH_AUTO, HEALTH_ADMIN_DOWN, HEALTH_ADMIN_DRAIN };

/* What the host's agent, another process, wants of it. */
enum health_agent {
	HEALTH_AGENT_NONE,
	HEALTH_AGENT_DOWN, /* as if its checks had failed */
	HEALTH_AGENT_DRAIN, /* also said by a weight of 0% */
	HEALTH_AGENT_MAINT,
	HEALTH_AGENT_COUNT
};

/* The effective state: what verdict and orders come to for people. */
enum health_state {
	HEALTH_STATE_UNKNOWN,  /* never checked, takes traffic */
	HEALTH_STATE_CHECKING, /* never checked, takes none before a pass */
	HEALTH_STATE_UP,
	HEALTH_STATE_DOWN,
	HEALTH_STATE_DRAIN,
	HEALTH_STATE_COUNT
};

enum health_balance {
	HEALTH_ROUND_ROBIN,
	HEALTH_LEAST_CONN,
	HEALTH_RANDOM,
	HEALTH_HASH,
	HEALTH_BALANCE_COUNT
};

enum health_family { HEALTH_IPV4 = 4, HEALTH_IPV6 = 6, HEALTH_UNIX = 1 };

/* Which failures of live traffic checkerd wants to hear of. */
enum health_observe {
	HEALTH_OBSERVE_OFF,
	HEALTH_OBSERVE_CONNECT, /* no connection, reset, timeout */
	HEALTH_OBSERVE_STATUS /* those, and statuses in live_fail_status */
};

enum health_event_kind {
	HEALTH_HOST_UP = 1,
	HEALTH_HOST_DOWN,
	HEALTH_HOST_DRAIN,
	HEALTH_CERT_EXPIRING,
	HEALTH_PANIC_ON,
	HEALTH_PANIC_OFF,
	HEALTH_EVENT_KIND_COUNT
};

/* The host word.
 *
 *   63      56 55     48 47        32 31                8 7 6   5  4 3  2 1  0
 *  +----------+---------+------------+-------------------+---+---+--+----+----+
 *  |    0     | outcome | failcount  | effective weight  |agt| C | R| adm| ver|
 *  +----------+---------+------------+-------------------+---+---+--+----+----+
 *
 *  ver  enum health_verdict        R  routable: new requests may go here
 *  adm  enum health_admin          C  takes no traffic before its first pass
 *  agt  enum health_agent
 *  effective weight in 1/256 of a weight unit, so that weight 1 can ramp; 0
 *  is the agent's, and only where R is not set
 *  failcount  consecutive failures, saturating at 65535
 *
 * R is the writer's conclusion from everything: verdict, orders, panic.  In a
 * panic an agent's `down` is ignored as a verdict is, while its drain and maint
 * hold as a person's orders do.
 * A reader that only routes needs no other bit. */
#define HEALTH_WORD_ROUTABLE (UINT64_C(1) << 4)
#define HEALTH_WORD_CHECKING (UINT64_C(1) << 5)
#define HEALTH_WORD_AGENT_SHIFT 6

static inline uint64_t health_word_make(enum health_verdict verdict,
                                        enum health_admin admin, int routable,
                                        int checking, uint32_t weight,
                                        uint32_t failcount,
                                        enum health_outcome outcome)
{
	return (uint64_t) verdict | (uint64_t) admin << 2 |
	       (routable ? HEALTH_WORD_ROUTABLE : 0) |
	       (checking ? HEALTH_WORD_CHECKING : 0) |
	       (uint64_t) (weight & 0xffffff) << 8 |
	       (uint64_t) (failcount > 0xffff ? 0xffff : failcount) << 32 |
	       (uint64_t) outcome << 48;
}

static inline unsigned health_word_verdict(uint64_t word)
{
	return (unsigned) (word & 3);
}

static inline unsigned health_word_admin(uint64_t word)
{
	return (unsigned) (word >> 2 & 3);
}

static inline unsigned health_word_agent(uint64_t word)
{
	return (unsigned) (word >> HEALTH_WORD_AGENT_SHIFT & 3);
}

static inline int health_word_routable(uint64_t word)
{
	return (word & HEALTH_WORD_ROUTABLE) != 0;
}

static inline uint32_t health_word_weight(uint64_t word)
{
	return (uint32_t) (word >> 8 & 0xffffff);
}

static inline uint32_t health_word_failcount(uint64_t word)
{
	return (uint32_t) (word >> 32 & 0xffff);
}

static inline unsigned health_word_outcome(uint64_t word)
{
	return (unsigned) (word >> 48 & 0xff);
}

/* A person's order outranks the agent's, and both outrank the verdict. */
static inline enum health_state health_word_state(uint64_t word)
{
	switch (health_word_admin(word)) {
	case HEALTH_ADMIN_DOWN:
		return HEALTH_STATE_DOWN;
	case HEALTH_ADMIN_DRAIN:
		return HEALTH_STATE_DRAIN;
	default:
		break;
	}
	switch (health_word_agent(word)) {
	case HEALTH_AGENT_DOWN:
	case HEALTH_AGENT_MAINT:
		return HEALTH_STATE_DOWN;
	case HEALTH_AGENT_DRAIN:
		return HEALTH_STATE_DRAIN;
	default:
		break;
	}
	switch (health_word_verdict(word)) {
	case HEALTH_UP:
		return HEALTH_STATE_UP;
	case HEALTH_DOWN:
		return HEALTH_STATE_DOWN;
	default:
		return (word & HEALTH_WORD_CHECKING) ? HEALTH_STATE_CHECKING
		                                     : HEALTH_STATE_UNKNOWN;
	}
}

/* The pool word.
 *
 *   63   62     48 47         24 23          0
 *  +----+---------+-------------+-------------+
 *  | P  |    0    |  hosts up   |  routable   |   P  panic: health ignored
 *  +----+---------+-------------+-------------+
 */
#define HEALTH_POOL_PANIC (UINT64_C(1) << 63)

static inline uint64_t health_pool_word_make(uint32_t routable, uint32_t up,
                                             int panic)
{
	return (uint64_t) (routable & 0xffffff) |
	       (uint64_t) (up & 0xffffff) << 24 |
	       (panic ? HEALTH_POOL_PANIC : 0);
}

static inline uint32_t health_pool_word_routable(uint64_t word)
{
	return (uint32_t) (word & 0xffffff);
}

static inline uint32_t health_pool_word_up(uint64_t word)
{
	return (uint32_t) (word >> 24 & 0xffffff);
}

/* --- the records ------------------------------------------------------- */

struct health_header {
	uint64_t magic; /* stored last */
	uint32_t layout;
	uint32_t header_size;
	uint64_t size; /* of the whole file */
	uint64_t stream; /* names a sequence of event numbers; successors keep it */
	uint64_t created_at_us;
	uint32_t pool_count;
	uint32_t host_count;
	uint32_t change_capacity; /* powers of two */
	uint32_t event_capacity;
	uint64_t pools_at;
	uint64_t hosts_at;
	uint64_t strings_at;
	uint64_t strings_size;
	uint64_t pool_words_at;
	uint64_t words_at;
	uint64_t changes_at;
	uint64_t details_at;
	uint64_t events_at;
	uint64_t reserved0[8];

	uint64_t generation; /* offset 192: all that nginx loads per request */
	uint64_t reserved1[7];

	uint64_t heartbeat; /* offset 256: moves at least every 250 ms */
	uint64_t heartbeat_mono_us; /* CLOCK_MONOTONIC at that beat */
	uint64_t reserved2[6];

	uint64_t event_head; /* offset 320: number of the newest event, 0: none */
	uint64_t reserved3[7];

	uint64_t writer_pid; /* offset 384 */
	uint64_t started_at_us; /* of the writing process */
	char version[48]; /* of the writing process, NUL-terminated */
	uint64_t reserved4[8];

	/* offset 512: how well checkerd keeps its own time */
	uint64_t stats_probes;
	uint64_t stats_inconclusive;
	uint64_t stats_loop_lag_us; /* the greatest so far */
	uint64_t stats_lateness_us; /* the greatest so far */
	/* Probes by how late they started; see health_lateness_bound_us(). */
	uint64_t stats_lateness[HEALTH_LATENESS];
	uint64_t reserved5[316];
};

struct health_pool {
	uint32_t name; /* offsets into the strings */
	uint32_t upstream;
	uint32_t first_host; /* its hosts are neighbours */
	uint32_t host_count;
	uint16_t priority; /* lower is used first */
	uint8_t balance; /* enum health_balance */
	uint8_t panic_percent;
	uint32_t reserved[11];
};

struct health_host {
	uint32_t pool;
	uint32_t id; /* offsets into the strings */
	uint32_t address; /* "10.0.0.1:8080", "[::1]:80", "unix:/run/app.sock" */
	uint16_t port; /* host byte order; 0 for unix sockets */
	uint8_t family; /* enum health_family */
	uint8_t observe; /* enum health_observe */
	uint8_t ip[16]; /* network byte order; IPv4 uses the first four */
	uint32_t max_conns; /* 0: unlimited */
	uint32_t max_fails;
	uint32_t fail_timeout_ms;
	uint32_t slow_start_ms;
	uint64_t live_fail_status[8]; /* HEALTH_OBSERVE_STATUS: which statuses of
	                                 live traffic are failures; bit n is
	                                 status 100 + n */
	uint32_t reserved[4];
};

/* One line of the flight recorder. */
struct health_record {
	uint64_t at_us; /* when the probe ended */
	uint16_t outcome; /* enum health_outcome */
	uint16_t http_status; /* 0: none */
	uint32_t dns_us; /* phases, each counted from the probe's start */
	uint32_t connect_us;
	uint32_t tls_us;
	uint32_t first_byte_us;
	uint32_t total_us;
};

#define HEALTH_DETAIL_TLS_UNVERIFIED UINT16_C(1)
#define HEALTH_DETAIL_AGENT          UINT16_C(2) /* it has one */

/* What people want to see of a host; read it with health_shm_detail(). */
struct health_detail {
	uint64_t lock;
	uint64_t checked_at_us; /* end of the last probe, 0: never */
	uint64_t changed_at_us; /* last change of the effective state */
	uint64_t probes;
	uint64_t failures;
	uint64_t inconclusive;
	uint64_t cert_expires_at_us; /* 0: no certificate seen */
	uint64_t until_us; /* end of a person's order, 0: open */
	uint32_t passcount; /* consecutive passes, saturating at 65535 */
	uint32_t interval_ms;
	uint32_t timeout_ms;
	uint32_t lateness_us; /* of the last probe's start */
	uint16_t weight; /* configured */
	uint16_t rise;
	uint16_t fall;
	uint16_t shared; /* hosts served by this host's probe */
	uint16_t flags; /* HEALTH_DETAIL_... */
	uint16_t reason_size; /* bytes in reason */
	uint32_t recorded; /* records ever written: the newest is at
	                      history[(recorded - 1) % HEALTH_HISTORY] */
	struct health_record history[HEALTH_HISTORY];
	uint64_t cert_told_at_us; /* when its end was last an event */
	char check[8]; /* "http", "tcp", ...: NUL-terminated */
	char message[HEALTH_MESSAGE_SIZE]; /* why, for people: NUL-terminated */
	char reason[HEALTH_REASON_SIZE]; /* UTF-8, given with an order */
	uint64_t journal_host; /* in the journal: whose detail this becomes */

	/* offset 768: its agent, and what holds of all that it ever said */
	uint64_t agent_at_us; /* its last answer that made sense, 0: none */
	uint16_t agent_silent; /* answers missed since, saturating */
	uint8_t agent_outcome; /* enum health_outcome: why the last was */
	uint8_t agent_percent; /* of the configured weight */
	uint8_t agent_order; /* enum health_agent: none, drain or maint */
	uint8_t agent_down;
	uint8_t reserved[2];
	char agent_said[HEALTH_SAID_SIZE]; /* the words, of printable ASCII and
	                                      cut to fit: NUL-terminated */
};

/* A change that somebody may want to hear of; read it with
 * health_shm_event().  It carries names, not offsets, because events outlive
 * the topology they happened in. */
struct health_event {
	uint64_t lock; /* 2 x number when complete */
	uint64_t at_us;
	uint64_t word; /* the host word that this event makes true */
	uint32_t host; /* index in this segment, HEALTH_ALL_HOSTS: gone */
	uint16_t kind; /* enum health_event_kind */
	uint16_t outcome; /* enum health_outcome */
	uint8_t from; /* enum health_state */
	uint8_t to;
	uint16_t http_status; /* 0: none */
	uint32_t failcount;
	uint64_t reserved[3];
	char pool[HEALTH_NAME_SIZE]; /* all NUL-terminated */
	char host_id[HEALTH_NAME_SIZE];
	char upstream[HEALTH_NAME_SIZE];
	char address[HEALTH_NAME_SIZE];
	char reason[HEALTH_REASON_SIZE];
	uint64_t reserved1[7];
};

#define HEALTH_WORD_STRIDE 64

HEALTH_STATIC_ASSERT(__atomic_always_lock_free(sizeof(uint64_t), 0));
HEALTH_STATIC_ASSERT(offsetof(struct health_header, pools_at) == 56);
HEALTH_STATIC_ASSERT(offsetof(struct health_header, events_at) == 120);
HEALTH_STATIC_ASSERT(offsetof(struct health_header, generation) == 192);
HEALTH_STATIC_ASSERT(offsetof(struct health_header, heartbeat) == 256);
HEALTH_STATIC_ASSERT(offsetof(struct health_header, event_head) == 320);
HEALTH_STATIC_ASSERT(offsetof(struct health_header, writer_pid) == 384);
HEALTH_STATIC_ASSERT(offsetof(struct health_header, stats_probes) == 512);
HEALTH_STATIC_ASSERT(sizeof(struct health_header) == 4096);
HEALTH_STATIC_ASSERT(sizeof(struct health_pool) == 64);
HEALTH_STATIC_ASSERT(sizeof(struct health_host) == 128);
HEALTH_STATIC_ASSERT(sizeof(struct health_record) == 32);
HEALTH_STATIC_ASSERT(offsetof(struct health_detail, history) == 96);
HEALTH_STATIC_ASSERT(offsetof(struct health_detail, reason) == 496);
HEALTH_STATIC_ASSERT(offsetof(struct health_detail, agent_at_us) == 768);
HEALTH_STATIC_ASSERT(sizeof(struct health_detail) == 832);
HEALTH_STATIC_ASSERT(sizeof(struct health_event) == 896);

/* --- names -------------------------------------------------------------- */

static inline const char *health_outcome_name(unsigned outcome)
{
	static const char *const names[] = {
#define X(code, verdict_class, sentence) #code,
		HEALTH_OUTCOMES(X)
#undef X
	};
	return outcome < HEALTH_OUTCOME_COUNT ? names[outcome] : "?";
}

static inline const char *health_outcome_sentence(unsigned outcome)
{
	static const char *const sentences[] = {
#define X(code, verdict_class, sentence) sentence,
		HEALTH_OUTCOMES(X)
#undef X
	};
	return outcome < HEALTH_OUTCOME_COUNT ? sentences[outcome] : "?";
}

static inline enum health_outcome_class health_outcome_class(unsigned outcome)
{
	static const enum health_outcome_class classes[] = {
#define X(code, verdict_class, sentence) HEALTH_CLASS_##verdict_class,
		HEALTH_OUTCOMES(X)
#undef X
	};
	return outcome < HEALTH_OUTCOME_COUNT ? classes[outcome]
	                                      : HEALTH_CLASS_NEUTRAL;
}

static inline const char *health_state_name(unsigned state)
{
	static const char *const names[] = { "unknown", "checking", "up", "down",
	                                     "drain" };
	return state < HEALTH_STATE_COUNT ? names[state] : "?";
}

static inline const char *health_verdict_name(unsigned verdict)
{
	static const char *const names[] = { "unknown", "up", "down" };
	return verdict <= HEALTH_DOWN ? names[verdict] : "?";
}

static inline const char *health_admin_name(unsigned admin)
{
	static const char *const names[] = { "auto", "down", "drain" };
	return admin <= HEALTH_ADMIN_DRAIN ? names[admin] : "?";
}

static inline const char *health_agent_name(unsigned agent)
{
	static const char *const names[] = { "none", "down", "drain", "maint" };
	return agent < HEALTH_AGENT_COUNT ? names[agent] : "?";
}

static inline const char *health_balance_name(unsigned balance)
{
	static const char *const names[] = { "round_robin", "least_conn", "random",
	                                     "hash" };
	return balance < HEALTH_BALANCE_COUNT ? names[balance] : "?";
}

static inline const char *health_event_name(unsigned kind)
{
	static const char *const names[] = { "?",          "host_up",
	                                     "host_down",  "host_drain",
	                                     "cert_expiring", "panic_on",
	                                     "panic_off" };
	return kind < HEALTH_EVENT_KIND_COUNT ? names[kind] : "?";
}

/* --- atomics and the sequence lock --------------------------------------- */

/* Records are copied as words and looked at as structs; without this the
 * compiler may take the two for different memory. */
typedef uint64_t health_alias64 __attribute__((may_alias));

static inline uint64_t health_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* A record that is guarded by its first word: odd while the writer is in it,
 * and different after every change.  There is one writer, so it takes no
 * lock; a reader retries a bounded number of times, since a writer that was
 * killed inside leaves the word odd for good.  No fence is used: the data
 * words themselves carry the order (release when stored, acquire when
 * loaded), which is also what lets ThreadSanitizer follow it. */
#define HEALTH_READ_TRIES 64

static inline int health_record_read(const void *record, void *ret_copy,
                                     size_t size)
{
	const health_alias64 *from = (const health_alias64 *) record;
	health_alias64 *to = (health_alias64 *) ret_copy;
	int tries;
	size_t i;
	uint64_t lock;

	for (tries = 0; tries < HEALTH_READ_TRIES; tries++) {
		lock = __atomic_load_n(from, __ATOMIC_ACQUIRE);
		if (lock & 1)
			continue;
		for (i = 1; i < size / sizeof(*from); i++)
			to[i] = __atomic_load_n(from + i, __ATOMIC_ACQUIRE);
		if (__atomic_load_n(from, __ATOMIC_RELAXED) == lock) {
			to[0] = lock;
			return 1;
		}
	}
	return 0;
}

/* Four buckets to each power of two; this is where bucket `bucket` begins. */
static inline uint64_t health_lateness_bound_us(unsigned bucket)
{
	return bucket < 4 ? bucket
	                  : (UINT64_C(4) + bucket % 4) << (bucket / 4 - 1);
}

static inline unsigned health_lateness_bucket(uint64_t us)
{
	unsigned exponent, bucket;

	if (us < 4)
		return (unsigned) us;
	exponent = 63 - (unsigned) __builtin_clzll(us);
	bucket = (exponent - 1) * 4 + (unsigned) (us >> (exponent - 2) & 3);
	return bucket < HEALTH_LATENESS ? bucket : HEALTH_LATENESS - 1;
}

/* --- the reader ----------------------------------------------------------- */

/* A mapped segment, with its own checked copy of what the file claims. */
struct health_shm {
	const unsigned char *base;
	uint64_t size;
	uint64_t stream;
	uint32_t pool_count;
	uint32_t host_count;
	uint32_t change_capacity;
	uint32_t event_capacity;
	const struct health_header *header;
	const struct health_pool *pools;
	const struct health_host *hosts;
	const char *strings;
	uint64_t strings_size;
	const unsigned char *pool_words;
	const unsigned char *words;
	const uint64_t *changes;
	const struct health_detail *details;
	const struct health_event *events;
};

/* Text in the segment: not necessarily terminated, never beyond the file, and
 * shorter than HEALTH_NAME_SIZE: an end is not looked for in all of a file
 * that has none. */
struct health_text {
	const char *data;
	size_t size;
};

static inline int health_shm_fits(uint64_t at, uint64_t count, uint64_t each,
                                  uint64_t size)
{
	/* count and each are bounded by the callers: no overflow in the product */
	return at >= sizeof(struct health_header) && at % 64 == 0 && at <= size &&
	       count * each <= size - at;
}

static inline int health_shm_ring_ok(uint32_t capacity)
{
	return capacity >= 2 && capacity <= HEALTH_MAX_RING &&
	       (capacity & (capacity - 1)) == 0;
}

/* Checks `size` bytes mapped at `base` and fills `shm`.  Returns NULL, or
 * what is wrong with them as a static string. */
static inline const char *health_shm_attach(struct health_shm *shm,
                                            const void *base, uint64_t size)
{
	const unsigned char *bytes = (const unsigned char *) base;
	struct health_header header;
	uint32_t i, next = 0;

	if (size < sizeof(header))
		return "too small";
	/* Copied first: what was checked is what is used. */
	memcpy(&header, base, offsetof(struct health_header, generation));
	if (health_load((const uint64_t *) base) != HEALTH_MAGIC)
		return "not a health segment";
	if (header.layout != HEALTH_LAYOUT)
		return "another layout version";
	if (header.header_size != sizeof(header))
		return "another header size";
	if (header.size != size)
		return "not of the size it claims";
	if (header.pool_count > HEALTH_MAX_POOLS ||
	    header.host_count > HEALTH_MAX_HOSTS ||
	    !health_shm_ring_ok(header.change_capacity) ||
	    !health_shm_ring_ok(header.event_capacity) ||
	    header.strings_size < 1 || header.strings_size > HEALTH_MAX_STRINGS)
		return "a count out of bounds";
	if (!health_shm_fits(header.pools_at, header.pool_count,
	                     sizeof(struct health_pool), size) ||
	    !health_shm_fits(header.hosts_at, header.host_count,
	                     sizeof(struct health_host), size) ||
	    !health_shm_fits(header.strings_at, header.strings_size, 1, size) ||
	    !health_shm_fits(header.pool_words_at, header.pool_count,
	                     HEALTH_WORD_STRIDE, size) ||
	    !health_shm_fits(header.words_at, header.host_count,
	                     HEALTH_WORD_STRIDE, size) ||
	    !health_shm_fits(header.changes_at, header.change_capacity,
	                     sizeof(uint64_t), size) ||
	    !health_shm_fits(header.details_at, (uint64_t) header.host_count + 1,
	                     sizeof(struct health_detail), size) ||
	    !health_shm_fits(header.events_at, header.event_capacity,
	                     sizeof(struct health_event), size))
		return "an offset out of bounds";
	/* in this order, so that no part lies over another */
	if (header.pools_at > header.hosts_at ||
	    header.hosts_at - header.pools_at <
	            header.pool_count * sizeof(struct health_pool) ||
	    header.hosts_at > header.strings_at ||
	    header.strings_at - header.hosts_at <
	            header.host_count * sizeof(struct health_host) ||
	    header.strings_at > header.pool_words_at ||
	    header.pool_words_at - header.strings_at < header.strings_size ||
	    header.pool_words_at > header.words_at ||
	    header.words_at - header.pool_words_at <
	            (uint64_t) header.pool_count * HEALTH_WORD_STRIDE ||
	    header.words_at > header.changes_at ||
	    header.changes_at - header.words_at <
	            (uint64_t) header.host_count * HEALTH_WORD_STRIDE ||
	    header.changes_at > header.details_at ||
	    header.details_at - header.changes_at <
	            header.change_capacity * sizeof(uint64_t) ||
	    header.details_at > header.events_at ||
	    header.events_at - header.details_at <
	            (header.host_count + UINT64_C(1)) *
	                    sizeof(struct health_detail))
		return "parts that overlap";

	memset(shm, 0, sizeof(*shm));
	shm->base = bytes;
	shm->size = size;
	shm->stream = header.stream;
	shm->pool_count = header.pool_count;
	shm->host_count = header.host_count;
	shm->change_capacity = header.change_capacity;
	shm->event_capacity = header.event_capacity;
	shm->header = (const struct health_header *) base;
	shm->pools = (const struct health_pool *) (bytes + header.pools_at);
	shm->hosts = (const struct health_host *) (bytes + header.hosts_at);
	shm->strings = (const char *) (bytes + header.strings_at);
	shm->strings_size = header.strings_size;
	shm->pool_words = bytes + header.pool_words_at;
	shm->words = bytes + header.words_at;
	shm->changes = (const uint64_t *) (bytes + header.changes_at);
	shm->details = (const struct health_detail *) (bytes + header.details_at);
	shm->events = (const struct health_event *) (bytes + header.events_at);

	if (shm->strings[shm->strings_size - 1] != '\0')
		return "strings without an end";
	for (i = 0; i < shm->pool_count; i++) {
		const struct health_pool *pool = &shm->pools[i];

		/* hosts of a pool are neighbours, pools follow each other */
		if (pool->first_host != next ||
		    pool->host_count > shm->host_count - next)
			return "a pool with hosts out of bounds";
		next += pool->host_count;
		if (pool->name >= shm->strings_size ||
		    pool->upstream >= shm->strings_size)
			return "a pool with a name out of bounds";
	}
	if (next != shm->host_count)
		return "hosts without a pool";
	for (i = 0; i < shm->host_count; i++) {
		const struct health_host *host = &shm->hosts[i];

		if (host->pool >= shm->pool_count || host->id >= shm->strings_size ||
		    host->address >= shm->strings_size)
			return "a host out of bounds";
	}
	return NULL;
}

/* Compare with the last one acted on; HEALTH_SUPERSEDED is part of it. */
static inline uint64_t health_shm_generation(const struct health_shm *shm)
{
	return health_load(&shm->header->generation);
}

static inline uint64_t health_shm_heartbeat(const struct health_shm *shm)
{
	return health_load(&shm->header->heartbeat);
}

/* The number of the newest event; 0: none.  A number that no writer comes to
 * is none: who counts up to it would never end. */
static inline uint64_t health_shm_event_head(const struct health_shm *shm)
{
	uint64_t head = health_load(&shm->header->event_head);

	return head < HEALTH_MAX_NUMBER ? head : 0;
}

/* Indices are the caller's to keep below the counts in `shm`. */
static inline uint64_t health_shm_word(const struct health_shm *shm,
                                       uint32_t host)
{
	return health_load((const uint64_t *) (const void *) (shm->words +
	                   (uint64_t) host * HEALTH_WORD_STRIDE));
}

static inline int health_host_fails_with(const struct health_host *host,
                                         unsigned status)
{
	return status >= 100 && status < 600 &&
	       (host->live_fail_status[(status - 100) / 64] >>
	                ((status - 100) % 64) & 1) != 0;
}

static inline uint64_t health_shm_pool_word(const struct health_shm *shm,
                                            uint32_t pool)
{
	return health_load((const uint64_t *) (const void *) (shm->pool_words +
	                   (uint64_t) pool * HEALTH_WORD_STRIDE));
}

static inline struct health_text health_shm_text(const struct health_shm *shm,
                                                 uint32_t offset)
{
	struct health_text text = { "", 0 };
	const void *end;
	uint64_t left;

	if (offset < shm->strings_size) {
		left = shm->strings_size - offset;
		text.data = shm->strings + offset;
		text.size = left < HEALTH_NAME_SIZE ? (size_t) left
		                                    : HEALTH_NAME_SIZE - 1;
		end = memchr(text.data, '\0', text.size);
		if (end != NULL)
			text.size = (size_t) ((const char *) end - text.data);
	}
	return text;
}

/* Which host the change to `generation` was about.  HEALTH_ALL_HOSTS: look at
 * all of them (the change is older than the ring, or touched many).  A caller
 * walks from the generation it acted on to the current one; once those are
 * further apart than shm->change_capacity there is nothing to walk. */
static inline uint32_t health_shm_change(const struct health_shm *shm,
                                         uint64_t generation)
{
	uint64_t slot;

	slot = health_load(shm->changes + (generation & (shm->change_capacity - 1)));
	if (slot >> 32 != (generation & 0xffffffff) ||
	    (uint32_t) slot >= shm->host_count)
		return HEALTH_ALL_HOSTS;
	return (uint32_t) slot;
}

/* Copies what is known of a host.  Returns 0 if the writer was in it all the
 * time (or died in it); the strings of the copy are terminated. */
static inline int health_shm_detail(const struct health_shm *shm, uint32_t host,
                                    struct health_detail *copy)
{
	if (!health_record_read(&shm->details[host], copy, sizeof(*copy)))
		return 0;
	copy->check[sizeof(copy->check) - 1] = '\0';
	copy->message[sizeof(copy->message) - 1] = '\0';
	copy->reason[sizeof(copy->reason) - 1] = '\0';
	copy->agent_said[sizeof(copy->agent_said) - 1] = '\0';
	return 1;
}

/* Copies event `number`, from 1.  Returns 0 if it is not in the ring (any
 * more). */
static inline int health_shm_event(const struct health_shm *shm,
                                   uint64_t number, struct health_event *copy)
{
	const struct health_event *slot =
	        &shm->events[number & (shm->event_capacity - 1)];

	if (number == 0 ||
	    !health_record_read(slot, copy, sizeof(*copy)) ||
	    copy->lock != number * 2)
		return 0;
	copy->pool[sizeof(copy->pool) - 1] = '\0';
	copy->host_id[sizeof(copy->host_id) - 1] = '\0';
	copy->upstream[sizeof(copy->upstream) - 1] = '\0';
	copy->address[sizeof(copy->address) - 1] = '\0';
	copy->reason[sizeof(copy->reason) - 1] = '\0';
	return 1;
}

/* The oldest number that is kept for sure when `head` is the newest: the slot
 * after the head's is where the writer makes the next one. */
static inline uint64_t health_shm_event_tail(const struct health_shm *shm,
                                             uint64_t head)
{
	return head < shm->event_capacity ? 1 : head - shm->event_capacity + 2;
}

#undef HEALTH_STATIC_ASSERT

#ifdef __cplusplus
}
#endif

#endif /* CHECKERD_HEALTH_SHM_H */
