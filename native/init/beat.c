/*
 * Beats apart from the control line, so that a line that is busy makes nobody think that this kernel hangs: a word in memory that
 * the host shares, or a watchdog of the machine that is fed.
 */
#include "beat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* From linux/watchdog.h. */
#define SET_OPTIONS 0x80045704
#define SET_TIMEOUT 0xc0045706
enum { DISABLE = 1, ENABLE = 2 };

enum { BEAT_MS = 1000 };

u64 beat_due = UINT64_MAX;
static u32 *beats;
static int watchdog = -1, patience;

void beat_in(u32 *word) { beats = word, beat_due = 0; }

/* It is this agent's for good. Again and again is as good as once. */
int feed_watchdog(const char *seconds)
{
	patience = (int)strtol(seconds, NULL, 10);
	if (watchdog < 0) watchdog = open("/dev/watchdog0", O_WRONLY | O_CLOEXEC);
	if (watchdog < 0) return errno;
	if (patience > 0 && ioctl(watchdog, SET_TIMEOUT, &patience)) return errno;
	beat_due = 0;
	return 0;
}

void beat_turn(u64 now)
{
	if (now < beat_due) return;
	beat_due = now + BEAT_MS;
	if (beats) __atomic_add_fetch(beats, 1, __ATOMIC_RELEASE);
	/*
	 * One that has run out stands still until it is started anew, which is no more work than feeding it, and has forgotten its time: a
	 * reset i6300esb has 35 minutes. In one call: who is kept from the CPU between two leaves one that never runs out.
	 */
	int anew = DISABLE | ENABLE, seconds = patience;
	if (watchdog < 0) return;
	if (patience > 0) ioctl(watchdog, SET_TIMEOUT, &seconds);
	ioctl(watchdog, SET_OPTIONS, &anew);
}
