#ifndef PK_SHIM_GSO_H
#define PK_SHIM_GSO_H

void gso_bound(int links, unsigned index);

#endif
