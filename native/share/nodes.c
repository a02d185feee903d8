/*
 * What the kernel knows of the files of a share: a node per file that it holds, and the names by which it found them.
 * INVARIANTS
 * - A node lives while the kernel holds it (lookups), has it open (opens) or knows something in it (children).
 * - A name belongs to one node and one parent, and is found by (parent, name). A directory has one name, or none when
 *   it is gone; another file may have several (hard links).
 * - So memory follows the kernel's own caches, whose entries are ten times as large.
 */
#include "nodes.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "protocol.h"

#define DEPTH_MAX (PATH_MAX / 2)

static struct node **nodes; /* by the number that the kernel has; 0 is nobody's */
uint32_t nodes_size, nodes_used, *spare, spare_count;
struct name *names[BUCKETS];
struct node *inodes[BUCKETS], *places[BUCKETS];

uint64_t hash_bytes(uint64_t hash, const char *text, size_t length)
{
	while (length-- > 0)
		hash = (hash ^ (unsigned char)*text++) * 0x100000001b3ull;
	return hash;
}

static uint32_t name_hash(const struct node *parent, const char *text)
{
	uint64_t hash = hash_bytes(0xcbf29ce484222325ull ^ parent->id * 0x9e3779b97f4a7c15ull, text, strlen(text));

	return (uint32_t)(hash ^ hash >> 32);
}

struct node *node_of(uint64_t id)
{
	return id < nodes_used ? nodes[id] : NULL;
}

static void leave_inode(struct node *node)
{
	struct node **at = &inodes[node->ino % BUCKETS];

	while (*at != node)
		at = &(*at)->same_ino;
	*at = node->same_ino;
}

static void take_inode(struct node *node, uint64_t ino)
{
	node->ino = ino;
	node->same_ino = inodes[ino % BUCKETS], inodes[ino % BUCKETS] = node;
}

void renumber(struct node *node, uint64_t ino)
{
	leave_inode(node);
	take_inode(node, ino);
}

/* NULL when there is no memory. */
struct node *new_node(uint64_t ino, mode_t mode)
{
	struct node *node = calloc(1, sizeof *node);

	if (node == NULL)
		return NULL;
	if (spare_count > 0) {
		node->id = spare[--spare_count];
	} else {
		if (nodes_used + 1 >= nodes_size) {
			uint32_t size = nodes_size ? nodes_size * 2 : 1024;
			void *more = reallocarray(nodes, size, sizeof *nodes), *ids;

			if (more != NULL)
				nodes = more;
			ids = reallocarray(spare, size, sizeof *spare);
			if (ids != NULL)
				spare = ids;
			if (more == NULL || ids == NULL) {
				free(node);
				return NULL;
			}
			nodes_size = size;
		}
		if (nodes_used == 0)
			nodes[nodes_used++] = NULL;
		node->id = nodes_used++;
	}
	node->mode = mode, node->fd = -1;
	take_inode(node, ino);
	nodes[node->id] = node;
	return node;
}

struct name *find_name(const struct node *parent, const char *text)
{
	uint32_t hash = name_hash(parent, text);
	struct name *name = names[hash % BUCKETS];

	while (name != NULL && (name->hash != hash || name->parent != parent || strcmp(name->text, text) != 0))
		name = name->same_hash;
	return name;
}

/* The node stays, nameless if that was its last name. */
static void drop_name(struct name *name)
{
	struct name **at = &names[name->hash % BUCKETS];
	struct node *parent = name->parent;

	while (*at != name)
		at = &(*at)->same_hash;
	*at = name->same_hash;
	for (at = &name->node->names; *at != name; at = &(*at)->other)
		;
	*at = name->other;
	free(name);
	parent->children--;
	drop_node(parent);
}

/* Frees what nothing needs any more: the node, and then perhaps the one above. */
void drop_node(struct node *node)
{
	if (node->lookups > 0 || node->children > 0 || node->opens > 0 || node->id == FUSE_ROOT)
		return;
	leave_inode(node);
	nodes[node->id] = NULL;
	spare[spare_count++] = node->id;
	/* Found by nobody now. As deep as the path is long, which is PATH_MAX / 2 at most. */
	while (node->names != NULL)
		drop_name(node->names);
	free(node);
}

/* 0 or ENOMEM. Takes the name from whoever had it. */
int give_name(struct node *node, struct node *parent, const char *text)
{
	struct name *name = find_name(parent, text);
	size_t length = strlen(text) + 1;

	if (name != NULL && name->node == node)
		return 0;
	if (name != NULL) {
		struct node *old = name->node;

		parent->children++; /* it may not go with its last name */
		drop_name(name);
		parent->children--;
		drop_node(old);
	}
	name = malloc(sizeof *name + length);
	if (name == NULL)
		return ENOMEM;
	memcpy(name->text, text, length);
	name->node = node, name->parent = parent, name->hash = name_hash(parent, text);
	name->same_hash = names[name->hash % BUCKETS], names[name->hash % BUCKETS] = name;
	name->other = node->names, node->names = name;
	parent->children++;
	return 0;
}

void forget_name(struct node *parent, const char *text)
{
	struct name *name = find_name(parent, text);
	struct node *node = name == NULL ? NULL : name->node;

	if (node == NULL)
		return;
	node->children++, parent->children++;
	drop_name(name);
	node->children--, parent->children--;
	drop_node(node);
}

void forget(uint64_t id, uint64_t lookups)
{
	struct node *node = node_of(id);

	if (node == NULL)
		return;
	node->lookups -= lookups < node->lookups ? lookups : node->lookups;
	drop_node(node);
}

/*
 * The path from the root of the share to `leaf` in `parent`, or to `parent` where leaf is NULL, never beginning with a
 * slash. Returns 0, ESTALE when something of it has no name any more, ENAMETOOLONG.
 */
int path_of(const struct node *parent, const char *leaf, char path[PATH_MAX])
{
	char *at = path + PATH_MAX - 1;
	size_t length;

	*at = 0;
	if (leaf != NULL) {
		length = strlen(leaf);
		at -= length;
		memcpy(at, leaf, length);
	}
	for (int depth = 0; parent->id != FUSE_ROOT; depth++) {
		const struct name *name = parent->names;

		if (name == NULL || depth > DEPTH_MAX)
			return ESTALE;
		length = strlen(name->text);
		if (at - path < (ptrdiff_t)length + 2)
			return ENAMETOOLONG;
		if (*at != 0)
			*--at = '/';
		at -= length;
		memcpy(at, name->text, length);
		parent = name->parent;
	}
	if (*at == 0)
		*--at = '.';
	memmove(path, at, (size_t)(path + PATH_MAX - at));
	return 0;
}
