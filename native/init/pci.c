/* Memory that the host shares as a PCI function (ivshmem), and how it is found. */
#include "pci.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../common/text.h"
#include "files.h"

/*
 * The file of at least `bytes` of memory of the function in `slot`, which is enabled for it, as `path`. ENODEV: it is not there
 * yet. The kernel makes that file last, so that nothing is changed before; who enables a function is counted, so that it is done once.
 */
int pci_memory(u32 slot, u64 bytes, char *path, size_t size)
{
	char device[64], attribute[80], text[16];
	struct stat st;
	snprintf(device, sizeof device, "/sys/bus/pci/devices/0000:00:%02x.0", slot);
	snprintf(attribute, sizeof attribute, "%s/device", device);
	if (read_text(attribute, text, sizeof text) <= 0 || strcmp(text, "0x1110\n")) return ENODEV;
	snprintf(path, size, "%s/resource2", device);
	if (stat(path, &st) || (u64)st.st_size < bytes) return ENODEV;
	snprintf(attribute, sizeof attribute, "%s/enable", device);
	if (read_text(attribute, text, sizeof text) <= 0) return ENODEV;
	return strcmp(text, "0\n") ? 0 : write_file(attribute, "1");
}
