/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Prints the tables of configuration keys and of server parameters for
 * keys.py, one row a line: kind, name, default, sections.
 */
#include "config_keys.h"
#include "server_line.h"
#include "util.h"

#include <stdio.h>

static void list(const char *kind, const struct config_key *key)
{
	static const struct {
		enum config_sections section;
		const char *name;
	} sections[] = {
		{ IN_CHECKERD, "checkerd" }, { IN_DEFAULTS, "defaults" },
		{ IN_POOL, "pool" },         { IN_HOST, "host" },
		{ IN_NOTIFY, "notify" },
	};

	printf("%s\t%s\t%s\t", kind, key->name, key->default_text);
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		if ((key->sections & sections[i].section) != 0)
			printf("%s ", sections[i].name);
	}
	putchar('\n');
}

int main(void)
{
	for (size_t i = 0; i < config_key_count; i++)
		list("key", &config_keys[i]);
	for (size_t i = 0; i < server_parameter_count; i++)
		list("parameter", &server_parameters[i]);
	return 0;
}
