/* SPDX-License-Identifier: BSD-2-Clause
 *
 * In libFuzzer's place where there is none: hands a target the files of the
 * directories named, each once.
 *
 * Each is handed over in memory of exactly its size, for AddressSanitizer to
 * see who reads beyond it.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>

static void replay(const char *path)
{
	FILE *file = fopen(path, "re");
	uint8_t *data;
	long size;

	HOLDS(file);
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	HOLDS(size >= 0);
	rewind(file);
	data = malloc((size_t) size);
	HOLDS(data || size == 0);
	HOLDS(fread(data, 1, (size_t) size, file) == (size_t) size);
	fclose(file);
	/* the last one named is the one that failed */
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, (size_t) size);
	free(data);
}

static unsigned replay_all(const char *directory)
{
	struct dirent **entries;
	int count = scandir(directory, &entries, NULL, alphasort);
	char path[4096];
	unsigned replayed = 0;

	if (count < 0) {
		fprintf(stderr, "%s: %s\n", directory, strerror(errno));
		return 0;
	}
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", directory,
			         entries[i]->d_name);
			replay(path);
			replayed++;
		}
		free(entries[i]);
	}
	free(entries);
	return replayed;
}

int main(int argc, char **argv)
{
	unsigned replayed = 0;

	for (int i = 1; i < argc; i++)
		replayed += replay_all(argv[i]);
	printf("%u inputs\n", replayed);
	return replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
