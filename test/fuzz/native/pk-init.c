/*
 * pk-init with a host that sends anything. Each input is a program as in targets/guest-link.ts: frames, and RAW bytes; besides
 * BELLS LENGTH(2) BYTES from processes in the guest, ACT LENGTH(2) BYTES of what the last process does, and END, its end.
 */
#include "harness.h"

#include <dirent.h>
#include <grp.h>
#include <net/route.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

enum { RAW = 0xff, BELLS = 0xfe, ACT = 0xfd, END = 0xfc, CHILD = 4242 };

/* The other ends of what the last process was given. */
static int child_ends[3] = { -1, -1, -1 };

/* A process that is none: it does what the input says. */
static pid_t pretend(const int *fds)
{
	for (int i = 0; i < 3; i++) {
		if (child_ends[i] >= 0)
			close(child_ends[i]);
		/* Full soon, so that waiting for room is seen; of output as much as is not copied. */
		fcntl(fds[i], F_SETPIPE_SZ, i ? 65536 : 4096);
		child_ends[i] = dup(fds[i]);
		if (child_ends[i] >= 0)
			fcntl(child_ends[i], F_SETFL, O_NONBLOCK);
	}
	return CHILD;
}

/* Files to write are memory. */
static int open_file(const char *path, int flags, ...)
{
	return (flags & O_ACCMODE) == O_RDONLY ? open(path, flags) : memfd_create("fuzz", MFD_CLOEXEC);
}

#define _exit leave
#define usleep(microseconds) ((void)(microseconds))
#define vfork() pretend(x.fds)
#define open open_file
#define mkdir(path, mode) 0
#define chmod(path, mode) 0
#define mkfifo(path, mode) 0
#define rename(from, to) 0
#include "kit.h"
#include "../../../native/common/crc.c"
#include "../../../native/common/segments.c"
#include "../../../native/common/vsock.c"
#include "../../../native/common/ways.c"
const char program_name[] = "pk-init";
#include "../../../native/init/beat.c"
/* Each of them has its own. */
#define pieces balloon_pieces
#include "../../../native/init/balloon.c"
#undef pieces
#include "../../../native/init/bells.c"
#include "../../../native/init/boot.c"
#include "../../../native/init/channels.c"
#include "../../../native/init/configure.c"
#include "../../../native/init/exec.c"
#include "../../../native/init/files.c"
#include "../../../native/init/frames.c"
#include "../../../native/init/inodes.c"
#include "../../../native/init/kernel-log.c"
#include "../../../native/init/layers.c"
#include "../../../native/init/line.c"
#include "../../../native/init/main.c"
#include "../../../native/init/modules.c"
#include "../../../native/init/mounts.c"
#include "../../../native/init/names.c"
#include "../../../native/init/network.c"
#include "../../../native/init/pci.c"
#include "../../../native/init/power.c"
#include "../../../native/init/processes.c"
#include "../../../native/init/requests.c"
#include "../../../native/init/say.c"
#include "../../../native/init/sessions.c"
#include "../../../native/init/shares.c"
#include "../../../native/init/streams.c"
#include "../../../native/init/transfer.c"
#include "../../../native/init/users.c"
#include "../../../native/init/wall-clock.c"
#include "../../../native/init/watch.c"
#include "../../../native/init/workers.c"

/* Programs of their own, which no frame reaches: they are not part of this. */
int pack(const char *path, const char *name)
{
	(void)path, (void)name;
	return 0;
}

int unpack(const char *path, const char *name, const char *words)
{
	(void)path, (void)name, (void)words;
	return 0;
}

/* A payload that is not in `out`. */
static void take_carried(void)
{
	static u8 bytes[BARE_OUT];

	must(read(carrier[0], bytes, sizeof bytes) == (ssize_t)carried, "what is carried is there, and no more");
	carried = before = 0;
}

