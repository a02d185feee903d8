#ifndef PK_JAIL_PLACE_H
#define PK_JAIL_PLACE_H

/* Where a VMM runs and its memory comes from: control groups, CPUs, memory nodes; NULL = as its parent. */
struct place {
	char *joins;
	const char *cpus, *mems;
};

void limit(const char *setting);
void be_ordinary(void);
void take_place(const struct place *place);

#endif
