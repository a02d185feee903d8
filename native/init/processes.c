/* The ends of processes, which a PID 1 gets all of, and why the kernel killed one. */
#include "processes.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"
#include "power.h"
#include "kernel-log.h"
#include "protocol.h"
#include "sessions.h"
#include "shares.h"

int childless;
/* Kills all processes but ours, or counts them. Those of the kernel itself have no program and do not end. */
int others(int number)
{
	char path[64], program[2];
	struct dirent *entry;
	int count = 0;
	DIR *all = opendir("/proc");
	while (all && (entry = readdir(all))) {
		pid_t pid = (pid_t)atoi(entry->d_name);
		if (pid <= 1 || is_server(pid)) continue;
		snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
		if (readlink(path, program, sizeof program) < 0) continue; /* a kernel thread, or one that has ended */
		count++;
		if (number) kill(pid, number);
	}
	if (all) closedir(all);
	return count;
}

void reap(void)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		share_ended(pid);
		for (struct session *s = sessions; s < sessions_end; s++)
			if (s->id && s->pid == pid && !s->ended) {
				if (s->forgotten) kill(-pid, SIGKILL); /* the leader went: its grace is over */
				int by_signal = WIFSIGNALED(status), value = by_signal ? WTERMSIG(status) : WEXITSTATUS(status);
				if (value == (by_signal ? SIGKILL : 128 + SIGKILL)) kernel_log_read(); /* of a shell: what it ran was killed */
				else s->kills = kills;
				if (kills != s->kills) strcpy(s->killed, last_killed);
				session_end(s, by_signal ? EXIT_SIGNAL : EXIT_CODE, (u32)value, s->killed);
				break;
			}
	}
	childless = pid < 0 && errno == ECHILD;
	if (!pid && server_count && poweroff_stage) childless = !others(0);
}
