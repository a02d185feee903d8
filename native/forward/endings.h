/*
 * Connections to the target that are over on this side, whose last bytes the target has not acknowledged. The kernel would keep each for
 * minutes once it is closed, and has so many for all programs and namespaces of the machine together (tcp_max_orphans): beyond that it
 * resets those of others. So they stay open here, so many at once.
 */
#ifndef PK_FORWARD_ENDINGS_H
#define PK_FORWARD_ENDINGS_H

#include <stdint.h>

#define ENDINGS 1024

void forget_endings(void);
/* Takes a descriptor whose sending side is shut down. One more than there are places resets the oldest. */
void end_gently(int fd, int64_t now);
/* Closes those whose bytes have been taken, and resets those of which nothing was taken for long. */
void look_at_endings(int64_t now);
void reset_endings(void);
/* What has not been taken. */
int64_t bytes_of_endings(void);

#endif
