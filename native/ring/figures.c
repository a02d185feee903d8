/* Figures of a channel between any two kernels, by name. */
#include "figures.h"

#include "../common/fail.h"
#include "laps.h"

int echo(const char *from, const char *to, uint32_t count)
{
	struct pk_channel in = attach(from, PK_CHANNEL_RECV), out = attach(to, PK_CHANNEL_SEND);
	const void *message;
	uint32_t length;

	for (uint32_t i = 0; (count == 0 || i < count) && (message = wait_message(&in, &length)) != NULL; i++) {
		send_message(&out, message, length, in.ring.tag);
		release(&in, length);
	}
	pk_channel_leave(&out, PK_RING_DETACHED);
	pk_channel_leave(&in, PK_RING_DETACHED);
	return 0;
}

int ping(const char *to, const char *from, uint32_t count, uint32_t wait_us)
{
	struct pk_channel out = attach(to, PK_CHANNEL_SEND), in = attach(from, PK_CHANNEL_RECV);
	double *each = wait_us ? calloc(count, sizeof *each) : NULL;
	_Alignas(64) char scratch[64] = { 0 };
	struct laps fastest = { 0 };

	for (uint32_t i = 0; i < count + 1000; i++) {
		double began = 0;

		if (wait_us > 0)
			usleep(wait_us);
		if (i >= 1000 && wait_us == 0)
			lap(&fastest, i - 1000);
		if (wait_us > 0) /* in some guests asking for the time costs more than the round trip */
			began = now();
		put(&out, i, 64, scratch);
		expect(&in, i, 64, scratch);
		if (wait_us > 0) {
			if (i == count)
				break;
			each[i] = now() - began;
		}
	}
	pk_channel_leave(&out, PK_RING_DETACHED);
	pk_channel_leave(&in, PK_RING_DETACHED);
	if (wait_us > 0)
		qsort(each, count, sizeof *each, by_value);
	printf("%.1f\n", wait_us > 0 ? each[count / 2] : fastest.nanoseconds);
	return 0;
}

int fill(const char *name, uint32_t count, uint32_t bytes)
{
	struct pk_channel ch = attach(name, PK_CHANNEL_SEND);
	static char scratch[4096];

	if (bytes < 8 || bytes > sizeof scratch)
		fail("from 8 to 4096 bytes");
	for (uint32_t i = 0; i <= count; i++)
		put(&ch, i, bytes, scratch);
	pk_channel_leave(&ch, PK_RING_CLOSED);
	return 0;
}

int drain(const char *name, uint32_t count, uint32_t bytes)
{
	struct pk_channel ch = attach(name, PK_CHANNEL_RECV);
	static char scratch[4096];
	struct laps fastest = { 0 };

	if (bytes < 8 || bytes > sizeof scratch)
		fail("from 8 to 4096 bytes");
	expect(&ch, 0, bytes, scratch);
	for (uint32_t i = 1; i <= count; i++) {
		lap(&fastest, i - 1);
		expect(&ch, i, bytes, scratch);
	}
	pk_channel_leave(&ch, PK_RING_DETACHED);
	printf("%.1f\n", fastest.nanoseconds);
	return 0;
}
