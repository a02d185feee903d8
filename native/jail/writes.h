#ifndef PK_JAIL_WRITES_H
#define PK_JAIL_WRITES_H

#define WRITABLE_MAX 80

/* The places given for writing. */
extern const char *writable[WRITABLE_MAX];
extern int writable_count;

void confine_files(int may_read_kernel);

#endif
