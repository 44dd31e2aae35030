/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections that are kept from probe to probe.
 *
 * libcurl would find one by the host in the URL, and all our probes have the
 * same.  Each kept connection therefore lives in a cache of its own, which
 * only the probes of its line are given to look into: another host can not
 * get it, and no cache is ever longer than one connection, however many hosts
 * there are.  What goes without libcurl is kept as a bare socket, in a
 * hundredth of the memory.
 *
 * Not taken: groups of hosts that share a multi handle and its cache.  What
 * keeps hosts apart there is only what libcurl compares.
 *
 * A connection that the host has closed in between is no news of the host:
 * libcurl notices, at the latest when nothing at all comes back, and it or
 * curl_again() asks again over a new one; probe_direct_again() does the same.
 */
#include "probe_private.h"

#include "clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define AGE_MAX_US (60 * USEC_PER_SEC)

static void kept_unref(struct kept *kept)
{
	if (kept == NULL || --kept->references > 0)
		return;
	if (kept->fd >= 0)
		curl_loop_close(kept->loop, kept->fd);
	curl_share_cleanup(kept->share); /* closes the connection */
	kept_tls_release(kept);
	free(kept->tls);
	free(kept);
}

/* All that decides how a connection is secured, NULL without TLS or memory. */
static char *tls_text(const struct probe *probe)
{
	const struct settings *settings = probe->settings;
	char host[ADDRESS_TEXT_SIZE], *text;

	if (!probe->check->tls ||
	    asprintf(&text, "%s\n%s\n%d\n%s\n%s\n%s", settings->sni,
	             probe_host_text(probe, host), settings->tls_verify,
	             settings->tls_ca, settings->tls_cert,
	             settings->tls_key) < 0)
		return NULL;
	return text;
}

/* A sixteenth of hosts opens its connection anew in each sixteenth of the
 * last quarter of the time that it may last. */
static uint64_t age_max_us(const struct address *address)
{
	const unsigned char *bytes = (const unsigned char *) &address->any;
	uint32_t hash = 0;
	socklen_t i;

	for (i = 0; i < address->length; i++)
		hash = (hash ^ bytes[i]) * UINT32_C(16777619);
	return AGE_MAX_US - (hash >> 28) * (AGE_MAX_US / 64);
}

/* The next probe is an interval away, and the connection must not be older
 * than that by then. */
static bool is_old(const struct kept *kept, const struct probe *probe)
{
	return kept->opened_us != 0 &&
	       monotonic_us() + probe->settings->interval_ms * USEC_PER_MSEC >
	               kept->opened_us + age_max_us(&kept->address);
}

static bool may_serve(const struct kept *kept, const struct probe *probe)
{
	char *tls CLEANUP(free_pointer) = NULL;

	if (kept->check != probe->settings->check ||
	    !address_equal(&kept->address, &probe->address) ||
	    is_old(kept, probe))
		return false;
	if (!probe->check->tls)
		return true;
	tls = tls_text(probe);
	return tls != NULL && strcmp(tls, kept->tls) == 0;
}

static struct kept *kept_new(const struct probe *probe)
{
	struct kept *kept = calloc(1, sizeof(*kept));

	if (kept == NULL)
		return NULL;
	kept->references = 1;
	kept->check = probe->settings->check;
	kept->address = probe->address;
	kept->tls = tls_text(probe);
	kept->loop = probe->prober->loop;
	kept->fd = -1;
	if (probe->check->tls && kept->tls == NULL) {
		kept_unref(kept);
		return NULL;
	}
	return kept;
}

bool probe_keeps(const struct probe *probe)
{
	return probe->kept != NULL;
}

int probe_line_take(struct probe_line *line, struct probe *probe)
{
	bool keep = line != NULL && probe->settings->keepalive &&
	            probe->check->http_major != 0;

	if (line != NULL && line->kept != NULL &&
	    (!keep || !may_serve(line->kept, probe)))
		probe_line_clear(line);
	if (keep && line->kept == NULL) {
		line->kept = kept_new(probe);
		if (line->kept == NULL)
			return -ENOMEM;
	}
	probe->kept = keep ? line->kept : NULL;
	if (keep)
		probe->kept->references++;
	return 0;
}

static bool has_share(struct kept *kept)
{
	if (kept->share != NULL)
		return true;
	kept->share = curl_share_init();
	return kept->share != NULL &&
	       curl_share_setopt(kept->share, CURLSHOPT_SHARE,
	                         CURL_LOCK_DATA_CONNECT) == CURLSHE_OK;
}

int probe_line_share(struct probe *probe)
{
	CURL *easy = probe->transfer.easy;
	bool keep = probe_keeps(probe);

	if (keep && !has_share(probe->kept))
		return -ENOMEM;
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, keep ? 0L : 1L);
	/* one that libcurl only makes is closed with its transfer anyway, and
	 * with this, before anything was said */
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE,
	                 keep || probe->check->talk != NULL ? 0L : 1L);
	if (keep)
		curl_easy_setopt(easy, CURLOPT_SHARE, probe->kept->share);
	probe_tls_attach(probe);
	return 0;
}

/* Whether this probe's connection is a new one. */
static bool has_opened(const struct probe *probe)
{
	long opened = 0;

	if (probe->direct.used)
		return probe->direct.opened;
	curl_easy_getinfo(probe->transfer.easy, CURLINFO_NUM_CONNECTS, &opened);
	return opened > 0;
}

void probe_line_give_back(struct probe *probe)
{
	struct kept *kept = probe->kept;

	probe_tls_release(probe);
	if (kept == NULL)
		return;
	if (has_opened(probe)) {
		kept->opened_us = probe->direct.used ? probe->direct.began_us
		                                     : monotonic_us();
		kept->cert_expires_at_us = probe->tls.cert_expires_at_us;
	}
	if (!probe->direct.used)
		curl_easy_setopt(probe->transfer.easy, CURLOPT_SHARE, NULL);
	probe->kept = NULL;
	kept_unref(kept);
}

void probe_line_clear(struct probe_line *line)
{
	kept_unref(line->kept);
	line->kept = NULL;
}
