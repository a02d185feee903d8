/*
 * pk-mktty: stands between pk-shim and the console of a kernel that has a part of the machine, /dev/mktty of the multikernel
 * patches: the same line carries the console's text and the control line, as segments (docs/guest-protocol.md). It has that line open
 * from before the kernel boots, since nothing is kept for who comes later, and ends when the kernel has.
 *
 *     pk-mktty TTY ID STATUS [SECOND]
 *
 * TTY is given the instance's ID; STATUS is the file that says what the instance does. SECOND is where its agent waits for a second line,
 * which then carries the control line alone as long as it works: `vsock:PORT`, or the path of a socket. Console text goes to standard output, the
 * control line is descriptor 3, and each line on descriptor 4 is answered with `attached`. Ends with 0 once STATUS has said `active`
 * and does no longer.
 *
 * What the kernel sends is hostile: everything is in static memory, and by then this process has no rights.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/crc.h"
#include "../common/fail.h"
#include "../common/numbers.h"
#include "../common/segments.h"
#include "../common/vsock.h"
#include "../common/ways.h"

const char program_name[] = "pk-mktty";

enum { TEXT = 1, CONTROL = 3, MONITOR = 4 };

enum {
	LOOK_MS = 100,       /* between looks at the status */
	REST_MS = 200,       /* of the line, after which nothing more of a segment comes */
	RETRY_MS = 20,       /* after the ring towards the kernel was full */
	TO_KERNEL = 2048,    /* what a serial line of Linux holds unread, and more */
	TO_CONTROL = 65536,
	NOBODY = 65534,
};

static struct segments seg;
static struct ways ways;
/* Not connected yet, and to what. */
static int second = -1, connects;
static struct sockaddr_un second_path;
static uint32_t second_cid, second_port;
static uint8_t to_control[TO_CONTROL];
static size_t waiting;
static int tty, status, was_active;

static void write_all(int fd, const uint8_t *bytes, size_t count)
{
	while (count > 0) {
		ssize_t n = write(fd, bytes, count);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nobody hears it */
		bytes += n, count -= (size_t)n;
	}
}

static size_t control_room(void) { return sizeof to_control - waiting; }

static void to_control_line(const uint8_t *bytes, size_t count)
{
	memcpy(to_control + waiting, bytes, count);
	waiting += count;
}

static void to_console(const uint8_t *bytes, size_t count) { write_all(TEXT, bytes, count); }

static const struct segments_sink sink = {control_room, to_control_line, to_console};

/* Returns how much was read. */
static size_t read_line(int fd)
{
	ssize_t n = ways_read(&ways, fd, &sink, now_ms());

	return n > 0 ? (size_t)n : 0;
}

