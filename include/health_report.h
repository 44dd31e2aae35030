/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What an nginx worker tells checkerd: one datagram to its report socket,
 * exactly one struct health_report.  The sender's uid and pid come from the
 * kernel (SCM_CREDENTIALS), never from the datagram.
 *
 * checkerd trusts nothing in it.  It is about one segment file, named by
 * stream and created_at_us: host numbers mean nothing in another one.  What
 * was sent more than HEALTH_REPORT_MAX_AGE_US ago is history.
 */
#ifndef CHECKERD_HEALTH_REPORT_H
#define CHECKERD_HEALTH_REPORT_H

#include <stdint.h>

#define HEALTH_REPORT_MAGIC      UINT32_C(0x68637270)
#define HEALTH_REPORT_VERSION    UINT16_C(1)
#define HEALTH_REPORT_MAX_AGE_US UINT64_C(1000000)

enum health_report_kind {
	HEALTH_REPORT_HELLO = 1, /* I read this segment */
	HEALTH_REPORT_FAILURE = 2 /* a request failed at this host */
};

struct health_report {
	uint32_t magic;
	uint16_t version;
	uint16_t kind; /* enum health_report_kind */
	uint64_t stream; /* both from the header of the segment */
	uint64_t created_at_us;
	uint64_t sent_mono_us; /* CLOCK_MONOTONIC */
	uint64_t seq; /* the last event the sender acted on */
	uint32_t host; /* FAILURE: its number in the segment */
	uint32_t failures; /* FAILURE: that this one speaks for */
	uint16_t http_status; /* FAILURE: 0: no answer at all */
	uint16_t reserved0;
	uint32_t reader_version; /* nginx_version of the sender: 1022001 */
	uint64_t reserved1;
};

#ifdef __cplusplus
static_assert(sizeof(struct health_report) == 64, "size of a report");
#else
_Static_assert(sizeof(struct health_report) == 64, "size of a report");
#endif

#endif
