/* Finds files by their names. */
#include "lookup.h"

#include <errno.h>

#include "anchors.h"
#include "call.h"
#include "files.h"
#include "nodes.h"
#include "protocol.h"

void fill(struct attributes *to, const struct stat *st)
{
	*to = (struct attributes){
		.ino = st->st_ino, .size = (uint64_t)st->st_size, .blocks = (uint64_t)st->st_blocks,
		.atime = (uint64_t)st->st_atim.tv_sec, .mtime = (uint64_t)st->st_mtim.tv_sec, .ctime = (uint64_t)st->st_ctim.tv_sec,
		.atime_ns = (uint32_t)st->st_atim.tv_nsec, .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
		.ctime_ns = (uint32_t)st->st_ctim.tv_nsec, .mode = st->st_mode, .links = (uint32_t)st->st_nlink,
		.uid = st->st_uid, .gid = st->st_gid, .device = (uint32_t)st->st_rdev, .block_size = BLOCK,
	};
}

/* Another name of a file that is known: the same file on the same disk, which its number alone does not say. */
static struct node *linked(const struct stat *st)
{
	struct node *node = inodes[st->st_ino % BUCKETS];
	struct where at;
	struct stat other;

	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return NULL;
	for (; node != NULL; node = node->same_ino)
		if (is_it(node, st) && where_is(node, &at) == 0 && look(&at, &other) == 0 && is_it(node, &other) &&
		    other.st_nlink == st->st_nlink && other.st_size == st->st_size && same_time(other.st_ctim, st->st_ctim))
			return node;
	return NULL;
}

/* The node behind a name, known from now on, and what the kernel is told of it. 0 or an errno. */
int enter(struct node *parent, const char *text, const struct stat *st, struct entry_answer *to)
{
	struct name *name = find_name(parent, text);
	struct node *node = name != NULL && is_it(name->node, st) ? name->node : linked(st);

	if (node == NULL)
		node = new_node(st->st_ino, st->st_mode);
	if (node == NULL)
		return ENOMEM;
	if (give_name(node, parent, text) != 0) {
		drop_node(node);
		return ENOMEM;
	}
	remember(node, st);
	node->lookups++;
	*to = (struct entry_answer){.node = node->id, .entry_valid_ns = VALID_NS, .attr_valid_ns = VALID_NS};
	fill(&to->attr, st);
	return 0;
}

/* Looks a name up and answers with it; `call->node` is the directory. */
int find(const struct call *call, const char *name, struct entry_answer *to)
{
	struct where at;
	struct stat st;
	int error = locate(call->node, name, &at);

	if (error == 0)
		error = look(&at, &st);
	if (error == ENOENT || error == ENOTDIR)
		forget_name(call->node, name);
	return error != 0 ? error : enter(call->node, name, &st, to);
}

int answer_entry(const struct call *call, const char *name)
{
	struct entry_answer entry;
	int error = find(call, name, &entry);

	if (error == 0 && !answer(call, 0, &entry, sizeof entry))
		forget(entry.node, 1);
	return error;
}
