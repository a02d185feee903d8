/* Messages with their numbers in them: one that is missing or torn ends the program. */
#include "laps.h"

#include "../common/fail.h"

void expect(struct pk_channel *ring, uint32_t number, uint32_t bytes, void *copy)
{
	uint32_t length, head[2];
	const void *message = wait_message(ring, &length);

	if (message == NULL || length != bytes)
		fail("a message is missing");
	pk_ring_copy(copy, message, length);
	release(ring, length);
	memcpy(head, copy, 4);
	memcpy(head + 1, (char *)copy + bytes - 4, 4);
	if (head[0] != number || head[1] != ~number)
		fail("a message is wrong");
}

void put(struct pk_channel *ring, uint32_t number, uint32_t bytes, void *scratch)
{
	uint32_t inverse = ~number;

	memcpy(scratch, &number, 4);
	memcpy((char *)scratch + bytes - 4, &inverse, 4);
	send_message(ring, scratch, bytes, 0);
}

int by_value(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}
