/* Channels: the descriptions by which processes find their memory. */
#include "channels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/fields.h"
#include "../common/text.h"
#include "bells.h"
#include "bytes.h"
#include "files.h"
#include "pci.h"
#include "protocol.h"

/* Where User Mode Linux has put the memory of its `iomem=` arguments: a page behind the end of its RAM. */
static u64 iomem_base(void)
{
	static char text[4096];
	read_text("/proc/zoneinfo", text, sizeof text);
	char *spanned = strstr(text, "spanned");
	return spanned ? strtoull(spanned + 7, NULL, 10) * 4096 + 4096 : 0;
}

/* name, slot, side, memory (`iomem` or `pci`), offset, bytes, separated by 0x1f. ENODEV: its PCI function is not there yet. */
int add_channel(char *spec)
{
	char *field[7], path[128], temporary[128], memory[96], text[512];
	split_fields(spec, FIELD, field, 7); /* what is behind the sixth is of a newer host */
	u32 slot = (u32)strtoul(field[1], NULL, 10);
	u64 offset = strtoull(field[4], NULL, 10), bytes = strtoull(field[5], NULL, 10);
	int error = channels_begin();
	if (error) return error;
	if (!*field[0] || *field[0] == '.' || strlen(field[0]) > 63 || strchr(field[0], '/') || slot >= CHANNELS || !bytes) return EINVAL;
	if (!strcmp(field[3], "iomem")) {
		u64 base = iomem_base();
		if (!base) return ENODEV;
		offset += base;
		snprintf(memory, sizeof memory, "/dev/mem");
	} else {
		error = pci_memory(CHANNEL_PCI_SLOT + slot, bytes, memory, sizeof memory);
		if (error) return error;
	}
	snprintf(path, sizeof path, "%s/%s", channel_dir, field[0]);
	snprintf(temporary, sizeof temporary, "%s/.new", channel_dir);
	snprintf(text, sizeof text, "memory=%s\noffset=%llu\nbytes=%llu\nsides=%.8s\nbell=%s\nnumber=%u\npeer=bell\nsleep=%s\nsleep-offset=%u\n",
			 memory, (unsigned long long)offset, (unsigned long long)bytes, field[2], bell_path, slot, bell_page, slot * BELL_SPACING);
	error = write_file(temporary, text);
	return error ? error : rename(temporary, path) ? errno : 0;
}

int remove_channel(const char *name)
{
	char path[128];
	if (!*name || *name == '.' || strchr(name, '/')) return EINVAL;
	snprintf(path, sizeof path, "%s/%s", channel_dir, name);
	return unlink(path) && errno != ENOENT ? errno : 0;
}
