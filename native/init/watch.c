/* WATCH: files of /proc and /sys that are sent again and again. */
#include "watch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/clock.h"
#include "bytes.h"
#include "configure.h"
#include "frames.h"
#include "protocol.h"
#include "requests.h"

static u8 snapshot[SNAPSHOT];
static char watch_paths[WATCHES][256];
static u32 watch_count, watch_next, watch_interval;
u64 watch_due; /* 0: no watch */

void watch(u8 *p, u32 n)
{
	char *key, *value;
	watch_count = watch_next = watch_interval = 0;
	for (u8 *end = p + n; (key = next_pair(&p, end, &value));) {
		if (!strcmp(key, "interval-ms")) watch_interval = (u32)strtoul(value, NULL, 10);
		else if (!strcmp(key, "path") && watch_count < WATCHES && strlen(value) < sizeof *watch_paths && !strstr(value, "/..") &&
				 (!strncmp(value, "/proc/", 6) || !strncmp(value, "/sys/", 5)))
			strcpy(watch_paths[watch_count++], value);
	}
	/* Not at once: what is asked for next, mostly the workload's start, does not wait for it. */
	watch_due = watch_count ? now_ms() + watch_interval : 0;
}

static void watch_send(const char *path)
{
	u32 name = (u32)strlen(path), length = 0, head = 10 + name;
	u64 at = now_ns();
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	for (ssize_t n; fd >= 0 && length < SNAPSHOT && (n = read(fd, snapshot + length, SNAPSHOT - length)) > 0;) length += (u32)n;
	if (fd >= 0) close(fd);
	for (u32 sent = 0, first = 1; first || sent < length; first = 0) {
		u8 *space = frame_space();
		if (!space) return;
		u32 n = (wide ? OUT_PAYLOAD : OLD_PAYLOAD) - (first ? head : 0);
		if (n > length - sent) n = length - sent;
		if (first) put32(space, (u32)at), put32(space + 4, (u32)(at >> 32)), put16(space + 8, name), memcpy(space + 10, path, name);
		memcpy(space + (first ? head : 0), snapshot + sent, n);
		sent += n;
		frame_done(G_SNAPSHOT, sent < length ? MORE : 0, 0, n + (first ? head : 0));
	}
}

void watch_turn(u64 now)
{
	if (!watch_due || now < watch_due) return;
	while (watch_next < watch_count && out_used() < OUT_SNAP) watch_send(watch_paths[watch_next++]);
	if (watch_next < watch_count) return; /* the host reads slowly: the rest of this round comes when there is room */
	watch_next = 0, watch_due += watch_interval;
	if (watch_due <= now) watch_due = now + watch_interval;
	if (!watch_interval) watch_due = 0;
}
