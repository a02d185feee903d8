#ifndef PK_CELL_USERS_H
#define PK_CELL_USERS_H

/* How pk-cell ends when a jail cannot be as it should. */
#define FAILED 125

/* An id outside that is `first` inside, and how many follow. */
struct range {
	unsigned long inside, outside, count;
};

void set_text(const char *path, const char *text);
void let_keeper_go(void);
int mapping_namespace(struct range uids, struct range gids);
void become_root_inside(char *mappers);

#endif
