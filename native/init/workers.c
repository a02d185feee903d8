/*
 * The threads that do the kernel's own deferred work, `kworker/CPU:N`. One of them carries out User Mode Linux's `stop`: it
 * waits there until `go`, and the scheduler takes that for work. So after a pause it would have to wait, with everything
 * else that is given to it, until whoever wants to compute has computed for as long as the pause was. As real-time threads
 * they are not charged for it; that such threads may take a CPU for a second at most has to be lifted for the time.
 */
#include "workers.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/text.h"
#include "bytes.h"

#define RUNTIME_LIMIT "/proc/sys/kernel/sched_rt_runtime_us"
#define KTHREADD 2

static char workers_limit[32]; /* what it was; empty: they are as always */
u64 workers_due; /* 0: they are as always */

/* Whether /proc/PID/stat is of one that serves a CPU, and not at a priority of its own: that one is not given `stop`. */
static int is_worker(const char *stat)
{
	const char *name = strchr(stat, '('), *end = strrchr(stat, ')');
	int cpu, number, parent;
	char next;
	return name && end && sscanf(name, "(kworker/%d:%d%c", &cpu, &number, &next) == 3 && next != 'H' &&
		   sscanf(end, ") %*c %d", &parent) == 1 && parent == KTHREADD;
}

static void workers_schedule(int policy, int priority)
{
	struct sched_param param = {.sched_priority = priority};
	char path[64], stat[512];
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	while (proc && (entry = readdir(proc))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
		snprintf(path, sizeof path, "/proc/%.16s/stat", entry->d_name);
		if (read_text(path, stat, sizeof stat) > 0 && is_worker(stat)) syscall(SYS_sched_setscheduler, atoi(entry->d_name), policy, &param);
	}
	if (proc) closedir(proc);
}

/* 0 or an errno. */
static int workers_first(void)
{
	if (!*workers_limit) {
		if (read_text(RUNTIME_LIMIT, workers_limit, sizeof workers_limit) <= 0) return ENOENT;
		write_text(RUNTIME_LIMIT, "-1");
	}
	workers_schedule(SCHED_FIFO, 1); /* again, for those that came since */
	return 0;
}

static void workers_as_always(void)
{
	if (!*workers_limit) return;
	workers_schedule(SCHED_OTHER, 0);
	write_text(RUNTIME_LIMIT, workers_limit);
	*workers_limit = 0;
}

int prefer_workers(const char *milliseconds)
{
	workers_due = now_ms() + strtoul(milliseconds, NULL, 10);
	return workers_first();
}

void workers_turn(u64 now)
{
	if (!workers_due || now < workers_due) return;
	workers_due = 0;
	workers_as_always();
}
