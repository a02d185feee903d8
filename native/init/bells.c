/* Bells of channels: what processes sleep on and are woken by, and what they ring for the host. */
#include "bells.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bytes.h"
#include "files.h"
#include "frames.h"
#include "protocol.h"

static u8 *bells; /* a page that processes sleep on, one word per channel; NULL until there is a channel */
int bell_fifo = -1;
const char bell_page[] = "/run/pk/bells", bell_path[] = "/run/pk/bell", channel_dir[] = "/run/pk/channels";

/* What processes need to wake and to be woken: a page with a futex per channel, and a FIFO for bells to the host. */
int channels_begin(void)
{
	int error = make_directory(channel_dir, 0755), fd;
	if (bells || error) return error;
	fd = open(bell_page, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) return errno;
	if (ftruncate(fd, BELL_BYTES) || (bells = mmap(NULL, BELL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) {
		bells = NULL, error = errno, close(fd);
		return error;
	}
	close(fd);
	if (mkfifo(bell_path, 0600) && errno != EEXIST) return errno;
	bell_fifo = open(bell_path, O_RDWR | O_NONBLOCK | O_CLOEXEC); /* for writing too, or its end would come with each writer's */
	return bell_fifo < 0 ? errno : 0;
}

/* The host says that somebody may sleep on the channel in `slot`. */
void bell_in(u32 slot)
{
	if (!bells || slot >= CHANNELS) return;
	u32 *word = (u32 *)(bells + slot * BELL_SPACING);
	__atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, 1 /* FUTEX_WAKE */, INT32_MAX, NULL, NULL, 0);
}

/* Bells of processes to the host: lines with the number of a slot, each slot told once per turn. */
void bells_out(void)
{
	char text[1024];
	ssize_t n = read(bell_fifo, text, sizeof text);
	u32 slot = 0, digits = 0;
	u64 rung = 0;
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] >= '0' && text[i] <= '9' && digits < 4) slot = slot * 10 + (u32)(text[i] - '0'), digits++;
		else {
			if (text[i] == '\n' && digits && slot < CHANNELS) rung |= (u64)1 << slot;
			slot = digits = 0;
		}
	}
	for (slot = 0; slot < CHANNELS; slot++)
		if (rung >> slot & 1) frame(G_BELL, 0, slot, NULL, 0);
}
