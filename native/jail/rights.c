/* Gives up rights: users, groups and capabilities. */
#include "rights.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/fail.h"
#include "../common/numbers.h"

#define NAMESPACE_OWNER _IO(0xb7, 4) /* linux/nsfs.h: NS_GET_OWNER_UID */
#define CAPABILITY_VERSION_3 0x20080522
#define LAST_CAPABILITY 63

/* linux/securebits.h: NOROOT, NO_SETUID_FIXUP, KEEP_CAPS never, each locked */
#define SECURE_BITS 0x2f

/* Its root is nobody outside. All rights that we have from here on are over what its ids own. */
void enter_guest_namespace(const char *text)
{
	int fd = (int)number("--userns", text, 1023);
	uid_t owner;

	/* It lets its owner in, who is its root seen from here (pk-cell). */
	if (ioctl(fd, NAMESPACE_OWNER, &owner) != 0 || setresuid(owner, owner, owner) != 0)
		fail("the owner of the guest's user namespace");
	if (setns(fd, CLONE_NEWUSER) != 0)
		fail("entering the guest's user namespace");
	close(fd);
	if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
		fail("becoming root of the guest's user namespace");
}

/* Of the identity that we have by now; what goes from the bounding set can never be had again. */
void drop_bounding_set(uint32_t kept)
{
	for (int capability = 0; capability <= LAST_CAPABILITY; capability++) {
		if (capability < 32 && (kept >> capability & 1))
			continue;
		/* EINVAL: above the last one. EPERM: a caller without rights; set_capabilities() makes sure of that. */
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL && errno != EPERM)
			fail("capability %d", capability);
	}
}

void set_capabilities(uint32_t kept)
{
	struct { uint32_t version; int pid; } header = {CAPABILITY_VERSION_3, 0};
	struct { uint32_t effective, permitted, inheritable; } sets[2] = {{kept, kept, kept}, {0, 0, 0}};

	/* Being uid 0 inside gives nothing by itself. */
	if (prctl(PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0) != 0 && (kept != 0 || errno != EPERM))
		fail("secure bits");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
		fail("ambient capabilities");
	if (syscall(SYS_capset, &header, sets) != 0)
		fail("capset");
	for (int capability = 0; capability < 32; capability++)
		if ((kept >> capability & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
			fail("ambient capability %d", capability);
	/* With this, not even executing a file as root gives any back, whatever the bounding set holds. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fail("no_new_privs");
}

/* --groups: those that open devices. Before a user namespace is entered, in which they have no numbers. */
void set_groups(char *list)
{
	gid_t groups[64];
	size_t count = 0;

	for (char *item = list == NULL ? NULL : strtok(list, ","); item != NULL; item = strtok(NULL, ",")) {
		if (count == sizeof groups / sizeof *groups)
			fail("--groups: too many");
		groups[count++] = (gid_t)number("--groups", item, 0xfffffffe);
	}
	/* Where the caller's ids are all there is, groups cannot be changed, nor used by those who are not in them. */
	if (setgroups(count, groups) != 0 && (count != 0 || errno != EPERM))
		fail("setgroups");
}
