/* Directories of the host that a program of ours serves with true owners: one process each. */
#include "shares.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/fields.h"
#include "files.h"
#include "mounts.h"
#include "protocol.h"
#include "streams.h"

enum { SERVERS = 64 };

static pid_t servers[SERVERS];
int server_count; /* they stay until nothing else is left */

/*
 * hostfs's directory as this kernel sees it, as the VMM does, and the target, separated by 0x1f: a program of ours serves
 * it with true owners. What is no directory is shown as it is.
 */
int add_share(char *spec)
{
	char *field[3];
	struct stat st;
	int answer[2], error;
	if (split_fields(spec, FIELD, field, 3) < 3) return EINVAL;
	char *own = field[1], *target = field[2];
	if (stat(layer_path(spec), &st)) return errno;
	if (!S_ISDIR(st.st_mode)) {
		char bind[8300];
		if (snprintf(bind, sizeof bind, "\x1f%s\x1f%s\x1f" "bind\x1f", spec, target) >= (int)sizeof bind) return ENAMETOOLONG;
		return do_mount(bind);
	}
	if (server_count == SERVERS) return EMFILE;
	if ((error = make_directory(target, 0755))) return error;
	if (pipe2(answer, O_CLOEXEC)) return errno;
	char *argv[] = {"pk-share", own, target, NULL}, *env[] = {NULL};
	flow_end();
	pid_t pid = fork();
	if (!pid) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		if (dup2(answer[1], 1) == 1 && !chdir("/")) execve("/run/pk/bin/pk-share", argv, env);
		_exit(127);
	}
	error = pid < 0 ? errno : 0;
	close(answer[1]);
	if (!error && read(answer[0], &error, sizeof error) != sizeof error) error = ENOEXEC;
	close(answer[0]);
	if (pid > 0 && !error) servers[server_count++] = pid;
	return error;
}

int is_server(pid_t pid)
{
	int i = 0;
	while (i < server_count && servers[i] != pid) i++;
	return i < server_count;
}

void share_ended(pid_t pid)
{
	for (int i = 0; i < server_count; i++)
		if (servers[i] == pid) servers[i] = servers[--server_count];
}
