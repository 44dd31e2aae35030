/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The socket on which nginx workers report (include/health_report.h).
 * Anybody may send to it; only what comes from root or one of the users named
 * in report_users is looked at, and what is not exactly a report of this
 * version goes no further.
 */
#ifndef CHECKERD_REPORT_RECEIVER_H
#define CHECKERD_REPORT_RECEIVER_H

#include "../include/health_report.h"

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct report_receiver;

enum report_worth {
	REPORT_COUNTS,
	REPORT_IS_HISTORY, /* late, or of a segment that is not in force: no
	                    * worker can help sending some, or checkerd was held
	                    * up */
	REPORT_IS_NONSENSE, /* counted with the refused */
};

/* One that deserves belief as far as its sender goes, and is not late. */
typedef enum report_worth (*report_fn)(void *owner,
                                       const struct health_report *report,
                                       pid_t sender);

/* Binds `path`, replacing what an earlier process left there.  `users` are
 * names, divided by blanks; those that the system does not know are passed
 * over.  Returns 0 or a negative errno. */
int report_receiver_new(struct report_receiver **ret, sd_event *event,
                        const char *path, const char *users, report_fn report,
                        void *owner);
void report_receiver_free(struct report_receiver *receiver); /* NULL is fine */

/* Datagrams from strangers, and nonsense, so far. */
uint64_t report_receiver_refused(const struct report_receiver *receiver);

#endif
