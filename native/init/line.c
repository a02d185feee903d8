/* The control line: how it is found, what comes from it and what goes to it, and memory that the host shares beside it. */
#include "line.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/descriptor.h"
#include "../common/segments.h"
#include "../common/text.h"
#include "../common/vsock.h"
#include "../common/ways.h"
#include "beat.h"
#include "bytes.h"
#include "files.h"
#include "frames.h"
#include "pci.h"
#include "protocol.h"
#include "requests.h"
#include "say.h"
#include "sessions.h"

enum { LINE_RETRY_MS = 50 }; /* between looks at a line whose host end is closed */

u8 in[IN_SIZE];
u32 in_pos, in_len;
int line = -1, line_tty;
u8 *shared;         /* memory that the host shares: slots towards the guest, then as many towards the host; or NULL */
u32 slots;          /* in each direction */
u32 slots_in, slots_free; /* how many the host has filled since its HELLO, and of these it was told that they are free again */
u32 slots_out, slots_taken; /* how many were filled here since, and of these read by the host */
u32 line_read, line_base, line_acked;
u64 line_rest; /* until then the line is not looked at: its host end is closed */

/* Frames go as segments where the line is the console's as well: the command line says `pk.segments=1` then. */
enum { SEGMENTS_OUT = SEGMENTS_WINDOW, SEGMENTS_PATIENCE = 250 };
static int in_segments;
static struct segments seg;
/* `pk.second=vsock:PORT` (or a device) says how the host comes by a second way, where it can: that port is listened at until then. */
static struct ways ways;
static int listener = -1;

static void flush_segments(u64 now)
{
	for (;;) {
		u32 count = out_used(), room = (u32)segments_room(&seg);
		if (count > room) count = room;
		if (!count) break;
		segments_put(&seg, out + out_pos, count, now);
		out_pos += count;
	}
	if (!out_used()) out_pos = out_len = 0;
	ways_flush(&ways, now);
}

u64 line_due(void) { return in_segments && seg.due ? seg.due : UINT64_MAX; }

/*
 * The payload of one frame on its way from a process to the line without being copied: the pages that the process has filled
 * lie in a pipe of the agent's own, where nobody else can read them any more, and go after the first `before` bytes of `out`.
 */
static int carrier[2] = {-1, -1};
u32 carried;
static u32 before, carried_for, lost;

/* Segments are under way until the other end has said that they came. */
int line_waits(void) { return out_used() || carried || (in_segments && seg.length > 0); }

int line_sends(void) { return in_segments ? segments_ready(&seg) || (out_used() && segments_room(&seg)) : out_used() || carried; }

/* Takes up to `most` bytes out of `pipe` as the next frame. How many; 0: it cannot now, they are to be copied. */
u32 line_carry(int pipe, u8 type, u32 session, u32 most)
{
	if (carried) return 0;
	if (carrier[0] < 0 && (pipe2(carrier, O_CLOEXEC | O_NONBLOCK) || fcntl(carrier[0], F_SETPIPE_SZ, BARE_OUT) < 0)) return 0;
	ssize_t n = splice(pipe, NULL, carrier[1], NULL, most, SPLICE_F_NONBLOCK);
	if (n <= 0) return 0;
	frame_head(type, session, (u32)n);
	carried = (u32)n, before = out_used(), carried_for = session;
	return carried;
}

/* The kernel had no memory and has dropped some: zeros keep the frame's length, and the session does not end as if all were well. */
static int carry_lost(void)
{
	int left = 0;
	struct session *s = session_find(carried_for);
	if (ioctl(carrier[0], FIONREAD, &left) || (u32)left >= carried) return 0;
	lost = carried - (u32)left, errno = ENOMEM;
	say("cannot send", "output");
	if (s && s->pid && !s->ended) kill(-s->pid, SIGKILL);
	return 1;
}

/* Sends what is carried; 0: no more goes now. */
static int carry_on(void)
{
	static const u8 zeros[4096];
	while (carried) {
		ssize_t n = lost ? write(line, zeros, lost < sizeof zeros ? lost : sizeof zeros) : splice(carrier[0], NULL, line, NULL, carried, SPLICE_F_NONBLOCK);
		if (n > 0) carried -= (u32)n, lost -= lost ? (u32)n : 0;
		else if (n < 0 && errno == EINTR) continue;
		else if ((n < 0 && (errno == EAGAIN || errno == ENOMEM)) || (!n && !carry_lost())) return 0;
		else if (n < 0) close_fd(&carrier[0]), close_fd(&carrier[1]), carried = lost = 0; /* the other end is gone, as below */
	}
	return 1;
}

