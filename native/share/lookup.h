#ifndef PK_SHARE_LOOKUP_H
#define PK_SHARE_LOOKUP_H

#include <sys/stat.h>

#include "call.h"
#include "protocol.h"

void fill(struct attributes *to, const struct stat *st);
int enter(struct node *parent, const char *text, const struct stat *st, struct entry_answer *to);
int find(const struct call *call, const char *name, struct entry_answer *to);
int answer_entry(const struct call *call, const char *name);

#endif
