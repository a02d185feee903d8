/* What is mounted where, as proc(5) mountinfo tells: outer mounts before those in them, the one on top last. */
#include "mounts.h"

#include <stdlib.h>
#include <string.h>

#include "../common/fail.h"

/* \040 and the like, as proc(5) mountinfo writes spaces, tabs, line ends and backslashes. */
static void unescape(char *text)
{
	char *out = text;

	while (*text != 0) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' && text[2] <= '7' && text[3] >= '0' && text[3] <= '7') {
			*out++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0');
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = 0;
}

int is_automounter(const char *type)
{
	return strcmp(type, "autofs") == 0;
}

/* Through which the host's kernel and its devices are looked at: src/driver/jail/other-mounts.ts has the same. */
int is_kernel_interface(const char *type)
{
	static const char *const types[] = {
		"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "mqueue",
		"efivarfs", "pstore", "fusectl", "binfmt_misc", "nfsd", "rpc_pipefs",
	};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strcmp(type, types[i]) == 0)
			return 1;
	return 0;
}

FILE *open_mounts(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");

	if (file == NULL)
		fail("/proc/self/mountinfo");
	return file;
}

int next_mount(FILE *file, struct mounted *mounted)
{
	static char *line;
	static size_t room;

	while (getline(&line, &room, file) > 0) {
		char *end = strstr(line, " - "), *save = NULL, *field[5];

		mounted->type = end == NULL ? NULL : strtok_r(end + 3, " ", &save);
		field[0] = strtok_r(line, " ", &save);
		for (int i = 1; i < 5; i++)
			field[i] = strtok_r(NULL, " ", &save);
		if (mounted->type == NULL || field[4] == NULL)
			continue;
		mounted->number = strtoull(field[0], NULL, 10);
		mounted->parent = strtoull(field[1], NULL, 10);
		mounted->path = field[4];
		unescape(mounted->path);
		return 1;
	}
	return 0;
}