void line_flush(void)
{
	if (in_segments) return flush_segments(now_ms());
	while (line_waits()) {
		if (carried && !before) {
			if (!carry_on()) return;
			continue;
		}
		ssize_t n = write(line, out + out_pos, carried ? before : out_used());
		if (n < 0 && errno == EINTR) continue;
		if (n < 0 && errno == EAGAIN) return;
		if (n <= 0) n = carried ? before : out_used(); /* the other end is gone; whoever comes next asks afresh */
		out_pos += (u32)n, before -= carried ? (u32)n : 0;
	}
	out_pos = out_len = 0;
}

/* Whether a piece of output may be as long as a slot, and there is none free. */
int slots_full(void) { return wide && shared && slots_out - slots_taken >= slots; }

/* Bytes that the host may leave unacknowledged. */
u32 line_window(void) { return line_tty ? TTY_WINDOW : bare ? BARE_WINDOW : PORT_WINDOW; }

/* The longest that a frame towards the guest has: what begins like a longer one is noise, and is not waited for. */
u32 longest_payload(void) { return line_tty ? TTY_PAYLOAD : IN_PAYLOAD; }

static size_t in_room(void) { return sizeof in - in_len; }

static void take_in(const u8 *bytes, size_t count)
{
	memcpy(in + in_len, bytes, count);
	in_len += (u32)count, line_read += (u32)count;
}

/* What people type on the console is nobody's. */
static void ignore(const u8 *bytes, size_t count) { (void)bytes, (void)count; }

static const struct segments_sink sink = {in_room, take_in, ignore};

void line_hear(void)
{
	line_parse();
	/* Of what waits until there is room for the answers the host is to keep all: with a frame's acknowledgement its slot is free. */
	u32 count = line_read - (in_len - in_pos) - line_base;
	/*
	 * A wide line needs few acknowledgements: what is left open is far less than its window. Slots are free by halves: a host that has
	 * one fills it at once, and the agent would be woken for each.
	 */
	int frees = shared && slots_in - slots_free >= slots / 2;
	if (greeted && (frees || count - line_acked > (line_tty || !wide ? 0 : line_window() / 4))) frame32(G_ACK, 0, count), line_acked = count, slots_free = slots_in;
}

int line_second(void) { return ways.second >= 0 ? ways.second : listener; }

int line_sends_second(void) { return in_segments && ways.second >= 0 && line_sends() && ways_goes_to(&ways, ways.second); }

void line_input_second(u64 now)
{
	if (ways.second >= 0) {
		if (ways_read(&ways, ways.second, &sink, now) > 0) line_hear();
		return;
	}
	int fd = vsock_accept(listener, VSOCK_PARENT);
	if (fd < 0) return;
	close_fd(&listener);
	ways_second(&ways, fd, 0, now);
}

void line_input(u64 now)
{
	ssize_t n = in_segments ? ways_read(&ways, line, &sink, now) : read(line, in + in_len, sizeof in - in_len);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) line_rest = now + LINE_RETRY_MS;
	if (n <= 0) return;
	if (!in_segments) in_len += (u32)n, line_read += (u32)n;
	/* A port gives a page at a time; a turn of the loop costs more than that. */
	while (!line_tty && in_len < sizeof in && (n = read(line, in + in_len, sizeof in - in_len)) > 0) in_len += (u32)n, line_read += (u32)n;
	line_hear();
}

/* Slots in each direction that the command line, or the host, speaks of. */
static u32 slots_given;

/* Maps them, and `more` behind them. */
static u8 *map_slots(const char *device, size_t more)
{
	int fd = open(device, O_RDWR | O_CLOEXEC);
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, (size_t)slots_given * 2 * SLOT + more, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close_fd(&fd);
	return at == MAP_FAILED ? NULL : at;
}

/*
 * The memory that User Mode Linux shares under the name `mmapper`, where its serial line carries single bytes. `pk.slots=` on
 * the command line says how many slots there are in each direction, `pk.beat=1` that a page for a word that beats lies behind them.
 * A kernel without that device does without.
 */
