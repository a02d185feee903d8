/*
 * pk-jail: the last step before a VMM's own program. Pins it, gives up every right and installs a system call filter.
 * docs/shim.md is its contract. Any step that fails ends it with status 125: nothing runs half confined.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fail.h"
#include "../common/numbers.h"
#include "filter.h"
#include "init.h"
#include "place.h"
#include "rights.h"
#include "writes.h"

const char program_name[] = "pk-jail";

/* What a VMM needs that gives a guest files with their owners: CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER. */
#define FILE_CAPABILITIES (1u << 0 | 1u << 1 | 1u << 3)

/* Timers and queued signals: an ordinary user's kernels share his, some 1,000 for each 256 MiB of the host. */
#define SIGNALS_MOST "1024"

struct options {
	const char *userns, *capabilities, *umask;
	char *groups, *opened, **program;
	struct place place;
	struct may may;
	enum filter_kind filter; /* FILTER_INIT: none was named */
	int no_randomize;
	int may_lock; /* as much memory as its starter may */
};

/* --filter */
static enum filter_kind kind_of(const char *name)
{
	static const char *const kinds[] = {[FILTER_UML] = "uml", [FILTER_QEMU] = "qemu", [FILTER_TOOL] = "tool"};
	enum filter_kind kind = 0;

	while (kind < FILTER_INIT && strcmp(name, kinds[kind]) != 0)
		kind++;
	return kind;
}

static void read_options(int argc, char **argv, struct options *options)
{
	int at;

	*options = (struct options){.capabilities = "none", .umask = "077", .filter = FILTER_INIT};
	for (at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {
		const char *option = argv[at];

		errno = 0;
		if (strcmp(option, "--no-randomize") == 0) {
			options->no_randomize = 1;
			continue;
		}
		if (strcmp(option, "--may-set-id") == 0) {
			options->may.set_id = 1;
			continue;
		}
		if (strcmp(option, "--may-fork") == 0) {
			options->may.fork = 1;
			continue;
		}
		if (strcmp(option, "--may-read-proc") == 0) {
			options->may.read_kernel = 1;
			continue;
		}
		if (strcmp(option, "--may-lock") == 0) {
			options->may_lock = 1;
			continue;
		}
		if (strcmp(option, "--may-use-huge-pages") == 0) {
			options->may.huge_pages = 1;
			continue;
		}
		if (at + 1 >= argc)
			fail("%s wants a value", option);
		at++;
		if (strcmp(option, "--groups") == 0)
			options->groups = argv[at];
		else if (strcmp(option, "--userns") == 0)
			options->userns = argv[at];
		else if (strcmp(option, "--caps") == 0)
			options->capabilities = argv[at];
		else if (strcmp(option, "--umask") == 0)
			options->umask = argv[at];
		else if (strcmp(option, "--cpus") == 0)
			options->place.cpus = argv[at];
		else if (strcmp(option, "--mems") == 0)
			options->place.mems = argv[at];
		else if (strcmp(option, "--join") == 0)
			options->place.joins = argv[at];
		else if (strcmp(option, "--write") == 0) {
			if (writable_count == WRITABLE_MAX)
				fail("--write: too many");
			writable[writable_count++] = argv[at];
		} else if (strcmp(option, "--open") == 0)
			options->opened = argv[at];
		else if (strcmp(option, "--machine-cpus") == 0)
			options->may.cpus = (unsigned)number(option, argv[at], 4096);
		else if (strcmp(option, "--rlimit") == 0)
			limit(argv[at]);
		else if (strcmp(option, "--filter") == 0)
			options->filter = kind_of(argv[at]);
		else
			fail("unknown option %s", option);
	}
	errno = 0;
	if (at + 1 >= argc || options->filter == FILTER_INIT)
		fail("usage: pk-jail --filter uml|qemu|tool [--userns FD] [--groups N,..] [--caps none|files] [--umask OCTAL] [--join FD,..] "
		     "[--cpus LIST] [--mems LIST] [--rlimit NAME=N].. [--write PATH].. [--open FD,PATH] [--no-randomize] [--may-set-id] [--may-use-huge-pages] [--may-fork] [--may-read-proc] [--machine-cpus N] [--may-lock] -- PROGRAM ARG...");
	if (strcmp(options->capabilities, "none") != 0 && strcmp(options->capabilities, "files") != 0)
		fail("--caps: none or files is wanted, not %s", options->capabilities);
	options->program = argv + at + 1;
}

/* What each process may have, whatever its user may. */
static void set_limits(int may_lock)
{
	struct rlimit none = {0, 0}, no_core = {1, 1};

	/* core(5): with 0 a program of the host would still be given what crashes, as root; 1 is for nobody. */
	if ((setrlimit(RLIMIT_CORE, &no_core) != 0 && setrlimit(RLIMIT_CORE, &none) != 0) || setrlimit(RLIMIT_MSGQUEUE, &none) != 0)
		fail("core limit");
	/* Counted for each user: what one kernel locks, others could not. */
	if (!may_lock && setrlimit(RLIMIT_MEMLOCK, &none) != 0)
		fail("limit of locked memory");
	limit("sigpending=" SIGNALS_MOST);
}

/*
 * FD,PATH: for reading, as descriptor FD of the program. Opened by its path in the jail, so that it is of a mount of that, which is
 * read-only: of one that was opened outside the VMM could change the mode, where it is the owner, and what the file holds.
 */
static void open_for_program(char *text)
{
	char *comma = strchr(text, ',');
	int wanted, fd;

	if (comma == NULL)
		refuse("--open: FD,PATH are wanted");
	*comma = 0;
	wanted = (int)number("--open", text, 63);
	fd = open(comma + 1, O_RDONLY);
	if (fd < 0 || (fd != wanted && (fcntl(wanted, F_GETFD) >= 0 || dup2(fd, wanted) != wanted || close(fd) != 0)))
		fail("--open %s,%s", text, comma + 1);
}

int main(int argc, char **argv)
{
	struct options options;
	uint32_t kept;
	mode_t mask;

	fail_status = FAILED;
	read_options(argc, argv, &options);
	kept = strcmp(options.capabilities, "files") == 0 ? FILE_CAPABILITIES : 0;
	mask = (mode_t)strtoul(options.umask, NULL, 8) & 0777;
	if (options.no_randomize && personality(ADDR_NO_RANDOMIZE) == -1)
		fail("personality");
	set_limits(options.may_lock);
	be_ordinary();
	if (options.userns != NULL) {
		set_groups(options.groups);
		enter_guest_namespace(options.userns);
	}
	drop_bounding_set(kept);
	set_capabilities(kept);
	/* The first process stays where its parent is. */
	if (getpid() == 1) {
		become_init(options.filter, options.may, mask, &options.place);
	} else {
		umask(mask);
		take_place(&options.place);
		install_filter(options.filter == FILTER_TOOL ? FILTER_TOOL : FILTER_INIT, options.may);
	}
	if (options.opened != NULL)
		open_for_program(options.opened);
	execv(options.program[0], options.program);
	fail("%s", options.program[0]);
}
