/* SPDX-License-Identifier: BSD-2-Clause */
#include "config.h"
#include "config_file.h"
#include "daemon.h"
#include "once.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#ifndef CHECKERD_CONFIG_PATH
#define CHECKERD_CONFIG_PATH "/etc/checkerd/checkerd.ini"
#endif

static const char usage[] =
	"checkerd [-c FILE] [-t | -T | --once]\n"
	"Active health checks for open-source nginx.\n"
	"\n"
	"  -c, --config FILE  the configuration (" CHECKERD_CONFIG_PATH ")\n"
	"  -t, --test         test the configuration and exit\n"
	"  -T, --print        test it, print it with all defaults and exit\n"
	"      --once         probe every host once, print a table and exit\n"
	"  -V, --version      print the version and exit\n"
	"  -h, --help         print this and exit\n"
	"\n"
	"Signals: HUP reloads, TERM and INT stop.  See checkerd(8).\n";

/* Each probe in flight is a descriptor; the default soft limit is made for
 * select(), which nothing here uses. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

enum mode { MODE_RUN, MODE_TEST, MODE_PRINT, MODE_ONCE };

/* Loads, says what is wrong, and does what the mode asks.  Returns an exit
 * status. */
static int look_at(const char *path, enum mode mode)
{
	struct config_errors errors = { 0 };
	struct config *config = NULL;
	int r = config_load(path, &config_system, &errors, &config);

	config_errors_print(&errors, stderr);
	config_errors_clear(&errors);
	if (r < 0) {
		fprintf(stderr, "checkerd: configuration %s is not valid\n",
		        path);
		return EXIT_FAILURE;
	}
	switch (mode) {
	case MODE_PRINT:
		config_print(config, stdout);
		break;
	case MODE_ONCE:
		r = once_run(config);
		if (r < 0)
			fprintf(stderr, "checkerd: %s\n", strerror(-r));
		break;
	default:
		fprintf(stderr, "checkerd: configuration %s is valid\n", path);
		break;
	}
	config_unref(config);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	enum { OPTION_ONCE = 256 };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "test", no_argument, NULL, 't' },
		{ "print", no_argument, NULL, 'T' },
		{ "once", no_argument, NULL, OPTION_ONCE },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *path = CHECKERD_CONFIG_PATH;
	enum mode mode = MODE_RUN;
	int option;

	while ((option = getopt_long(argc, argv, "c:tTVh", options, NULL)) !=
	       -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 't':
			mode = MODE_TEST;
			break;
		case 'T':
			mode = MODE_PRINT;
			break;
		case OPTION_ONCE:
			mode = MODE_ONCE;
			break;
		case 'V':
			puts("checkerd " CHECKERD_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs("checkerd: see checkerd --help\n", stderr);
			return EXIT_FAILURE;
		}
	}
	if (optind < argc) {
		fprintf(stderr,
		        "checkerd: unexpected argument \"%s\"; see checkerd "
		        "--help\n",
		        argv[optind]);
		return EXIT_FAILURE;
	}
	raise_descriptor_limit();
	if (mode != MODE_RUN)
		return look_at(path, mode);
	return daemon_run(path) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
