/* The numbers of docs/guest-protocol.md; src/guest/protocol.ts has the same. */
#ifndef PK_INIT_PROTOCOL_H
#define PK_INIT_PROTOCOL_H

/* Sizes of the protocol, in bytes. */
enum {
	VERSION = 1,
	HEADER = 16,
	IN_PAYLOAD = 16384,
	OUT_PAYLOAD = 16384,
	OLD_PAYLOAD = 4096, /* to a host that has not said that it is `wide` */
	TTY_PAYLOAD = 1024,
	TTY_WINDOW = 2048,
	PORT_WINDOW = 131072, /* of the line, towards the guest */
	BARE_WINDOW = 524288, /* to a host that takes bare frames */
	STDIN_CREDIT = 131072,
	BARE_STDIN = 524288,
	BARE_IN = 65536, /* of a frame without a sum, towards the guest */
	BARE_END = 4, /* behind it */
	BARE_OUT = 262144, /* and towards the host */
	BARE_LEAST = 4096, /* shorter pieces of output are copied */
	OUTPUT_CREDIT = 65536,
	SLOT = 65536, /* of shared memory; shorter pieces go in frames */
	SLOT_LEAST = 1024,
	SLOTS_MOST = 64,
	BEAT_PAGE = 4096,
	MESSAGE = 256 * 1024, /* of one that came in several frames, too */
	SNAPSHOT = 65536, /* of one watched file */
};

enum { WATCHES = 32 };

enum { CHANNELS = 16, BELL_SPACING = 64, BELL_BYTES = 4096 };

enum { LINE_PCI_SLOT = 0x0e }; /* of the memory beside a port */

enum { CHANNEL_PCI_SLOT = 0x10 }; /* of the channel in slot 0, where the channels are PCI functions */

enum { FIELD = 0x1f }; /* between the fields of a value */

enum { MORE = 1, FIN = 2, MEMORY = 4, BARE = 8 };

enum { WIDE = 1, TAKES_BARE = 2, HEARS_TROUBLE = 4, COUNTS = 8 }; /* what a host can: frames of 16 KiB, and shared memory; frames without a sum; TROUBLE; COUNT */

enum { H_HELLO = 1, H_CONFIGURE, H_EXEC, H_STDIN, H_SIGNAL, H_RESIZE, H_CREDIT, H_FORGET, H_WATCH, H_PUT, H_GET, H_POWEROFF, H_BELL, H_TIME, H_TAKEN };

enum { G_HELLO = 64, G_RESULT, G_STARTED, G_STDOUT, G_STDERR, G_EXITED, G_CREDIT, G_ACK, G_SNAPSHOT, G_SESSION, G_GOODBYE, G_BELL, G_TIME, G_TROUBLE, G_COUNT };

enum { T_OOM, T_SOFT_LOCKUP, T_RCU_STALL, T_HUNG_TASK, T_BUG, T_KINDS };

enum { EXIT_CODE, EXIT_SIGNAL, EXIT_NOT_STARTED };

#endif
