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
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "anchors.h"
#include "protocol.h"

static struct node **nodes; /* by the number that the kernel has; 0 is nobody's */
uint32_t nodes_size, nodes_used, *spare, spare_count, directories_moved;
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

/* The node stays, nameless if that was its last name. Returns its parent, which nothing may need any more. */
static struct node *take_name(struct name *name)
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
	return parent;
}

/* Frees what nothing needs any more: the node, then perhaps the one above, and so on: only files have several. */
void drop_node(struct node *node)
{
	while (node->lookups == 0 && node->children == 0 && node->opens == 0 && node->id != FUSE_ROOT) {
		struct node *above = NULL;

		leave_inode(node);
		leave_anchor(node);
		nodes[node->id] = NULL;
		spare[spare_count++] = node->id;
		while (node->names != NULL) {
			if (above != NULL)
				drop_node(above);
			above = take_name(node->names);
		}
		free(node);
		if (above == NULL)
			return;
		node = above;
	}
}

static void drop_name(struct name *name)
{
	directories_moved += S_ISDIR(name->node->mode);
	drop_node(take_name(name));
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

/* Whether a directory is another or lies in it, however deep. */
int is_below(const struct node *node, const struct node *other)
{
	while (node != other && node->names != NULL)
		node = node->names->parent;
	return node == other;
}
