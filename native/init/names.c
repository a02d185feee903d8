/*
 * /etc/hosts: a root may have none, or an empty one, as roots made of containers' images do, and none knows the name that this
 * machine was given. Programs look for both: sudo, Java and whatever asks for its own address fail without. Of a root that the host knows it
 * writes the same text itself (namedHosts() in src/guest/boot.ts).
 */
#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fields.h"
#include "files.h"
#include "layers.h"
#include "protocol.h"

enum { HOSTS_MOST = 65536, HOSTS_ADDED = 1024 };

/* Whether a line of `hosts` gives `name` an address. */
static int is_named(const char *hosts, const char *name)
{
	size_t length = strlen(name);
	for (const char *line = hosts; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		int word = 0;
		for (const char *c = line + strspn(line, " \t\r"); *c && *c != '\n' && *c != '#'; word++, c += strspn(c, " \t\r")) {
			size_t n = strcspn(c, " \t\r\n#");
			if (word && n == length && !memcmp(c, name, n)) return 1;
			c += n;
		}
	}
	return 0;
}

/* The root's own, into HOSTS_MOST bytes; -1 for what is no regular file, or longer than one of people's: it is left as it is. */
static ssize_t read_hosts(const char *layer, char *hosts)
{
	struct stat st;
	ssize_t n, length = 0;
	int fd = open_in_layer(layer, "etc/hosts", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size >= HOSTS_MOST) length = -1;
	while (length >= 0 && length < HOSTS_MOST - 1 && (n = read(fd, hosts + length, (size_t)(HOSTS_MOST - 1 - length))) > 0) length += n;
	close(fd);
	return length;
}

int own_name(char *spec)
{
	static char hosts[HOSTS_MOST + HOSTS_ADDED];
	char *field[3], *at = hosts;
	ssize_t n;
	if (split_fields(spec, FIELD, field, 3) < 3 || strlen(field[2]) > 255) return EINVAL;
	const char *name = field[2];
	if ((n = read_hosts(field[0], hosts)) < 0) return 0;
	at += n;
	*at = 0;
	int is_there[2] = {is_named(hosts, "localhost"), is_named(hosts, name)};
	if (is_there[0] && is_there[1]) return 0;
	char *const end = hosts + sizeof hosts;
	if (at > hosts && at[-1] != '\n') *at++ = '\n', *at = 0;
	if (!is_there[0]) at += snprintf(at, (size_t)(end - at), "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
	/* Debian's address for it: what listens at this name is not at localhost's. */
	int brief = (int)strcspn(name, ".");
	if (!is_there[1]) snprintf(at, (size_t)(end - at), name[brief] ? "127.0.1.1 %s %.*s\n" : "127.0.1.1 %s\n", name, brief, name);
	return write_file(field[1], hosts);
}
