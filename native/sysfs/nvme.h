/* Secondary controllers of NVMe: what virtual functions are before they have queues, interrupts and leave to work. */
#ifndef PK_NVME_H
#define PK_NVME_H

/*
 * Shares what the primary controller NAME (nvme0) can give evenly among its first `count` secondary controllers and sets them
 * online. Returns how many are, or -1 with errno.
 */
int secondaries_online(const char *name, int count);

#endif
