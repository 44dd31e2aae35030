/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The rules of the verdict, read backwards: from where a host is to the
 * rule that put it there, or that keeps it there.  The daemon could store the
 * sentence instead; but a sentence in the segment would be a second verdict,
 * to be kept true by every path that changes the first.
 */
#include "explanation.h"

#include <stdio.h>

#define PASSES(count)   count, (count) == 1 ? "pass" : "passes"
#define FAILURES(count) count, (count) == 1 ? "failure" : "failures"

static int explain_up(char *buffer, uint32_t failures, unsigned outcome,
                      const struct health_detail *detail)
{
	uint32_t passes = detail->passcount;

	if (failures > 0)
		return snprintf(buffer, EXPLANATION_SIZE,
		                "still up: %u consecutive %s, fall = %u",
		                FAILURES(failures), detail->fall);
	if (outcome == HEALTH_ADMIN)
		return snprintf(buffer, EXPLANATION_SIZE,
		                "a person marked it up; checks go on");
	if (passes == 0)
		return snprintf(buffer, EXPLANATION_SIZE,
		                "up from before; no check of this "
		                "configuration has ended yet");
	if (passes >= detail->rise)
		return snprintf(buffer, EXPLANATION_SIZE,
		                "%u consecutive %s reached rise = %u",
		                PASSES(passes), detail->rise);
	if (detail->failures == 0)
		return snprintf(buffer, EXPLANATION_SIZE,
		                "the first pass brings an unknown host up");
	return snprintf(buffer, EXPLANATION_SIZE,
	                "still up: the failures before the last %u %s did not "
	                "reach fall = %u",
	                PASSES(passes), detail->fall);
}

static int explain_down(char *buffer, uint32_t failures, unsigned outcome,
                        const struct health_detail *detail)
{
	if (detail->passcount > 0)
		return snprintf(buffer, EXPLANATION_SIZE,
		                "still down: %u consecutive %s, rise = %u",
		                PASSES(detail->passcount), detail->rise);
	if (failures > 0 && failures >= detail->fall)
		return snprintf(buffer, EXPLANATION_SIZE,
		                "%u consecutive %s reached fall = %u",
		                FAILURES(failures), detail->fall);
	if (outcome == HEALTH_PASSIVE)
		return snprintf(buffer, EXPLANATION_SIZE,
		                "live traffic failed, and on_error = down");
	if (detail->probes == 0)
		return snprintf(buffer, EXPLANATION_SIZE,
		                "initial = down: takes no traffic before its "
		                "first pass");
	return snprintf(
		buffer, EXPLANATION_SIZE,
		"down from before, and no pass since; it comes up after "
		"rise = %u",
		detail->rise);
}

static int explain_unknown(char *buffer, uint32_t failures, bool checking,
                           const struct health_detail *detail)
{
	const char *rule = checking ? "initial = checking: takes no traffic "
	                              "before its first pass"
	                            : "initial = up: takes traffic until "
	                              "checks have decided";

	if (failures > 0)
		return snprintf(buffer, EXPLANATION_SIZE,
		                "%s; %u consecutive %s, fall = %u", rule,
		                FAILURES(failures), detail->fall);
	return snprintf(buffer, EXPLANATION_SIZE, "%s", rule);
}

const char *explanation(uint64_t word, const struct health_detail *detail,
                        bool panic, char *buffer)
{
	uint32_t failures = health_word_failcount(word);
	unsigned outcome = health_word_outcome(word);
	unsigned verdict = health_word_verdict(word);
	int used;

	if (health_word_admin(word) != HEALTH_AUTO)
		used = snprintf(buffer, EXPLANATION_SIZE,
		                "ordered %s, which no check undoes; checks say "
		                "%s",
		                health_admin_name(health_word_admin(word)),
		                health_verdict_name(verdict));
	else if (health_word_agent(word) != HEALTH_AGENT_NONE)
		used = snprintf(buffer, EXPLANATION_SIZE,
		                "its agent says %s, which no check undoes; "
		                "checks say %s",
		                health_agent_name(health_word_agent(word)),
		                health_verdict_name(verdict));
	else if (verdict == HEALTH_UP)
		used = explain_up(buffer, failures, outcome, detail);
	else if (verdict == HEALTH_DOWN)
		used = explain_down(buffer, failures, outcome, detail);
	else
		used = explain_unknown(buffer, failures,
		                       (word & HEALTH_WORD_CHECKING) != 0,
		                       detail);
	if (panic && health_word_routable(word) && verdict != HEALTH_UP)
		snprintf(buffer + used, (size_t) (EXPLANATION_SIZE - used),
		         "; takes traffic all the same, since its pool is in "
		         "panic");
	return buffer;
}
