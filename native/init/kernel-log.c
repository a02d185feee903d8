/*
 * The kernel's own words, as far as they tell of trouble. Only the kernel writes records of facility 0, so nobody can make
 * them up. INVARIANT: of each kind at most one frame a second goes to the host, with the count and the last words.
 */
#include "kernel-log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/clock.h"
#include "frames.h"
#include "protocol.h"
#include "requests.h"

enum { REST_MS = 20, TELL_MS = 1000 };

int kernel_log = -1;
u64 log_rest, trouble_due;
u32 kills;
char last_killed[64];

/* What a record has in it that tells of each kind; the words of Linux since 4.19, and before. */
static const struct {
	u8 kind;
	const char *words, *more;
} signs[] = {
	{T_OOM, ": Killed process ", ") total-vm"},
	{T_SOFT_LOCKUP, "BUG: soft lockup - CPU#", ""},
	{T_RCU_STALL, "rcu: INFO: rcu", " stall"},
	{T_HUNG_TASK, "INFO: task ", " blocked for more than "},
	{T_BUG, "kernel BUG at ", ""},
	{T_BUG, "BUG: unable to handle ", ""},
	{T_BUG, "BUG: kernel NULL pointer dereference", ""},
	{T_BUG, "general protection fault", ""},
	{T_BUG, "Internal error: Oops", ""},
};

static struct {
	u32 count, told;
	u64 told_at;
	char text[200];
} troubles[T_KINDS];

void kernel_log_open(void)
{
	kernel_log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kernel_log >= 0) lseek(kernel_log, 0, SEEK_END);
}

static void killed(const char *text)
{
	char *name, *end;
	long pid = strtol(strstr(text, ": Killed process ") + 17, &name, 10);
	if (strncmp(name, " (", 2) || !(end = strstr(name, ") total-vm"))) return;
	snprintf(last_killed, sizeof last_killed, "%.*s, process %d", (int)(end - name - 2), name + 2, (int)pid);
	kills++;
}

static void record_seen(const char *text)
{
	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
		const char *at = strstr(text, signs[i].words);
		if (!at || !strstr(at, signs[i].more)) continue;
		u8 kind = signs[i].kind;
		if (kind == T_OOM) killed(text);
		snprintf(troubles[kind].text, sizeof troubles[kind].text, "%.*s", (int)strcspn(text, "\n"), text);
		troubles[kind].count++;
		u64 due = troubles[kind].told ? troubles[kind].told_at + TELL_MS : 1;
		if (!trouble_due || due < trouble_due) trouble_due = due;
		return;
	}
}

/* One read gives one record. */
void kernel_log_read(void)
{
	char record[1024];
	ssize_t n;
	while (kernel_log >= 0 && ((n = read(kernel_log, record, sizeof record - 1)) > 0 || (n < 0 && errno == EPIPE))) {
		record[n > 0 ? n : 0] = 0;
		char *text = strchr(record, ';');
		if (n > 0 && strtoul(record, NULL, 10) < 8 && text) record_seen(text + 1);
	}
	log_rest = now_ms() + REST_MS;
}

/* What came while no host was there that takes it is not told later. */
void kernel_log_turn(u64 now)
{
	if (!trouble_due || now < trouble_due || out_used() >= OUT_SNAP) return;
	trouble_due = 0;
	for (u32 kind = 0; kind < T_KINDS; kind++) {
		if (troubles[kind].count == troubles[kind].told) continue;
		u64 due = troubles[kind].told ? troubles[kind].told_at + TELL_MS : 0;
		if (now < due) {
			if (!trouble_due || due < trouble_due) trouble_due = due;
			continue;
		}
		troubles[kind].told = troubles[kind].count, troubles[kind].told_at = now;
		if (greeted && hears_trouble) frame_text(G_TROUBLE, kind, troubles[kind].count, -1, troubles[kind].text);
	}
}
