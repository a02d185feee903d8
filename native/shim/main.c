/*
 * pk-shim: the parent of one kernel's process. It outlives the daemon, holds the control line and the console, keeps the
 * console log and learns the exit status. docs/shim.md is its contract.
 *
 * Everything is one poll loop over non-blocking descriptors; memory is static and bounded. Nothing that the program or a
 * client does may block the loop, except that the program waits while nobody takes its data.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fail.h"
#include "clients.h"
#include "console.h"
#include "descriptors.h"
#include "directory.h"
#include "loop.h"
#include "memory.h"
#include "network.h"
#include "options.h"
#include "program.h"

const char program_name[] = "pk-shim";

/* Nobody reads or writes it: a lock on it lasts as long as we do. Out of the way of the numbers that the program gets. */
static void hold_descriptor(int held)
{
	if (fcntl(held, F_DUPFD_CLOEXEC, ABOVE_PASSED) < 0)
		fail("--hold %d", held);
	close(held);
}

/* NAMESPACE,INTERFACE,PEER */
static int open_packet(char *packet)
{
	char *save = NULL, *namespace = strtok_r(packet, ",", &save), *interface = strtok_r(NULL, ",", &save);
	char *peer = strtok_r(NULL, ",", &save);

	return peer == NULL ? -1 : network_packet(namespace, interface, peer);
}

static void let_go_of_streams(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < 3; i++)
		dup2(null, i);
}

int main(int argc, char **argv)
{
	static struct options options;
	sigset_t child;
	mode_t mask;

	read_options(argc, argv, &options);
	if (chdir(options.directory) != 0)
		fail("%s", options.directory);
	setsid(); /* fails when the caller has done it already */
	close_inherited(&options.passed, options.held);
	if (options.held >= 0)
		hold_descriptor(options.held);
	for (int i = 0; i < options.join_count; i++)
		open_group(options.joins[i]);
	if (options.packet != NULL)
		pass_next(&options.passed, open_packet(options.packet), "--packet", options.packet);
	if (options.memory > 0)
		pass_next(&options.passed, share_memory(options.memory), "--memory", "");
	mask = umask(0077);
	signal(SIGHUP, SIG_IGN), signal(SIGPIPE, SIG_IGN), signal(SIGINT, SIG_IGN), signal(SIGTERM, SIG_IGN);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signals = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
	for (int i = 0; i < CLIENTS; i++)
		clients[i].fd = -1;
	claim_directory();
	log_open();
	listen_here();
	start_program(options.program, &options.passed, mask);
	dprintf(1, "ready %d\n", (int)program);
	let_go_of_streams();
	loop();
	write_exit();
	return 0;
}
