/* Gives, moves and removes names of files, and reads symbolic links. */
#include "names.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "anchors.h"
#include "call.h"
#include "files.h"
#include "lookup.h"
#include "nodes.h"
#include "protocol.h"

int read_link(const struct call *call)
{
	char target[PATH_MAX];
	struct where at;
	int error = where_is(call->node, &at);
	ssize_t n;

	if (error != 0)
		return error;
	n = readlinkat(at.anchor->mounts[NAMES], at.path, target, sizeof target - 1);
	if (n < 0)
		return errno;
	answer(call, 0, target, (size_t)n);
	return 0;
}

int remove_name(const struct call *call, const char *name, int flags)
{
	struct where at;
	int error = locate(call->node, name, &at);

	if (error != 0)
		return error;
	if (unlinkat(at.anchor->mounts[NAMES], at.path, flags) != 0)
		return errno;
	forget_name(call->node, name);
	answer(call, 0, NULL, 0);
	return 0;
}

int rename_file(const struct call *call, uint64_t directory, unsigned flags, const char *from, const char *to)
{
	struct node *parent = node_of(directory), *moved, *other;
	struct where old, new;
	struct name *name;
	int error, mount;

	if (from == NULL || to == NULL)
		return errno;
	if (parent == NULL)
		return ESTALE;
	error = together(call->node, from, parent, to, &old, &new);
	if (error != 0)
		return error;
	mount = old.anchor->mounts[NAMES];
	if (syscall(SYS_renameat2, mount, old.path, mount, new.path, flags) != 0)
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
		/* None comes to lie in itself, whatever the host has done meanwhile. */
		if (moved != NULL && !is_below(parent, moved))
			give_name(moved, parent, to);
		if (other != NULL && flags & EXCHANGE_NAMES && !is_below(call->node, other))
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
	struct where from, to;
	struct entry_answer entry;
	struct stat st;
	int error, mount;

	if (node == NULL || S_ISDIR(node->mode))
		return EINVAL;
	error = node->names == NULL ? ESTALE : together(node->names->parent, node->names->text, call->node, name, &from, &to);
	if (error != 0)
		return error == ESTALE ? ENOENT : error;
	mount = from.anchor->mounts[NAMES];
	if (linkat(mount, from.path, mount, to.path, 0) != 0)
		return errno;
	error = look(&to, &st);
	if (error == 0 && is_it(node, &st))
		error = give_name(node, call->node, name);
	if (error == 0)
		error = enter(call->node, name, &st, &entry);
	if (error == 0 && !answer(call, 0, &entry, sizeof entry))
		forget(entry.node, 1);
	return error;
}