/* Of whatever kind: to be connected once the agent has spoken, which waits there by then. Where there is none, the console does. */
static void open_second(const char *given, unsigned long id)
{
	if (strncmp(given, "vsock:", 6) == 0) {
		second = vsock_open();
		second_cid = (uint32_t)id, second_port = (uint32_t)number("SECOND", given + 6, UINT32_MAX - 1);
		return;
	}
	if (strlen(given) >= sizeof second_path.sun_path)
		refuse("SECOND: the path is too long");
	second_path.sun_family = AF_UNIX;
	strcpy(second_path.sun_path, given);
	second = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void forget_second(void)
{
	close(second);
	second = -1;
}

static void connect_second(void)
{
	int result = second_path.sun_family == AF_UNIX ? connect(second, (struct sockaddr *)&second_path, sizeof second_path)
						       : vsock_connect(second, second_cid, second_port);

	connects = 1;
	if (result != 0 && errno != EINPROGRESS)
		forget_second();
}

/* What became of it. */
static void second_connected(void)
{
	int error = 0;
	socklen_t size = sizeof error;

	if (getsockopt(second, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
		return forget_second();
	ways_second(&ways, second, 1, now_ms());
	second = -1;
}

static void flush_control(void)
{
	ssize_t n = write(CONTROL, to_control, waiting);

	if (n <= 0)
		return;
	waiting -= (size_t)n;
	memmove(to_control, to_control + n, waiting);
	/* The kernel may wait with what found no room. */
	segments_ask(&seg);
}

/* The kernel speaks first: what came before would be kept by a line that nobody reads yet, and echoed. */
static size_t kernel_room(void) { return seg.heard ? segments_room(&seg) : 0; }

static void read_control(void)
{
	uint8_t bytes[TO_KERNEL];
	size_t room = kernel_room();
	ssize_t n = read(CONTROL, bytes, room < sizeof bytes ? room : sizeof bytes);

	if (n > 0)
		segments_put(&seg, bytes, (size_t)n, now_ms());
	else if (n == 0)
		_exit(0); /* the shim has gone */
}

static void answer(void)
{
	uint8_t bytes[256];
	ssize_t n = read(MONITOR, bytes, sizeof bytes);

	for (ssize_t i = 0; i < n; i++)
		if (bytes[i] == '\n')
			write_all(MONITOR, (const uint8_t *)"attached\n", 9);
}

/* Whether the kernel ran and does no longer. A status that cannot be read is that of an instance which is no more. */
static int has_ended(void)
{
	char text[32] = "";
	ssize_t n = pread(status, text, sizeof text - 1, 0);
	int is_active = n > 0 && strncmp(text, "active", 6) == 0;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n < 0 && (errno == ENOTCONN || errno == ENODEV))
		return 1; /* the file system is gone, and the console is at its end for ever */
	if (is_active)
		was_active = 1;
	return was_active && !is_active;
}

/* Nothing but what is open is needed from here on. */
static void drop_rights(void)
{
	if (geteuid() == 0 && (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY)))
		fail("cannot become nobody");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fail("no_new_privs");
	/* It goes with the rights. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() == 1)
		fail("who started this has ended");
}

static void loop(void)
{
	uint64_t look = 0, rest = 0, retry = 0;

	for (;;) {
		int on_second = ways.second >= 0 && ways_goes_to(&ways, ways.second) && segments_ready(&seg);
		struct pollfd polls[] = {
			{.fd = tty, .events = POLLIN},
			{.fd = CONTROL},
			{.fd = MONITOR, .events = POLLIN},
			{.fd = ways.second, .events = (short)(POLLIN | (on_second ? POLLOUT : 0))},
			{.fd = connects ? second : -1, .events = POLLOUT},
		};
		uint64_t now = now_ms(), wake = look;

		if (now >= look) {
			if (has_ended())
				return;
			wake = look = now + LOOK_MS;
		}
		if (second >= 0 && !connects && seg.heard)
			connect_second();
		if (now >= retry && ways_flush(&ways, now) != 0 && (errno == ENOSPC || errno == EAGAIN))
			retry = now + RETRY_MS;
		if (segments_ready(&seg) && retry < wake)
			wake = retry;
		if (seg.due && seg.due < wake)
			wake = seg.due;
		if (rest && now >= rest)
			segments_rest(&ways.from_console, &sink), rest = 0;
		if (rest && rest < wake)
			wake = rest;
		polls[1].events = (short)((kernel_room() > 0 ? POLLIN : 0) | (waiting > 0 ? POLLOUT : 0));
		if (poll(polls, 5, wake > now ? (int)(wake - now) : 0) < 0 && errno != EINTR)
			fail("poll");
		if (polls[0].revents && read_line(tty) > 0)
			rest = ways.from_console.raw_length > 0 ? now_ms() + REST_MS : 0;
		if (polls[3].revents)
			read_line(polls[3].fd), retry = 0;
		if (polls[4].revents)
			second_connected();
		if (polls[1].revents & POLLOUT || waiting > 0)
			flush_control();
		if (polls[1].revents & (POLLIN | POLLHUP))
			read_control();
		if (polls[2].revents & POLLIN)
			answer();
	}
}

int main(int argc, char **argv)
{
	unsigned long id;

	if (argc != 4 && argc != 5)
		refuse("usage: pk-mktty TTY ID STATUS [SECOND]");
	id = number("ID", argv[2], 2047);
	crc_setup();
	tty = open(argv[1], O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (tty < 0)
		fail("%s", argv[1]);
	status = open(argv[3], O_RDONLY | O_CLOEXEC);
	if (status < 0)
		fail("%s", argv[3]);
	if (dprintf(tty, "%lu\n", id) < 0)
		fail("%s: instance %lu", argv[1], id);
	if (argc == 5)
		open_second(argv[4], id);
	drop_rights();
	signal(SIGPIPE, SIG_IGN); /* the second line may end */
	fcntl(CONTROL, F_SETFL, O_NONBLOCK);
	fcntl(MONITOR, F_SETFL, O_NONBLOCK);
	segments_begin(&seg, TO_KERNEL, 0);
	ways_begin(&ways, &seg, tty);
	loop();
	/* Its last words are there, or nowhere. */
	while (ways.second >= 0 && read_line(ways.second) > 0)
		flush_control();
	while (read_line(tty) > 0)
		flush_control();
	segments_rest(&ways.from_console, &sink);
	if (waiting > 0)
		flush_control();
	return 0;
}
