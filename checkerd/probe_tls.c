/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a check does about TLS, and the only file that knows OpenSSL.
 *
 * libcurl verifies a certificate against files that it reads for each
 * connection, or caches for whichever of them was used last.  Here the chain
 * is verified against stores that are ours, one per file, read when first
 * needed and again when the file has changed; libcurl gets no file at all.
 * It still compares the names, and puts all failures into words.
 *
 * The certificate passes by on its way to be verified, good or bad, which is
 * when its end is noted.  An alert from the other side is noted too: with TLS
 * 1.3 the refusal of a client certificate only comes after the handshake, and
 * libcurl has no code of its own for it.
 *
 * No session is ever resumed: a resumed one shows no certificate, and would
 * carry the trust of one host's settings over to another's.
 *
 * Callbacks find their probe through the SSL_CTX, which lives as long as the
 * connection.  The probe may be gone by then, so it keeps a reference and
 * cuts the tie when it ends.
 */
#include "probe_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* A file of certificates to trust. */
struct trust {
	struct trust *next;
	char *path;
	struct stat stat;  /* when it was read */
	X509_STORE *store; /* NULL: it could not be */
};

/* --- whom to trust ------------------------------------------------------ */

static void trust_free(struct trust *trust)
{
	X509_STORE_free(trust->store);
	free(trust->path);
	free(trust);
}

static bool is_system(const struct trust *trust)
{
	return strcmp(trust->path, CONFIG_SYSTEM_CA) == 0;
}

static void trust_read(struct trust *trust)
{
	X509_STORE *store = X509_STORE_new();

	X509_STORE_free(trust->store);
	trust->store = NULL;
	if (store == NULL)
		return;
	/* the system's is looked up certificate by certificate */
	if (is_system(trust) ? X509_STORE_set_default_paths(store) == 1
	                     : X509_STORE_load_locations(store, trust->path,
	                                                 NULL) == 1) {
		/* an intermediate in the file is trusted as a root is */
		X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
		trust->store = store;
	} else {
		X509_STORE_free(store);
	}
	ERR_clear_error();
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* NULL if the file cannot be read as certificates. */
static X509_STORE *trust_store(struct prober *prober, const char *path)
{
	struct trust *trust;
	struct stat now = { 0 };

	for (trust = prober->trusts; trust != NULL; trust = trust->next)
		if (strcmp(trust->path, path) == 0)
			break;
	if (trust == NULL) {
		trust = calloc(1, sizeof(*trust));
		if (trust == NULL)
			return NULL;
		trust->path = strdup(path);
		if (trust->path == NULL) {
			free(trust);
			return NULL;
		}
		trust->next = prober->trusts;
		prober->trusts = trust;
	}
	if (!is_system(trust))
		stat(path, &now);
	if (trust->store == NULL || !same_file(&now, &trust->stat)) {
		trust_read(trust);
		trust->stat = now;
	}
	return trust->store;
}

void prober_tls_release(struct prober *prober)
{
	struct trust *trust;

	while ((trust = prober->trusts) != NULL) {
		prober->trusts = trust->next;
		trust_free(trust);
	}
}

/* --- what OpenSSL asks -------------------------------------------------- */

static struct probe *probe_of_ssl(const SSL *ssl)
{
	return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static uint64_t expiry_us(const X509 *certificate)
{
	struct tm tm;
	time_t seconds;

	if (certificate == NULL ||
	    ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1)
		return 0;
	seconds = timegm(&tm);
	return seconds > 0 ? (uint64_t) seconds * USEC_PER_SEC : 0;
}

/* Against our store instead of the one that libcurl may have filled. */
static int verify(X509_STORE_CTX *asked, X509_STORE *store, SSL *ssl)
{
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	int r = 0;

	if (context == NULL ||
	    X509_STORE_CTX_init(context, store, X509_STORE_CTX_get0_cert(asked),
	                        X509_STORE_CTX_get0_untrusted(asked)) != 1) {
		X509_STORE_CTX_set_error(asked, X509_V_ERR_OUT_OF_MEM);
	} else {
		X509_STORE_CTX_set_default(context, "ssl_server");
		X509_VERIFY_PARAM_set_auth_level(
			X509_STORE_CTX_get0_param(context),
			SSL_get_security_level(ssl));
		r = X509_verify_cert(context);
		X509_STORE_CTX_set_error(asked,
		                         X509_STORE_CTX_get_error(context));
	}
	X509_STORE_CTX_free(context);
	return r == 1;
}

static int on_certificate(X509_STORE_CTX *context, void *userdata)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(
		context, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct probe *probe = probe_of_ssl(ssl);
	X509_STORE *store;

	(void) userdata;
	if (probe == NULL)
		return 0;
	probe->tls.cert_expires_at_us =
		expiry_us(X509_STORE_CTX_get0_cert(context));
	if (!probe->settings->tls_verify) {
		X509_STORE_CTX_set_error(context, X509_V_OK);
		return 1;
	}
	store = trust_store(probe->prober, probe->settings->tls_ca);
	return store != NULL && verify(context, store, ssl);
}

static void on_info(const SSL *ssl, int where, int value)
{
	struct probe *probe;

	if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT ||
	    value >> 8 != SSL3_AL_FATAL)
		return;
	probe = probe_of_ssl(ssl);
	if (probe != NULL)
		probe->tls.alert = value & 0xff;
}

static void ssl_ctx_drop(void **ssl_ctx)
{
	if (*ssl_ctx == NULL)
		return;
	SSL_CTX_set_app_data((SSL_CTX *) *ssl_ctx, NULL);
	SSL_CTX_free(*ssl_ctx);
	*ssl_ctx = NULL;
}

/* libcurl is about to begin a handshake. */
static CURLcode on_ssl_ctx(CURL *easy, void *ssl_ctx, void *userdata)
{
	static const unsigned char h2[] = "\2h2";
	struct probe *probe = userdata;
	const struct settings *settings = probe->settings;

	(void) easy;
	probe->phase = PHASE_HANDSHAKE;
	if (settings->tls_verify &&
	    trust_store(probe->prober, settings->tls_ca) == NULL) {
		snprintf(probe->tls.problem, sizeof(probe->tls.problem),
		         "no certificates to trust in %.80s", settings->tls_ca);
		return CURLE_SSL_CACERT_BADFILE;
	}
	ssl_ctx_drop(&probe->tls.ssl_ctx);
	SSL_CTX_up_ref(ssl_ctx);
	probe->tls.ssl_ctx = ssl_ctx;
	SSL_CTX_set_app_data((SSL_CTX *) ssl_ctx, probe);
	SSL_CTX_set_cert_verify_callback(ssl_ctx, on_certificate, NULL);
	SSL_CTX_set_info_callback(ssl_ctx, on_info);
	/* libcurl would offer HTTP/1.1 as well */
	if (probe->check->http_major == '2' &&
	    SSL_CTX_set_alpn_protos(ssl_ctx, h2, sizeof(h2) - 1) != 0)
		return CURLE_OUT_OF_MEMORY;
	return CURLE_OK;
}

/* --- for the probe ------------------------------------------------------ */

/* The name that is asked for and that the certificate must have: without the
 * port that a Host field may have. */
static int name_to_verify(const struct probe *probe, char *buffer, size_t size)
{
	const struct settings *settings = probe->settings;
	char text[ADDRESS_TEXT_SIZE];
	const char *name = settings->sni, *end;

	if (name[0] != '\0')
		return snprintf(buffer, size, "%s", name);
	name = probe_host_text(probe, text);
	end = name[0] == '[' ? strchr(name, ']') : strchr(name, ':');
	if (end == NULL)
		return snprintf(buffer, size, "%s", name);
	return snprintf(buffer, size, "%.*s",
	                (int) (end - name + (name[0] == '[')), name);
}

static const char *null_if_empty(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

CURLcode probe_tls_prepare(struct probe *probe)
{
	const struct settings *settings = probe->settings;
	CURL *easy = probe->transfer.easy;
	char name[256];
	CURLcode code;

	if (name_to_verify(probe, name, sizeof(name)) >= (int) sizeof(name))
		return CURLE_URL_MALFORMAT;
	if (probe->tls.url == NULL) {
		probe->tls.url = curl_url();
		if (probe->tls.url == NULL ||
		    curl_url_set(probe->tls.url, CURLUPART_URL,
		                 "https://127.0.0.1/", 0) != CURLUE_OK)
			return CURLE_OUT_OF_MEMORY;
	}
	if (curl_url_set(probe->tls.url, CURLUPART_HOST, name, 0) != CURLUE_OK)
		return CURLE_URL_MALFORMAT;
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER,
	                 settings->tls_verify ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST,
	                 settings->tls_verify ? 2L : 0L);
	curl_easy_setopt(easy, CURLOPT_CONNECT_TO, probe->prober->connect_to);
	code = curl_easy_setopt(easy, CURLOPT_CURLU, probe->tls.url);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_SSLCERT,
		                        null_if_empty(settings->tls_cert));
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_SSLKEY,
		                        null_if_empty(settings->tls_key));
	return code;
}

