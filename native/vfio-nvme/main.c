/*
 * pk-vfio-nvme GROUP ADDRESS: drives an NVMe function through VFIO, as a VMM lets its guest do: says what its registers hold, starts
 * it with an admin queue of its own and asks who it is. Leaves it running, as an owner does that is killed. For tests.
 *
 *   found cc=HEX aqa=HEX asq=HEX acq=HEX
 *   identify controller=N serial=TEXT model=TEXT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/fail.h"
#include "../common/numbers.h"

#define PAGE 4096
#define PAGES 3 /* requests, answers, data */
#define IOVA 0x100000
#define ENTRIES 16
#define DEADLINE_MS 60000
#define COMMAND 4
#define MEMORY_AND_MASTER 6
/* Registers (3.1) and bits of NVM Express 1.4. */
#define CC 0x14
#define CSTS 0x1c
#define AQA 0x24
#define ASQ 0x28
#define ACQ 0x30
#define DOORBELL 0x1000
#define ENABLED (1u | 6u << 16 | 4u << 20)
#define READY 1u
#define IDENTIFY 0x06
#define CONTROLLER 0x01

/* linux/vfio.h, which not every C library comes with. */
struct region {
	uint32_t argsz, flags, index, cap_offset;
	uint64_t size, offset;
};

struct dma_map {
	uint32_t argsz, flags;
	uint64_t vaddr, iova, size;
};

#define VFIO(number) _IO(';', 100 + (number))
#define SET_IOMMU VFIO(2)
#define GROUP_SET_CONTAINER VFIO(4)
#define GROUP_GET_DEVICE_FD VFIO(6)
#define GET_REGION_INFO VFIO(8)
#define MAP_DMA VFIO(13)
#define TYPE1 1
#define BAR0 0
#define CONFIGURATION 7
#define READ_AND_WRITE 3

const char program_name[] = "pk-vfio-nvme";

static volatile uint8_t *registers;

static uint32_t get32(int at)
{
	return *(volatile uint32_t *)(registers + at);
}

static void put32(int at, uint32_t value)
{
	*(volatile uint32_t *)(registers + at) = value;
}

static uint64_t get64(int at)
{
	return get32(at) | (uint64_t)get32(at + 4) << 32;
}

static void put64(int at, uint64_t value)
{
	put32(at, (uint32_t)value);
	put32(at + 4, (uint32_t)(value >> 32));
}

static int open_device(int container, const char *group_name, const char *address)
{
	char path[64];
	int group, device;

	snprintf(path, sizeof path, "/dev/vfio/%lu", number("GROUP", group_name, 1u << 30));
	group = open(path, O_RDWR | O_CLOEXEC);
	if (group < 0)
		fail("%s", path);
	if (ioctl(group, GROUP_SET_CONTAINER, &container) != 0)
		fail("joining the group to a container");
	if (ioctl(container, SET_IOMMU, TYPE1) != 0)
		fail("the IOMMU");
	device = ioctl(group, GROUP_GET_DEVICE_FD, address);
	if (device < 0)
		fail("%s of group %s", address, group_name);
	return device;
}

static void map_registers(int device)
{
	struct region bar = {.argsz = sizeof bar, .index = BAR0};
	struct region space = {.argsz = sizeof space, .index = CONFIGURATION};
	uint16_t command;

	if (ioctl(device, GET_REGION_INFO, &bar) != 0 || ioctl(device, GET_REGION_INFO, &space) != 0)
		fail("its regions");
	if (pread(device, &command, sizeof command, (off_t)space.offset + COMMAND) != sizeof command)
		fail("its command register");
	command |= MEMORY_AND_MASTER;
	if (pwrite(device, &command, sizeof command, (off_t)space.offset + COMMAND) != sizeof command)
		fail("its command register");
	registers = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)bar.offset);
	if (registers == MAP_FAILED)
		fail("its registers");
}

static uint8_t *map_memory(int container)
{
	uint8_t *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct dma_map map = {
		.argsz = sizeof map,
		.flags = READ_AND_WRITE,
		.vaddr = (uintptr_t)memory,
		.iova = IOVA,
		.size = PAGES * PAGE,
	};

	if (memory == MAP_FAILED || ioctl(container, MAP_DMA, &map) != 0)
		fail("memory for it");
	return memory;
}

static void wait_ready(uint32_t wanted)
{
	uint64_t end = now_ms() + DEADLINE_MS;

	while ((get32(CSTS) & READY) != wanted) {
		if (now_ms() > end)
			refuse("it does not become %s: CSTS is 0x%x", wanted ? "ready" : "idle", get32(CSTS));
		usleep(1000);
	}
}

static void print_text(const char *name, const uint8_t *text, int length)
{
	while (length > 0 && text[length - 1] == ' ')
		length--;
	printf(" %s=%.*s", name, length, text);
}

int main(int argc, char **argv)
{
	int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	uint64_t end;
	uint8_t *memory;
	volatile uint32_t *answer;
	uint32_t *request;

	if (argc != 3)
		refuse("usage: pk-vfio-nvme GROUP ADDRESS");
	if (container < 0)
		fail("/dev/vfio/vfio");
	map_registers(open_device(container, argv[1], argv[2]));
	printf("found cc=%x aqa=%x asq=%llx acq=%llx\n", get32(CC), get32(AQA), (unsigned long long)get64(ASQ),
	       (unsigned long long)get64(ACQ));
	memory = map_memory(container);
	put32(CC, 0);
	wait_ready(0);
	put32(AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	put64(ASQ, IOVA);
	put64(ACQ, IOVA + PAGE);
	put32(CC, ENABLED);
	wait_ready(READY);
	request = (uint32_t *)memory;
	request[0] = IDENTIFY | 1u << 16;
	request[6] = IOVA + 2 * PAGE;
	request[10] = CONTROLLER;
	answer = (volatile uint32_t *)(memory + PAGE);
	put32(DOORBELL, 1);
	for (end = now_ms() + DEADLINE_MS; (answer[3] >> 16 & 1) == 0; usleep(1000))
		if (now_ms() > end)
			refuse("it does not answer");
	if (answer[3] >> 17 != 0)
		refuse("it refuses to say who it is: status 0x%x", answer[3] >> 17);
	printf("identify controller=%u", memory[2 * PAGE + 78] | memory[2 * PAGE + 79] << 8);
	print_text("serial", memory + 2 * PAGE + 4, 20);
	print_text("model", memory + 2 * PAGE + 24, 40);
	printf("\n");
	return 0;
}
