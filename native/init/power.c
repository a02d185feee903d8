/* The end of the machine: processes first, then what they wrote, then the kernel. */
#include "power.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "../common/clock.h"
#include "bytes.h"
#include "frames.h"
#include "line.h"
#include "processes.h"
#include "protocol.h"
#include "say.h"
#include "sessions.h"
#include "shares.h"

enum { ASKED_GRACE_MS = 2000 };

u64 poweroff_due;
u32 poweroff_stage, poweroff_how;

void poweroff(u32 grace, u32 how)
{
	if (poweroff_stage) return;
	poweroff_stage = 1, poweroff_how = how, poweroff_due = now_ms() + grace;
	kill(-1, SIGTERM), kill(-1, SIGCONT);
	reap(); /* finds out whether there is anybody to wait for */
}

static volatile sig_atomic_t asked;

static void on_ask(int number)
{
	asked = number;
}

/* As init of busybox and of System V know them, whose poweroff, halt and reboot send them; only the guest's root can. */
void poweroff_signals(sigset_t *set)
{
	const int numbers[] = {SIGUSR1, SIGUSR2, SIGTERM};
	for (int i = 0; i < 3; i++) sigaddset(set, numbers[i]), signal(numbers[i], on_ask);
}

void poweroff_asked(void)
{
	int number = asked;
	if (!number) return;
	asked = 0;
	poweroff(ASKED_GRACE_MS, number == SIGTERM);
}

static void unmount_all(void)
{
	FILE *f = fopen("/proc/self/mounts", "re"); /* the only stdio stream, at the very end */
	static char lines[128][512];
	int n = 0;
	while (f && n < 128 && fgets(lines[n], sizeof *lines, f)) n++;
	while (n-- > 0) {
		char *target = strchr(lines[n], ' ');
		if (!target) continue;
		target[1 + strcspn(target + 1, " ")] = 0;
		if (target[2] && strncmp(target + 1, "/dev", 4) && strncmp(target + 1, "/proc", 5)) umount2(target + 1, 0);
	}
	mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
}

static int output_waits(void)
{
	for (struct session *s = sessions; s < sessions_end; s++)
		if (s->id && s->pid && !s->forgotten && !s->reported) return 1;
	return 0;
}

void poweroff_turn(u64 now)
{
	if (!poweroff_stage) return;
	if (poweroff_stage < 3 && !childless) {
		if (now < poweroff_due) return;
		if (poweroff_stage == 1) {
			poweroff_stage = 2, poweroff_due = now + 2000;
			if (server_count) others(SIGKILL); /* what they had open is still to be written */
			else kill(-1, SIGKILL);
			return;
		}
	}
	if (poweroff_stage < 3) poweroff_stage = 3, poweroff_due = now + 300; /* for last output to reach the host */
	if (output_waits() && now < poweroff_due) return;
	sync();
	unmount_all();
	sync();
	frame(G_GOODBYE, 0, 0, NULL, 0);
	for (u64 end = now_ms() + 500; line_waits() && now_ms() < end;) {
		line_flush();
		int second = line_sends_second();
		struct pollfd p[] = {{.fd = line, .events = (short)(POLLIN | (line_sends() && !second ? POLLOUT : 0))},
				     {.fd = line_second(), .events = (short)(POLLIN | (second ? POLLOUT : 0))}};
		if (line_waits()) poll(p, 2, 20);
		if (p[0].revents & POLLIN) line_input(now_ms()); /* word of what came, for one */
		if (p[1].revents & (POLLIN | POLLHUP | POLLERR)) line_input_second(now_ms());
	}
	for (int left = 1, i = 0; line_tty && left && i < 50; i++) /* what the tty driver still holds */
		if (ioctl(line, TIOCOUTQ, &left) || left) usleep(2000);
	reboot(poweroff_how == 1 ? RB_AUTOBOOT : RB_POWER_OFF);
	die("cannot power off", NULL);
}
