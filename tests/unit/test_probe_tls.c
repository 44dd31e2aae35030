/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Trust: whom a probe believes, when that changes, and what it notes of a
 * certificate.  The table of outcomes is tests/e2e/test_checks.py.
 */
#include "fixture_probe.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>

#define DAY_SECONDS 86400
#define CA_PATH     "/tmp/checkerd-test-probe-tls.pem"

/* --- a backend with a certificate of its own ------------------------------ */

static struct server {
	SSL_CTX *ctx;
	X509 *certificate;
	EVP_PKEY *key;
	unsigned resumed;
} server;

/* For localhost and 127.0.0.1, by itself. */
static void make_certificate(long seconds_left)
{
	X509 *certificate = X509_new();
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509_NAME *name = X509_get_subject_name(certificate);
	X509_EXTENSION *names = X509V3_EXT_conf_nid(
	        NULL, NULL, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");

	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY_SECONDS);
	X509_gmtime_adj(X509_getm_notAfter(certificate), seconds_left);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	                           (const unsigned char *) "test", -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	X509_add_ext(certificate, names, -1);
	X509_EXTENSION_free(names);
	if (X509_sign(certificate, key, EVP_sha256()) == 0)
		abort();
	server.certificate = certificate;
	server.key = key;
	server.ctx = SSL_CTX_new(TLS_server_method());
	if (SSL_CTX_use_certificate(server.ctx, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey(server.ctx, key) != 1)
		abort();
}

static void free_certificate(void)
{
	SSL_CTX_free(server.ctx);
	X509_free(server.certificate);
	EVP_PKEY_free(server.key);
}

static void write_certificate(const char *path)
{
	FILE *file = fopen(path, "w");

	PEM_write_X509(file, server.certificate);
	fclose(file);
}

/* Answers each request. */
static void script_tls(struct backend *backend, int fd)
{
	SSL *ssl = SSL_new(server.ctx);
	char request[BACKEND_REQUEST_MAX];

	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		server.resumed += SSL_session_reused(ssl) == 1;
		while (SSL_read(ssl, request, sizeof(request)) > 0)
			SSL_write(ssl, backend->text,
			          (int) strlen(backend->text));
	}
	SSL_free(ssl);
}

static int setup_tls(void **state)
{
	/* writing to who is gone is part of the stories */
	signal(SIGPIPE, SIG_IGN);
	memset(&server, 0, sizeof(server));
	make_certificate(10 * DAY_SECONDS);
	write_certificate(CA_PATH);
	return setup(state);
}

static int teardown_tls(void **state)
{
	free_certificate();
	unlink(CA_PATH);
	return teardown(state);
}

static struct settings tls_settings(void)
{
	struct settings settings = some_settings();

	settings.check = CHECK_HTTPS;
	settings.tls_ca = CA_PATH;
	settings.connect_timeout_ms = settings.read_timeout_ms = 2000;
	return settings;
}

static void expect(struct fixture *fixture, const struct backend *backend,
                   const struct settings *settings, enum health_outcome outcome)
{
	struct probe_result result;

	result = probe_once(fixture, &backend->address, settings);
	if (result.outcome != outcome)
		fail_msg("%s: %s", health_outcome_name(result.outcome),
		         result.message);
}

/* --- stories ---------------------------------------------------------------- */

static void expect_end(uint64_t expires_at_us, long seconds_left)
{
	uint64_t wanted_us = realtime_us() +
	                     (uint64_t) seconds_left * USEC_PER_SEC;

	assert_in_range(expires_at_us, wanted_us - 10 * USEC_PER_SEC,
	                wanted_us + 10 * USEC_PER_SEC);
}

static void test_the_end_of_the_certificate(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = tls_settings();
	struct probe_line line = { 0 };
	struct probe_result result;
	struct backend backend;
	unsigned i;

	backend_start(&backend, "127.0.0.1", script_tls, OK_ANSWER);
	result = probe_once(fixture, &backend.address, &settings);
	assert_int_equal(result.outcome, HEALTH_L7OK);
	assert_true(result.tls_us > result.connect_us);
	expect_end(result.cert_expires_at_us, 10 * DAY_SECONDS);

	/* also if nobody vouches for it, or nobody cares */
	settings.tls_ca = CONFIG_SYSTEM_CA;
	result = probe_once(fixture, &backend.address, &settings);
	assert_int_equal(result.outcome, HEALTH_L6CERT);
	assert_int_equal(result.tls_us, 0);
	expect_end(result.cert_expires_at_us, 10 * DAY_SECONDS);
	settings.tls_verify = false;
	settings.check = CHECK_TLS;
	result = probe_once(fixture, &backend.address, &settings);
	assert_int_equal(result.outcome, HEALTH_L6OK);
	expect_end(result.cert_expires_at_us, 10 * DAY_SECONDS);

	/* and when it was shown to a probe before this one */
	settings.check = CHECK_HTTPS;
	settings.keepalive = true;
	fixture->line = &line;
	for (i = 0; i < 2; i++) {
		result = probe_once(fixture, &backend.address, &settings);
		assert_int_equal(result.outcome, HEALTH_L7OK);
		expect_end(result.cert_expires_at_us, 10 * DAY_SECONDS);
	}
	assert_int_equal(result.tls_us, 0);
	assert_int_equal(backend.accepted, 4);
	probe_line_clear(&line);
	backend_stop(&backend);
}

