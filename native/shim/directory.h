#ifndef PK_SHIM_DIRECTORY_H
#define PK_SHIM_DIRECTORY_H

void write_exit(void);

/* Whether the directory was removed: nobody can ever reach us, or learn of the program's end. Moved or hidden by a mount it is not. */
int is_forgotten(void);
void claim_directory(void);

#endif