CURLcode probe_tls_init(struct probe *probe)
{
	CURL *easy = probe->transfer.easy;

	curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, probe);
	return curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
}

bool probe_tls_has_h2(const struct probe *probe)
{
	const struct curl_tlssessioninfo *info = NULL;
	const unsigned char *name = NULL;
	unsigned length = 0;

	curl_easy_getinfo(probe->transfer.easy, CURLINFO_TLS_SSL_PTR, &info);
	if (info != NULL && info->internals != NULL)
		SSL_get0_alpn_selected(info->internals, &name, &length);
	return length == 2 && memcmp(name, "h2", 2) == 0;
}

void probe_tls_attach(struct probe *probe)
{
	struct kept *kept = probe->kept;

	if (kept == NULL || kept->ssl_ctx == NULL)
		return;
	probe->tls.ssl_ctx = kept->ssl_ctx;
	kept->ssl_ctx = NULL;
	SSL_CTX_set_app_data((SSL_CTX *) probe->tls.ssl_ctx, probe);
}

void probe_tls_release(struct probe *probe)
{
	struct kept *kept = probe->kept;

	if (probe->tls.ssl_ctx == NULL)
		return;
	if (kept == NULL) {
		ssl_ctx_drop(&probe->tls.ssl_ctx);
		return;
	}
	SSL_CTX_set_app_data((SSL_CTX *) probe->tls.ssl_ctx, NULL);
	kept->ssl_ctx = probe->tls.ssl_ctx;
	probe->tls.ssl_ctx = NULL;
}

void kept_tls_release(struct kept *kept)
{
	ssl_ctx_drop(&kept->ssl_ctx);
}
