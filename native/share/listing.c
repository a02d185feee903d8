/* Lists directories that were found. */
#include "listing.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"
#include "files.h"
#include "lookup.h"
#include "nodes.h"
#include "protocol.h"

/* One name of a listing. Returns its bytes, 0 when `room` is too small for it. */
static size_t list_entry(const struct call *call, const struct dirent *from, int plus, unsigned char *to, size_t room)
{
	size_t length = strlen(from->d_name), head = plus ? sizeof(struct entry_answer) : 0;
	size_t bytes = (head + sizeof(struct entry) + length + 7) & ~(size_t)7;
	struct entry *entry = (void *)(to + head);
	int dots = !strcmp(from->d_name, ".") || !strcmp(from->d_name, "..");

	if (bytes > room)
		return 0;
	memset(to, 0, bytes);
	/* One that has gone meanwhile is told without attributes: the kernel asks when it needs them. */
	if (plus && !dots && find(call, from->d_name, (struct entry_answer *)to) != 0)
		memset(to, 0, head);
	entry->ino = from->d_ino, entry->offset = (uint64_t)from->d_off;
	entry->name_length = (uint32_t)length, entry->type = from->d_type;
	memcpy(entry->name, from->d_name, length);
	return bytes;
}

static void forget_listed(size_t used)
{
	for (size_t at = 0; at < used;) {
		const struct entry_answer *known = (const void *)(data + at);
		const struct entry *entry = (const void *)(known + 1);

		forget(known->node, 1);
		at += (sizeof *known + sizeof *entry + entry->name_length + 7) & ~(size_t)7;
	}
}

int read_directory(const struct call *call, const struct transfer_in *in, int plus)
{
	static char listing[LISTING] __attribute__((aligned(8)));
	struct stat st;
	size_t room = in->size < TRANSFER ? in->size : TRANSFER, used = 0, most;
	int error;
	long n;

	if (!S_ISDIR(call->node->mode))
		return EBADF;
	if (call->node->fd < 0)
		return ENOENT; /* gone before it was opened */
	if (call->node->id != FUSE_ROOT)
		attributes_of(call->node, &st); /* which finds that it is another by now */
	error = open_again(call->node);
	if (error != 0)
		return error == ESTALE ? ENOENT : error;
	if (lseek(call->node->fd, (off_t)in->offset, SEEK_SET) < 0)
		return errno;
	/* No more than there will be room for: what is left over is read once more. */
	most = plus ? room / 4 : room;
	n = syscall(SYS_getdents64, call->node->fd, listing, most < LARGEST_LISTED ? LARGEST_LISTED : most < LISTING ? most : LISTING);
	if (n < 0)
		return errno;
	for (long at = 0; at < n;) {
		struct dirent *entry = (void *)(listing + at);
		size_t bytes = list_entry(call, entry, plus, data + used, room - used);

		if (bytes == 0)
			break;
		used += bytes, at += entry->d_reclen;
	}
	if (!answer(call, 0, data, used) && plus)
		forget_listed(used);
	return 0;
}
