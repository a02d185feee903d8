/* What the kernel knows of files: nodes and their names. See nodes.c. */
#ifndef PK_SHARE_NODES_H
#define PK_SHARE_NODES_H

#include <stdint.h>
#include <sys/types.h>

/* Chains get longer beyond this number of files; it must be a power of two. */
#define BUCKETS 65536

struct name;
struct anchor;

struct node {
	uint64_t lookups, ino;
	uint64_t place;            /* hash of the path it was opened by */
	struct name *names;
	struct anchor *anchor;     /* NULL, where it is none */
	struct node *same_ino, *same_place;
	struct timespec mtime;     /* these four as last seen */
	int64_t size;
	mode_t mode;
	uid_t uid;                 /* both of a directory's owner as last seen */
	gid_t gid;
	uint32_t id, children, opens, directories_moved, anchors_left; /* the last two when a directory was opened */
	int fd;                    /* of all who have it open; -1 = nobody */
	uint8_t writable, mount, stale;
};

struct name {
	struct node *node, *parent;
	struct name *same_hash, *other;
	uint32_t hash;
	char text[];
};

extern uint32_t nodes_size, nodes_used, *spare, spare_count;
extern uint32_t directories_moved; /* so many times a directory has lost a name */
extern struct name *names[BUCKETS];
extern struct node *inodes[BUCKETS], *places[BUCKETS];

uint64_t hash_bytes(uint64_t hash, const char *text, size_t length);
struct node *node_of(uint64_t id);
void renumber(struct node *node, uint64_t ino);
struct node *new_node(uint64_t ino, mode_t mode);
struct name *find_name(const struct node *parent, const char *text);
void drop_node(struct node *node);
int give_name(struct node *node, struct node *parent, const char *text);
void forget_name(struct node *parent, const char *text);
void forget(uint64_t id, uint64_t lookups);
int is_below(const struct node *node, const struct node *other);

#endif
