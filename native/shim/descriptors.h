#ifndef PK_SHIM_DESCRIPTORS_H
#define PK_SHIM_DESCRIPTORS_H

#define PASSED_MAX 32

/* The numbers of descriptors that the program may get besides its own: from here, and below that. */
#define FIRST_PASSED 5
#define ABOVE_PASSED 64

/* Descriptors that the program gets under their own numbers. */
struct passed {
	int fds[PASSED_MAX], count;
};

void close_inherited(const struct passed *passed, int held);
int pair(int *theirs);
int parse_list(const char *option, char *list, int *numbers, int most);
void pass_next(struct passed *passed, int fd, const char *option, const char *value);

#endif
