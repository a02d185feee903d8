/*
 * pk-modprobe [OPTION]... NAME...: what a guest's kernel runs for a module that it wants, where the root has no modprobe of its own.
 * Loads what the lists of depmod (/lib/modules/VERSION) have by that name, or by an alias of it, each behind what it needs. It reads
 * no configuration, and looks at no option: kernels pass `-q --`.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { NAME = 256, LINE = 65536, PACKED = 4 /* MODULE_INIT_COMPRESSED_FILE */ };

/* Names have either of the two, and mean the same; in the brackets of a pattern a `-` is a range. */
static void flatten(char *text)
{
	int bracket = 0;

	for (; *text != 0; text++) {
		bracket = *text == '[' || (bracket && *text != ']');
		if (*text == '-' && !bracket)
			*text = '_';
	}
}

static int load_file(const char *path)
{
	const char *end = strrchr(path, '.');
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;

	if (fd < 0)
		return errno;
	error = syscall(SYS_finit_module, fd, "", end != NULL && strcmp(end, ".ko") != 0 ? PACKED : 0) != 0 && errno != EEXIST ? errno : 0;
	close(fd);
	return error;
}

/* Whether a path is of the module `name`, such as kernel/net/ipv6/ipv6.ko. */
static int is_named(const char *path, const char *name)
{
	const char *base = strrchr(path, '/');
	char own[NAME];

	base = base == NULL ? path : base + 1;
	if (strlen(base) >= sizeof own)
		return 0;
	strcpy(own, base);
	own[strcspn(own, ".")] = 0;
	flatten(own);
	return strcmp(own, name) == 0;
}

/* A line of modules.dep: the module, and what it needs, of which the last is needed by those before it. */
static int load_line(char *path, char *needs)
{
	char *last;

	needs[strcspn(needs, "\n")] = 0;
	while ((last = strrchr(needs, ' ')) != NULL) {
		*last++ = 0;
		if (*last != 0 && load_file(last) != 0)
			return -1;
	}
	return load_file(path) == 0 ? 0 : -1;
}

static int load_module(const char *name)
{
	static char line[LINE];
	FILE *list = fopen("modules.dep", "re");
	int done = -1;

	while (list != NULL && fgets(line, sizeof line, list) != NULL) {
		char *needs = strchr(line, ':');

		if (needs == NULL)
			continue;
		*needs++ = 0;
		if (is_named(line, name)) {
			done = load_line(line, needs);
			break;
		}
	}
	if (list != NULL)
		fclose(list);
	return done;
}

/* All that are asked for by the name. */
static int load_aliases(const char *name)
{
	static char line[LINE];
	char pattern[LINE / 64], module[NAME];
	FILE *list = fopen("modules.alias", "re");
	int done = -1;

	while (list != NULL && fgets(line, sizeof line, list) != NULL) {
		if (sscanf(line, "alias %1023s %255s", pattern, module) != 2)
			continue;
		flatten(pattern), flatten(module);
		if ((*pattern == *name || strchr("*?[\\", *pattern) != NULL) && fnmatch(pattern, name, 0) == 0 && load_module(module) == 0)
			done = 0;
	}
	if (list != NULL)
		fclose(list);
	return done;
}

int main(int count, char **arguments)
{
	struct utsname kernel;
	char name[NAME];
	int failed = 0;

	if (uname(&kernel) != 0 || chdir("/lib/modules") != 0 || chdir(kernel.release) != 0)
		return 1;
	for (int i = 1; i < count; i++) {
		if (arguments[i][0] == '-' || strlen(arguments[i]) >= sizeof name)
			continue;
		strcpy(name, arguments[i]);
		flatten(name);
		failed |= load_module(name) != 0 && load_aliases(name) != 0;
	}
	return failed;
}