/* What is to be sent must be sound frames; then it is gone, as a host would read it. */
static void take_output(void)
{
	while (out_used() >= HEADER) {
		u8 *p = out + out_pos;
		u32 n = get32(p + 8), is_bare = bare && p[3] & BARE, is_carried = carried && before == HEADER;

		must(p[0] == 'P' && p[1] == 'K' && n <= (is_carried ? BARE_OUT : OUT_PAYLOAD), "a frame has bounds");
		must(is_carried ? carried == n && is_bare : out_used() >= HEADER + n, "a whole frame is sent");
		must(crc(crc(0, p, 12), p + HEADER, is_bare ? 0 : n) == get32(p + 12), "its sum is right");
		if (is_carried)
			take_carried();
		else if (carried)
			before -= HEADER + n;
		out_pos += HEADER + (is_carried ? 0 : n);
	}
	must(out_used() == 0 && carried == 0, "nothing but frames is sent");
	out_pos = out_len = 0;
}

static void turn(void)
{
	u64 now = now_ms();

	for (struct session *s = sessions; s < sessions + SESSIONS; s++)
		must(s->in_pos <= s->in_len && s->in_len <= sizeof s->buffer, "what waits for a process is bounded");
	for (struct session *s = sessions; s < sessions + SESSIONS; s++)
		if (s->id)
			session_turn(s, now);
	watch_turn(now);
	must(in_len <= sizeof in && out_len <= OUT_SIZE && message_len <= MESSAGE, "buffers are not overrun");
	take_output();
	poweroff_turn(now);
}

/* As from the line, which has room for so much. */
static void receive(const u8 *p, size_t n)
{
	while (n > 0) {
		size_t part = n < sizeof in - in_len ? n : sizeof in - in_len;

		if (part == 0)
			return; /* until there is room for the answers */
		memcpy(in + in_len, p, part);
		in_len += (u32)part, line_read += (u32)part;
		p += part, n -= part;
		line_parse();
		turn();
	}
}

static void begin(void)
{
	for (struct session *s = sessions; s < sessions + SESSIONS; s++) {
		if (s->id)
			session_free(s);
		s->id = 0;
	}
	take_output();
	in_pos = in_len = out_pos = out_len = message_len = watch_count = watch_next = poweroff_stage = 0;
	message_type = 0, greeted = wide = bare = 0, watch_due = 0, childless = 1;
	line_read = line_base = line_acked = 0;
}

static void one(const uint8_t *data, size_t size)
{
	static u8 frame[HEADER + IN_PAYLOAD + BARE_END];
	static int fifo[2] = { -1, -1 };
	static char bytes_out[1024];

	if (fifo[0] < 0) {
		crc_setup();
		if (pipe2(fifo, O_NONBLOCK | O_CLOEXEC) != 0)
			abort();
	}
	begin();
	bell_fifo = fifo[0];
	for (size_t at = 0; at + 5 <= size;) {
		size_t head = data[at] >= END ? 3 : 5, n = get16(data + at + head - 2) % (IN_PAYLOAD + 1);
		const u8 *bytes = data + at + head;

		if (n > size - at - head)
			n = size - at - head;
		if (data[at] == RAW) {
			receive(bytes, n);
		} else if (data[at] == BELLS) {
			(void)!write(fifo[1], bytes, n);
			bells_out();
			turn();
		} else if (data[at] == ACT) {
			(void)!read(child_ends[0], bytes_out, n);
			(void)!write(child_ends[1 + n % 2], bytes, n);
			turn();
		} else if (data[at] == END) {
			for (struct session *s = sessions; s < sessions + SESSIONS; s++)
				if (s->id && s->pid == CHILD && !s->ended)
					session_end(s, EXIT_CODE, (u32)n, "");
			pretend((int[]){ -1, -1, -1 });
			turn();
		} else {
			frame[0] = 'P', frame[1] = 'K', frame[2] = data[at], frame[3] = data[at + 1];
			put32(frame + 4, data[at + 2]), put16(frame + 8, (u32)n), put16(frame + 10, 0);
			memcpy(frame + HEADER, bytes, n);
			int is_bare = frame[2] == H_STDIN && frame[3] & BARE;
			put32(frame + 12, crc(crc(0, frame, 12), frame + HEADER, is_bare ? 0 : n));
			memcpy(frame + HEADER + n, frame + 12, BARE_END);
			receive(frame, HEADER + n + (is_bare ? BARE_END : 0));
		}
		at += head + n;
	}
}
