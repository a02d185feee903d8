#ifndef PK_JAIL_FILTER_H
#define PK_JAIL_FILTER_H

enum filter_kind { FILTER_UML, FILTER_QEMU, FILTER_TOOL, FILTER_INIT };

struct may {
	int set_id, huge_pages;
	int fork; /* processes with descriptors of their own */
	int read_kernel; /* all of /proc: not filtered, writes.c */
	unsigned cpus; /* of a machine of KVM */
};

int install_filter(enum filter_kind kind, struct may may);

#endif
