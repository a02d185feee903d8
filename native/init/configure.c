/* CONFIGURE: what the host wants of this machine, a step after the other up to the first that fails. */
#include "configure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "../common/fields.h"
#include "../common/text.h"
#include "balloon.h"
#include "beat.h"
#include "boot.h"
#include "bytes.h"
#include "channels.h"
#include "files.h"
#include "frames.h"
#include "inodes.h"
#include "layers.h"
#include "line.h"
#include "modules.h"
#include "mounts.h"
#include "names.h"
#include "network.h"
#include "protocol.h"
#include "shares.h"
#include "wall-clock.h"
#include "workers.h"

/* From linux/random.h and asm/ioctls.h, which musl does not carry. */
#define RND_ADD_ENTROPY 0x40085203
#define RND_RESEED_CRNG 0x5207

int seeded; /* the random number generator, by the host */

/* What a hexadecimal digit stands for; -1: it is none. */
static int digit(char c)
{
	if (c >= '0' && c <= '9') return c - '0';
	c |= 'a' ^ 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int seed_random(const char *hex)
{
	struct { int bits, size; u8 bytes[512]; } pool;
	size_t n = 0;
	for (int high, low; n < sizeof pool.bytes && (high = digit(hex[2 * n])) >= 0 && (low = digit(hex[2 * n + 1])) >= 0; n++)
		pool.bytes[n] = (u8)(high << 4 | low);
	if (!n) return EINVAL;
	pool.bits = (int)n * 8, pool.size = (int)n;
	int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC), error = 0;
	if (fd < 0) return errno;
	if (ioctl(fd, RND_ADD_ENTROPY, &pool) || ioctl(fd, RND_RESEED_CRNG)) error = errno;
	close(fd);
	if (!error) seeded = 1;
	return error;
}

static char told[BALLOON_ANSWER]; /* by a step, for the host */

enum { NOTED = 512 };

static int configure_step(const char *key, char *value)
{
	char *part[2], *second;
	if (!strcmp(key, "mount")) return do_mount(value);
	if (!strcmp(key, "share")) return add_share(value);
	if (!strcmp(key, "etc-room")) return etc_room(value);
	if (!strcmp(key, "own-name")) return own_name(value);
	if (!strcmp(key, "modules-room")) return modules_room(value);
	if (!strcmp(key, "modules")) return modules_show(value);
	if (!strcmp(key, "lend-modprobe")) return lend_modprobe(), 0;
	if (!strcmp(key, "channel")) return add_channel(value);
	if (!strcmp(key, "line-memory")) return port_share(value);
	if (!strcmp(key, "address")) return set_address(value);
	if (!strcmp(key, "leave-card")) return leave_card(value);
	if (!strcmp(key, "take-card")) return take_card(value);
	if (!strcmp(key, "no-channel")) return remove_channel(value);
	second = split_fields(value, FIELD, part, 2) == 2 ? part[1] : NULL;
	if (!strcmp(key, "hostname")) return sethostname(value, strlen(value)) ? errno : 0;
	if (!strcmp(key, "time")) {
		char *dot;
		struct timespec t = {.tv_sec = strtoll(value, &dot, 10)};
		if (*dot == '.') t.tv_nsec = strtol(dot + 1, NULL, 10);
		return clock_settime(CLOCK_REALTIME, &t) ? errno : 0;
	}
	if (!strcmp(key, "time-step")) return step_clock(value);
	if (!strcmp(key, "time-slew")) return slew_clock(value);
	if (!strcmp(key, "inodes-most")) return inodes_most = strtol(value, NULL, 10), 0;
	if (!strcmp(key, "balloon")) return set_balloon(value, told, sizeof told);
	if (!strcmp(key, "workers-first")) return prefer_workers(value);
	if (!strcmp(key, "watchdog")) return feed_watchdog(value);
	if (!strcmp(key, "seed")) return seed_random(value);
	if (!strcmp(key, "module")) return load_module(value);
	if (!strcmp(key, "wished-module")) return load_module(value), 0;
	if (!strcmp(key, "mkdir")) return make_directory(value, second ? (mode_t)strtoul(second, NULL, 8) : 0755);
	if (!strcmp(key, "write")) return second ? write_file(value, second) : EINVAL;
	if (!strcmp(key, "link")) return !second ? EINVAL : symlink(value, second) ? errno : 0;
	if (!strcmp(key, "run-directories")) return run_directories(value);
	if (!strcmp(key, "switch-root")) return switch_root(value);
	if (!strcmp(key, "sync")) return sync(), 0;
	return ENOSYS;
}

const char *boot_id(void)
{
	static char id[64];
	read_text("/proc/sys/kernel/random/boot_id", id, sizeof id);
	id[strcspn(id, "\n")] = 0;
	return id;
}

/* Steps through the NUL-terminated `key=value` strings of a payload. */
char *next_pair(u8 **at, u8 *end, char **value)
{
	while (*at < end) {
		u8 *nul = memchr(*at, 0, (size_t)(end - *at));
		if (!nul) return NULL;
		char *key = (char *)*at, *equals = strchr(key, '=');
		*at = nul + 1;
		if (!equals) continue;
		*equals = 0, *value = equals + 1;
		return key;
	}
	return NULL;
}

/* KEY=VALUE, as much of it as is worth telling, with blanks between its fields. Steps change what they are given. */
static void note_step(char text[NOTED], const char *key, const char *value)
{
	size_t length = strnlen(key, 63), rest = strnlen(value, NOTED - 2 - length);
	memcpy(text, key, length);
	text[length++] = '=';
	memcpy(text + length, value, rest);
	text[length + rest] = 0;
	for (char *c = text; *c; c++)
		if (*c == FIELD) *c = ' ';
}

void configure(u32 request, u8 *p, u32 n)
{
	char *key, *value, text[NOTED];
	int with_seed = 0, error = 0;
	told[0] = 0;
	for (u8 *end = p + n; !error && (key = next_pair(&p, end, &value));) {
		note_step(text, key, value);
		error = configure_step(key, value);
		with_seed |= !strcmp(key, "seed");
	}
	leave_layers();
	if (error) {
		frame_text(G_RESULT, request, (u32)error, -1, text);
		return;
	}
	if (told[0]) {
		u8 answer[4 + sizeof told] = {0}; /* no error, and the text */
		size_t length = strlen(told);
		memcpy(answer + 4, told, length);
		frame(G_RESULT, 0, request, answer, (u32)(4 + length));
		return;
	}
	*text = 0;
	if (with_seed) strcat(strcpy(text, "boot-id="), boot_id());
	frame_text(G_RESULT, request, 0, -1, text);
}
