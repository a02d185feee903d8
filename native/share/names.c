/* Gives, moves and removes names of files, and reads symbolic links. */
#include "names.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"
#include "files.h"
#include "lookup.h"
#include "nodes.h"
#include "protocol.h"

int read_link(const struct call *call)
{
	char path[PATH_MAX], target[PATH_MAX];
	int error = path_of(call->node, NULL, path);
	ssize_t n;

	if (error != 0)
		return error;
	n = readlinkat(mounts[NAMES], path, target, sizeof target - 1);
	if (n < 0)
		return errno;
	answer(call, 0, target, (size_t)n);
	return 0;
}

int remove_name(const struct call *call, const char *name, int flags)
{
	char path[PATH_MAX];
	int error = path_of(call->node, name, path);

	if (error != 0)
		return error;
	if (unlinkat(mounts[NAMES], path, flags) != 0)
		return errno;
	forget_name(call->node, name);
	answer(call, 0, NULL, 0);
	return 0;
}

int rename_file(const struct call *call, uint64_t directory, unsigned flags, const char *from, const char *to)
{
	struct node *parent = node_of(directory), *moved, *other;
	char old[PATH_MAX], new[PATH_MAX];
	struct name *name;
	int error;

	if (from == NULL || to == NULL)
		return errno;
	if (parent == NULL)
		return ESTALE;
	error = path_of(call->node, from, old);
	if (error == 0)
		error = path_of(parent, to, new);
	if (error != 0)
		return error;
	if (syscall(SYS_renameat2, mounts[NAMES], old, mounts[NAMES], new, flags) != 0)
		return errno;
	name = find_name(call->node, from);
	moved = name == NULL ? NULL : name->node;
	name = find_name(parent, to);
	other = name == NULL ? NULL : name->node;
	if (moved != other) {
		/* Both are held until both have their names. */
		if (moved != NULL)
			moved->children++;
		if (other != NULL)
			other->children++;
		forget_name(call->node, from);
		forget_name(parent, to);
		if (moved != NULL)
			give_name(moved, parent, to);
		if (other != NULL && flags & EXCHANGE_NAMES)
			give_name(other, call->node, from);
		if (moved != NULL)
			moved->children--, drop_node(moved);
		if (other != NULL)
			other->children--, drop_node(other);
	}
	answer(call, 0, NULL, 0);
	return 0;
}

int link_file(const struct call *call, uint64_t id, const char *name)
{
	struct node *node = node_of(id);
	char from[PATH_MAX], to[PATH_MAX];
	struct entry_answer entry;
	struct stat st;
	int error;

	if (node == NULL)
		return EINVAL;
	error = path_of(node, NULL, from);
	if (error == 0)
		error = path_of(call->node, name, to);
	if (error != 0)
		return error == ESTALE ? ENOENT : error;
	if (linkat(mounts[NAMES], from, mounts[NAMES], to, 0) != 0)
		return errno;
	error = look(to, &st);
	if (error == 0 && is_it(node, &st))
		error = give_name(node, call->node, name);
	if (error == 0)
		error = enter(call->node, name, &st, &entry);
	if (error == 0 && !answer(call, 0, &entry, sizeof entry))
		forget(entry.node, 1);
	return error;
}