static void open_shared(const char *cmdline)
{
	const char *given = strstr(cmdline, "pk.slots="), device[] = "/dev/mmapper";
	u32 count = given ? (u32)strtoul(given + 9, NULL, 10) : 0;
	slots_given = count <= SLOTS_MOST ? count : 0;
	if (!slots_given || access(device, F_OK)) return;
	int has_beat = strstr(cmdline, "pk.beat=1") != NULL;
	if (!(shared = map_slots(device, has_beat ? BEAT_PAGE : 0))) return;
	slots = slots_given;
	if (has_beat) beat_in((u32 *)(shared + (size_t)slots * 2 * SLOT));
	unlink(device);
}

static u8 *beside; /* what a port once had beside it stays mapped */

/* Of a port: the host has so many slots in the memory of a PCI function, for as long as it is connected. ENODEV: it is not there yet. */
int port_share(const char *count)
{
	char path[80];
	u32 given = (u32)strtoul(count, NULL, 10);
	if (line_tty || in_segments || !given || given > SLOTS_MOST || (beside && given != slots_given)) return EINVAL;
	slots_given = given;
	if (!beside) {
		int error = pci_memory(LINE_PCI_SLOT, (u64)given * 2 * SLOT, path, sizeof path);
		if (error) return error;
		if (!(beside = map_slots(path, 0))) return ENODEV;
	}
	shared = beside, slots = given, slots_in = slots_free = slots_out = slots_taken = 0;
	return 0;
}

/* Another host may have none of it. */
void port_alone(void)
{
	if (beside) shared = NULL, slots = 0;
}

/* The virtio-serial port named `polykernel`. There is no udev, so its device node is found through sysfs. */
static int open_virtio(void)
{
	char path[300], name[32];
	struct dirent *entry;
	int found = -1;
	DIR *ports = opendir("/sys/class/virtio-ports");
	while (ports && found < 0 && (entry = readdir(ports))) {
		if (entry->d_name[0] == '.') continue;
		snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", entry->d_name);
		if (read_text(path, name, sizeof name) < 0 || strcmp(name, "polykernel\n")) continue;
		snprintf(path, sizeof path, "/dev/%s", entry->d_name);
		found = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	if (ports) closedir(ports);
	return found;
}

/* A device of a terminal's kind, that changes nothing of what passes. -1 with errno. */
static int open_device(const char *name, int *is_tty)
{
	struct termios raw;
	char path[80];
	snprintf(path, sizeof path, "/dev/%.64s", name);
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	*is_tty = fd >= 0 && !tcgetattr(fd, &raw);
	if (!*is_tty) return fd;
	cfmakeraw(&raw);
	tcsetattr(fd, TCSANOW, &raw);
	return fd;
}

/* The console alone does, where there is no other. */
static void open_second(const char *text)
{
	char given[64];
	const char *found = strstr(text, "pk.second=");
	if (!in_segments || !found) return;
	snprintf(given, sizeof given, "%.*s", (int)strcspn(found + 10, " \n"), found + 10);
	if (!strncmp(given, "vsock:", 6)) {
		listener = vsock_listen((u32)strtoul(given + 6, NULL, 10));
		return;
	}
	int is_tty, fd = open_device(given, &is_tty);
	if (fd >= 0) ways_second(&ways, fd, 0, 0);
}

void open_line(void)
{
	char text[4096], second[sizeof text], *control;
	if (read_text("/proc/cmdline", text, sizeof text) < 0) die("cannot read", "/proc/cmdline");
	open_shared(text);
	if (strstr(text, "pk.segments=1")) in_segments = 1, segments_begin(&seg, SEGMENTS_OUT, SEGMENTS_PATIENCE);
	snprintf(second, sizeof second, "%s", text);
	control = strstr(text, "pk.control=");
	control = control ? control + 11 : "ttyS0";
	control[strcspn(control, " \n")] = 0;
	if (!strcmp(control, "virtio")) {
		for (int i = 0; (line = open_virtio()) < 0 && i < 15000; i++) usleep(2000);
		if (line < 0) die("cannot find the virtio-serial port", "polykernel");
		return;
	}
	line = open_device(control, &line_tty);
	if (line < 0) die("cannot open the control line", control);
	if (in_segments) ways_begin(&ways, &seg, line), open_second(second);
}