static void test_one_that_has_ended(void **state)
{
	struct settings settings = tls_settings();
	struct probe_result result;
	struct backend backend;

	free_certificate();
	make_certificate(-1000);
	write_certificate(CA_PATH);
	backend_start(&backend, "127.0.0.1", script_tls, OK_ANSWER);
	result = probe_once(*state, &backend.address, &settings);
	backend_stop(&backend);
	assert_int_equal(result.outcome, HEALTH_L6CERT);
	assert_string_equal(result.message, "SSL certificate problem: "
	                                    "certificate has expired");
	expect_end(result.cert_expires_at_us, -1000);
}

/* What one probe believes must not reach another: by a session, by a kept
 * connection, by a store. */
static void test_trust_is_not_handed_on(void **state)
{
	struct fixture *fixture = *state;
	struct settings trusting = tls_settings(), strict = tls_settings();
	struct settings named = tls_settings(), own = tls_settings();
	struct probe_line line = { 0 };
	struct backend backend;
	unsigned i;

	trusting.tls_verify = false;
	strict.tls_ca = CONFIG_SYSTEM_CA;
	named.http_host = "other.test";
	backend_start(&backend, "127.0.0.1", script_tls, OK_ANSWER);
	for (i = 0; i < 8; i++) {
		fixture->line = i < 4 ? NULL : &line;
		trusting.keepalive = strict.keepalive = i >= 4;
		named.keepalive = own.keepalive = i >= 4;
		expect(fixture, &backend, &trusting, HEALTH_L7OK);
		expect(fixture, &backend, &strict, HEALTH_L6CERT);
		expect(fixture, &backend, &trusting, HEALTH_L7OK);
		expect(fixture, &backend, &named, HEALTH_L6CERT);
		expect(fixture, &backend, &own, HEALTH_L7OK);
		expect(fixture, &backend, &strict, HEALTH_L6CERT);
	}
	probe_line_clear(&line);
	backend_stop(&backend);
	assert_int_equal(server.resumed, 0);
}

static void test_names_to_verify(void **state)
{
	static const struct {
		const char *http_host, *sni;
		enum health_outcome outcome;
	} rows[] = {
		{ "", "", HEALTH_L7OK }, /* the address */
		{ "localhost", "", HEALTH_L7OK },
		{ "localhost:8443", "", HEALTH_L7OK },
		{ "LocalHost", "", HEALTH_L7OK },
		{ "127.0.0.1:8443", "", HEALTH_L7OK },
		{ "[::1]:8443", "", HEALTH_L6CERT },
		{ "other.test", "localhost", HEALTH_L7OK },
		{ "localhost", "other.test", HEALTH_L6CERT },
		{ "127.0.0.2", "", HEALTH_L6CERT },
	};
	struct settings settings = tls_settings();
	struct backend backend;
	size_t i;

	backend_start(&backend, "127.0.0.1", script_tls, OK_ANSWER);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		settings.http_host = rows[i].http_host;
		settings.sni = rows[i].sni;
		expect(*state, &backend, &settings, rows[i].outcome);
	}
	backend_stop(&backend);

	settings.http_host = settings.sni = "";
	backend_start(&backend, "[::1]", script_tls, OK_ANSWER);
	expect(*state, &backend, &settings, HEALTH_L6CERT);
	backend_stop(&backend);
	backend_start(&backend, "unix:/tmp/checkerd-test-probe-tls.sock",
	              script_tls, OK_ANSWER);
	expect(*state, &backend, &settings, HEALTH_L7OK);
	backend_stop(&backend);
}

static void test_a_name_that_is_none_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = tls_settings();
	struct address address;
	struct probe *probe;
	struct seen seen;
	size_t length;
	uint16_t port;

	address_parse(&address, "127.0.0.1:1", &length, &port);
	settings.sni = "a/b";
	assert_int_equal(probe_start(fixture->prober, NULL, &address, &settings,
	                             NULL, on_seen, &seen, &probe),
	                 -EINVAL);
}

static void test_a_new_file_is_read(void **state)
{
	struct settings settings = tls_settings();
	struct probe_result result;
	struct backend backend;

	backend_start(&backend, "127.0.0.1", script_tls, OK_ANSWER);
	unlink(CA_PATH);
	result = probe_once(*state, &backend.address, &settings);
	assert_int_equal(result.outcome, HEALTH_INCONCL);
	assert_string_equal(result.message,
	                    "no probe: no certificates to trust in "
	                    CA_PATH);
	write_certificate(CA_PATH);
	expect(*state, &backend, &settings, HEALTH_L7OK);
	backend_stop(&backend);

	free_certificate();
	make_certificate(10 * DAY_SECONDS);
	backend_start(&backend, "127.0.0.1", script_tls, OK_ANSWER);
	expect(*state, &backend, &settings, HEALTH_L6CERT);
	unlink(CA_PATH);
	write_certificate(CA_PATH);
	expect(*state, &backend, &settings, HEALTH_L7OK);
	backend_stop(&backend);
}

static void test_our_own_key_is_missing(void **state)
{
	struct settings settings = tls_settings();
	struct probe_result result;
	struct backend backend;

	settings.tls_cert = CA_PATH;
	settings.tls_key = "/nonexistent";
	backend_start(&backend, "127.0.0.1", script_tls, OK_ANSWER);
	result = probe_once(*state, &backend.address, &settings);
	backend_stop(&backend);
	assert_int_equal(result.outcome, HEALTH_INCONCL);
	assert_non_null(strstr(result.message, "no probe: "));
}

int main(void)
{
#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, setup_tls, teardown_tls)
	static const struct CMUnitTest tests[] = {
		TEST(test_the_end_of_the_certificate),
		TEST(test_one_that_has_ended),
		TEST(test_trust_is_not_handed_on),
		TEST(test_names_to_verify),
		TEST(test_a_name_that_is_none_is_refused),
		TEST(test_a_new_file_is_read),
		TEST(test_our_own_key_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
