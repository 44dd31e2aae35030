/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The check that asks for a connection and nothing else.
 */
#include "probe_private.h"

static CURLcode prepare(struct probe *probe)
{
	return curl_easy_setopt(probe->transfer.easy, CURLOPT_CONNECT_ONLY, 1L);
}

static bool judge(const struct probe *probe, CURLcode code,
                  struct probe_result *result)
{
	(void) probe;
	if (code != CURLE_OK)
		return false;
	result->outcome = HEALTH_L4OK;
	return true;
}

const struct check check_tcp = { .prepare = prepare, .judge = judge };
