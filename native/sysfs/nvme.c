/* By NVM Express Base Specification 2.0: 5.17 Identify, 5.26 Virtualization Management, 8.26 Virtualization Enhancements. */
#include "nvme.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define IDENTIFY 0x06
#define VIRTUALIZATION_MANAGEMENT 0x1c
#define PRIMARY_CAPABILITIES 0x14
#define SECONDARY_LIST 0x15
#define QUEUES 0
#define INTERRUPTS 1
#define GIVE 8
#define SET_ONLINE 9
#define PAGE 4096
#define ENTRY 32
#define MOST_ENTRIES 127
/* An admin queue and one for requests. */
#define LEAST_QUEUES 2

/* linux/nvme_ioctl.h, which not every C library comes with. */
struct admin_command {
	uint8_t opcode, flags;
	uint16_t reserved;
	uint32_t namespace, dword2, dword3;
	uint64_t metadata, data;
	uint32_t metadata_bytes, data_bytes, dword10, dword11, dword12, dword13, dword14, dword15, timeout_ms, result;
};

#define ADMIN_COMMAND _IOWR('N', 0x41, struct admin_command)

static int admin(int fd, uint8_t opcode, uint32_t dword10, uint32_t dword11, void *data)
{
	struct admin_command command = {
		.opcode = opcode,
		.data = (uintptr_t)data,
		.data_bytes = data == NULL ? 0 : PAGE,
		.dword10 = dword10,
		.dword11 = dword11,
	};
	int status = ioctl(fd, ADMIN_COMMAND, &command);

	if (status > 0)
		errno = EREMOTEIO;
	return status == 0 ? 0 : -1;
}

static unsigned word(const uint8_t *page, int at)
{
	return page[at] | (unsigned)page[at + 1] << 8;
}

/* Of one kind for each of `count`: evenly, no more than one may have, in whole steps. Its fields begin at `at`. */
static unsigned share(const uint8_t *capabilities, int at, int count, unsigned least)
{
	unsigned total = word(capabilities, at) | word(capabilities, at + 2) << 16;
	unsigned most = word(capabilities, at + 12), step = word(capabilities, at + 14), each = total / (unsigned)count;

	if (most != 0 && each > most)
		each = most;
	if (step > 1)
		each -= each % step;
	return each < least ? least : each;
}

static int manage(int fd, unsigned controller, unsigned kind, unsigned action, unsigned number)
{
	return admin(fd, VIRTUALIZATION_MANAGEMENT, controller << 16 | kind << 8 | action, number, NULL);
}

int secondaries_online(const char *name, int count)
{
	static uint8_t capabilities[PAGE], list[PAGE];
	char path[64];
	int fd, online = 0;
	unsigned queues, interrupts;

	if (count < 1 || strspn(name, "nvme0123456789") != strlen(name)) {
		errno = EINVAL;
		return -1;
	}
	snprintf(path, sizeof path, "/dev/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (admin(fd, IDENTIFY, PRIMARY_CAPABILITIES, 0, capabilities) != 0)
		goto end;
	queues = share(capabilities, 32, count, LEAST_QUEUES);
	interrupts = share(capabilities, 64, count, 1);
	/* A page of the list has 127; it goes on from a controller's number. */
	for (unsigned from = 0, found = MOST_ENTRIES; found == MOST_ENTRIES;) {
		if (admin(fd, IDENTIFY, SECONDARY_LIST | from << 16, 0, list) != 0)
			break;
		found = list[0];
		for (unsigned i = 0; i < found; i++) {
			const uint8_t *entry = list + ENTRY + i * ENTRY;
			unsigned controller = word(entry, 0), function = word(entry, 8);

			from = controller + 1;
			if (function == 0 || function > (unsigned)count)
				continue;
			if (entry[4] & 1) {
				online++;
				continue;
			}
			if (manage(fd, controller, INTERRUPTS, GIVE, interrupts) == 0 &&
			    manage(fd, controller, QUEUES, GIVE, queues) == 0 && manage(fd, controller, 0, SET_ONLINE, 0) == 0)
				online++;
		}
	}
end:
	close(fd);
	return online == 0 ? -1 : online;
}
