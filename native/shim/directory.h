#ifndef PK_SHIM_DIRECTORY_H
#define PK_SHIM_DIRECTORY_H

void write_exit(void);
void claim_directory(void);

#endif
