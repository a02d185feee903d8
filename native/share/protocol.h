/* What pk-share uses of the kernel's FUSE protocol, version 7 (linux/fuse.h, which musl does not carry). */
#ifndef PK_SHARE_PROTOCOL_H
#define PK_SHARE_PROTOCOL_H

#include <stdint.h>

#define FUSE_MAJOR 7
#define FUSE_MINOR 36
#define FUSE_ROOT 1

enum fuse_operation {
	FUSE_LOOKUP = 1, FUSE_FORGET, FUSE_GETATTR, FUSE_SETATTR, FUSE_READLINK, FUSE_SYMLINK, FUSE_MKNOD = 8, FUSE_MKDIR,
	FUSE_UNLINK, FUSE_RMDIR, FUSE_RENAME, FUSE_LINK, FUSE_OPEN, FUSE_READ, FUSE_WRITE, FUSE_STATFS, FUSE_RELEASE,
	FUSE_FSYNC = 20, FUSE_INIT = 26, FUSE_OPENDIR, FUSE_READDIR, FUSE_RELEASEDIR, FUSE_FSYNCDIR, FUSE_CREATE = 35,
	FUSE_INTERRUPT, FUSE_DESTROY = 38, FUSE_BATCH_FORGET = 42, FUSE_READDIRPLUS = 44, FUSE_RENAME2,
};

enum {
	INIT_ASYNC_READ = 1 << 0, INIT_ATOMIC_TRUNCATE = 1 << 3, INIT_BIG_WRITES = 1 << 5, INIT_AUTO_INVAL_DATA = 1 << 12,
	INIT_READDIRPLUS = 1 << 13, INIT_READDIRPLUS_AUTO = 1 << 14, INIT_ASYNC_DIO = 1 << 15,
	INIT_PARALLEL_DIROPS = 1 << 18, INIT_HANDLE_KILLPRIV = 1 << 19, INIT_MAX_PAGES = 1 << 22,
};

enum {
	SET_MODE = 1 << 0, SET_UID = 1 << 1, SET_GID = 1 << 2, SET_SIZE = 1 << 3, SET_ATIME = 1 << 4, SET_MTIME = 1 << 5,
	SET_ATIME_NOW = 1 << 7, SET_MTIME_NOW = 1 << 8,
};

#define OPEN_KEEP_CACHE (1u << 1)
#define FSYNC_DATA 1u

/* From linux/fs.h. */
#define KEEP_OTHERS 1u
#define EXCHANGE_NAMES 2u

struct request {
	uint32_t length, operation;
	uint64_t unique, node;
	uint32_t uid, gid, pid, padding;
};

struct answer {
	uint32_t length;
	int32_t error;
	uint64_t unique;
};

struct attributes {
	uint64_t ino, size, blocks, atime, mtime, ctime;
	uint32_t atime_ns, mtime_ns, ctime_ns, mode, links, uid, gid, device, block_size, flags;
};

struct entry_answer {
	uint64_t node, generation, entry_valid, attr_valid;
	uint32_t entry_valid_ns, attr_valid_ns;
	struct attributes attr;
};

struct attr_answer {
	uint64_t attr_valid;
	uint32_t attr_valid_ns, padding;
	struct attributes attr;
};

struct init_in { uint32_t major, minor, max_readahead, flags; };

struct init_answer {
	uint32_t major, minor, max_readahead, flags;
	uint16_t max_background, congestion;
	uint32_t max_write, time_grain;
	uint16_t max_pages, map_alignment;
	uint32_t flags2, unused[7];
};

struct setattr_in {
	uint32_t valid, padding;
	uint64_t handle, size, lock_owner, atime, mtime, ctime;
	uint32_t atime_ns, mtime_ns, ctime_ns, mode, unused, uid, gid, unused2;
};

struct mknod_in { uint32_t mode, device, umask, padding; };

struct mkdir_in { uint32_t mode, umask; };

struct rename_in { uint64_t directory; };

struct rename2_in { uint64_t directory; uint32_t flags, padding; };

struct link_in { uint64_t node; };

struct open_in { uint32_t flags, open_flags; };

struct create_in { uint32_t flags, mode, umask, open_flags; };

struct open_answer { uint64_t handle; uint32_t flags, padding; };

/* Of READ, READDIR and WRITE. */
struct transfer_in {
	uint64_t handle, offset;
	uint32_t size, transfer_flags;
	uint64_t lock_owner;
	uint32_t flags, padding;
};

struct write_answer { uint32_t size, padding; };

struct fsync_in { uint64_t handle; uint32_t flags, padding; };

struct statfs_answer {
	uint64_t blocks, free, available, files, files_free;
	uint32_t block_size, name_length, fragment_size, padding, spare[6];
};

/* Told without being asked: attributes of a node are no longer true (its pages are not meant: offset -1). */
#define TELL_INODE 2

struct tell_inode { uint64_t node; int64_t offset, bytes; };

struct forget_in { uint64_t lookups; };

struct forget_one { uint64_t node, lookups; };

struct batch_forget_in { uint32_t count, padding; };

struct entry { uint64_t ino, offset; uint32_t name_length, type; char name[]; };

#endif
