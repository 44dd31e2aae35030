/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What an answer must look like: regular expressions on its header fields and
 * its body.
 *
 * They are compiled once, when the configuration is read, and matched against
 * bytes that may come from anybody.  What that costs is bounded, whatever the
 * expression and whatever the bytes: an answer that would cost more fails,
 * with "match limit" in the message.
 */
#ifndef CHECKERD_EXPECTATION_H
#define CHECKERD_EXPECTATION_H

#include "../include/health_shm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPECTATION_MAX_HEADERS 64

struct arena;
struct expectation;

/* NULL for what is not expected. */
struct expectations {
	const struct expectation *answer;         /* of tcp and tls */
	const struct expectation *const *headers; /* NULL at the end */
	const struct expectation *body;
	const struct expectation *fail_body;
};

enum expectation_form {
	EXPECT_PLAIN,     /* "REGEX"; an ! at its start is refused */
	EXPECT_NEGATABLE, /* "REGEX" or "!REGEX" */
	EXPECT_NONE_OF,   /* "REGEX", which must not match */
	EXPECT_HEADER,    /* "NAME: REGEX" or "!NAME: REGEX" */
};

/* Into `arena`, which frees it; `text` must live as long.  Returns 0; -EINVAL
 * with `problem` saying what is wrong; -ENOMEM. */
int expectation_compile(const struct expectation **ret, const char *text,
                        enum expectation_form form, struct arena *arena,
                        char *problem, size_t problem_size);

const char *expectation_text(const struct expectation *expectation);

/* What is known of one answer so far; starts as zeroes. */
struct expectation_progress {
	uint64_t present; /* by index of the header expectation */
	uint64_t matched;
	uint64_t limited;
	uint32_t work; /* spent so far */
	bool no_memory;
};

/* One line of the answer's head, with or without its end.  A status line
 * starts over: what came before it was an interim answer. */
void expectation_header(const struct expectations *expectations,
                        struct expectation_progress *progress, const char *line,
                        size_t size);

/* The following return HEALTH_NONE if there is nothing to complain of, or
 * the outcome that the answer has come to, with a sentence in `message`.
 * HEALTH_INCONCL is lack of memory. */

/* When all lines were seen: HEALTH_L7HDR. */
enum health_outcome
expectation_headers(const struct expectations *expectations,
                    const struct expectation_progress *progress, char *message,
                    size_t message_size);

/* As much of the body as is looked at: HEALTH_L7BODY. */
enum health_outcome expectation_body(const struct expectations *expectations,
                                     const char *data, size_t size,
                                     char *message, size_t message_size);

/* All that a tcp or tls server has sent so far: HEALTH_L7OK as soon as it
 * matches, HEALTH_L7BODY if it never will, which without a match is known
 * when the answer is `complete`. */
enum health_outcome expectation_answer(const struct expectations *expectations,
                                       struct expectation_progress *progress,
                                       const char *data, size_t size,
                                       bool complete, char *message,
                                       size_t message_size);

#endif
