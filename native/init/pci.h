#ifndef PK_INIT_PCI_H
#define PK_INIT_PCI_H

#include <stddef.h>

#include "bytes.h"

int pci_memory(u32 slot, u64 bytes, char *path, size_t size);

#endif
