/* pk-shim's requests, relays and lists, and the console answers that the first process of a jail reads. The first byte of an input chooses. */
#include "harness.h"

#include "kit.h"

#include "../../../native/jail/mconsole.c"
#include "../../../native/shim/buffer.c"
#include "../../../native/shim/clients.c"
#include "../../../native/shim/console.c"
#include "../../../native/shim/descriptors.c"
#include "../../../native/shim/directory.c"
#include "../../../native/shim/gso.c"
#include "../../../native/shim/loop.c"
#include "../../../native/shim/main.c"
#include "../../../native/shim/memory.c"
#include "../../../native/shim/network.c"
#include "../../../native/shim/options.c"
#include "../../../native/shim/program.c"
#include "../../../native/shim/relays.c"
#include "../../../native/shim/requests.c"
#include "../../../native/shim/rtnetlink.c"

/* A pair of sockets: what is written to the first end is read from the second. */
static void link_pair(int type, int ends[2])
{
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
		abort();
}

static void send_all(int fd, const void *bytes, size_t size)
{
	(void)!send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A client's request line, byte by byte; what is answered must be short lines. */
static void request(const uint8_t *data, size_t size)
{
	struct client *c = &clients[3];
	char answers[2 * TEXT_BYTES];
	int ends[2];
	ssize_t n;

	link_pair(SOCK_STREAM, ends);
	send_all(ends[0], data, size);
	c->kind = READING, c->fd = ends[1], c->length = 0;
	read_line(c);
	must(c->length <= LINE_BYTES, "a request is bounded");
	n = recv(ends[0], answers, sizeof answers, MSG_DONTWAIT);
	must(n <= TEXT_BYTES + 16, "an answer is bounded");
	if (c->kind != FREE)
		drop_client(c);
	for (int i = 0; i < RELAYS; i++)
		close_fd(&relays[i].holder), discard(&relays[i].in), discard(&relays[i].out);
	close(ends[0]);
}

/* A management console's answers: ERROR(1) MORE(1) LENGTH(4) SIZE(2), again and again. */
static void console_answers(const uint8_t *data, size_t size)
{
	static char text[8192];
	size_t length = 0;
	int ends[2], failed, result = 0;

	link_pair(SOCK_DGRAM, ends);
	for (size_t at = 0; at + 8 <= size && result == 0; at += 8) {
		struct mconsole_reply reply = { data[at], data[at + 1], 0, { 0 } };
		size_t part = (data[at + 6] | (size_t)data[at + 7] << 8) % (MCONSOLE_BYTES + 1);

		memcpy(&reply.length, data + at + 2, 4);
		memset(reply.data, 'a', part);
		/* Some are cut short, even within their head. */
		send_all(ends[0], &reply, part % 8 ? sizeof reply : part);
		result = mconsole_receive(ends[1], text, &length, sizeof text, &failed);
		must(length < sizeof text, "an answer has room");
	}
	close(ends[0]), close(ends[1]);
}

/* A relay whose two sides do what the input says; what goes through comes out in order. */
static void relaying(const uint8_t *data, size_t size)
{
	struct relay *r = &relays[size % 2 == 0 ? CONTROL : PASSED];
	int program_ends[2], holder_ends[2];
	uint8_t sent = 0, came = 0, bytes[256];

	link_pair(SOCK_STREAM, program_ends);
	link_pair(SOCK_STREAM, holder_ends);
	r->program = program_ends[1], r->holder = holder_ends[1];
	for (size_t at = 0; at < size; at++) {
		ssize_t n = 1 + data[at] / 8;

		for (ssize_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)(sent + i);
		switch (data[at] % 8) {
		case 0: case 1:
			n = send(program_ends[0], bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
			sent = (uint8_t)(sent + (n > 0 ? n : 0));
			break;
		case 2: case 3:
			n = recv(holder_ends[0], bytes, (size_t)n, MSG_DONTWAIT);
			for (ssize_t i = 0; i < n; i++)
				must(bytes[i] == came++, "what goes through a relay comes out in order");
			break;
		case 4: send_all(holder_ends[0], bytes, (size_t)n); break;
		case 5: (void)!recv(program_ends[0], bytes, (size_t)n, MSG_DONTWAIT); break;
		case 6: if (data[at] > 250) shutdown(holder_ends[0], SHUT_RDWR); break;
		default: if (data[at] > 250) shutdown(program_ends[0], SHUT_WR);
		}
		pump_relay(r);
		must(r->out.from <= r->out.to && r->out.to <= RELAY_BYTES, "a buffer is not overrun");
		must(r->in.from <= r->in.to && r->in.to <= RELAY_BYTES, "a buffer is not overrun");
	}
	close_fd(&r->program), close_fd(&r->holder);
	discard(&r->in), discard(&r->out);
	close(program_ends[0]), close(holder_ends[0]);
}

static void one(const uint8_t *data, size_t size)
{
	struct numbers set;
	int passed[PASSED_MAX];
	char *text;

	if (size == 0)
		return;
	for (int i = 0; i < RELAYS; i++)
		relays[i].program = relays[i].holder = -1;
	program = INT_MAX; /* nobody: no signal could be sent anyway */
	switch (*data++ % 4) {
	case 0: request(data, size - 1); break;
	case 1: console_answers(data, size - 1); break;
	case 2: relaying(data, size - 1); break;
	default:
		text = malloc(size);
		memcpy(text, data, size - 1);
		text[size - 1] = 0;
		parse_numbers(text, &set);
		/* It leaves through fail(), and the text behind: the harness ends with the last input. */
		static char *kept;
		free(kept);
		kept = text;
		must(parse_list("--fds", text, passed, PASSED_MAX) <= PASSED_MAX, "a list is bounded");
	}
}
