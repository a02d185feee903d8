/*
 * pk-init: PID 1 and agent of a Polykernel guest. Speaks docs/guest-protocol.md over one byte stream.
 *
 * One thread, one ppoll loop, no heap: every buffer is static, so nothing the host or a process does makes it grow.
 * INVARIANTS
 * - Frames towards the host are made only while `out` has room: session output stops at OUT_DATA, snapshots at OUT_SNAP,
 *   reading of the control line at OUT_PARSE. What is left above is more than all control frames of one turn need.
 * - A slot of the shared memory has one owner: towards the guest the host, until this agent has acknowledged the frame that
 *   tells of it; towards the host this agent, from the host's TAKEN on.
 * - SIGCHLD is blocked except inside ppoll, so a child's end always wakes the loop.
 * - Every descriptor of the agent is close-on-exec; children get exactly 0, 1 and 2.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "inodes.h"
#include "users.h"
#include "workers.h"

/* From linux/random.h and asm/ioctls.h, which musl does not carry. */
#define RND_ADD_ENTROPY 0x40085203
#define RND_RESEED_CRNG 0x5207
#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

enum {
    VERSION = 1, HEADER = 16, IN_PAYLOAD = 16384, OUT_PAYLOAD = 16384, MESSAGE = 256 * 1024, SESSIONS = 64,
    OLD_PAYLOAD = 4096, /* to a host that has not said that it is `wide` */
    IN_SIZE = 65536, TTY_WINDOW = 2048, TTY_PAYLOAD = 1024, PORT_WINDOW = 131072, /* of the line, towards the guest */
    PIPE_BYTES = 262144, /* of standard streams: each time that one fills or runs dry, processes are switched */
    SLOT = 65536, SLOTS_MOST = 64, SLOT_LEAST = 1024, /* of shared memory; shorter pieces go in frames */
    STDIN_CREDIT = 131072, OUTPUT_CREDIT = 65536, WATCHES = 32, SNAPSHOT = 65536, STRINGS = 16384,
    OUT_DATA = 64 * 1024, OUT_SNAP = 128 * 1024, OUT_PARSE = 256 * 1024, OUT_SIZE = 320 * 1024,
    HUP_GRACE_MS = 2000, /* FORGET: from SIGHUP to SIGKILL */
    LINGER_MS = 100,     /* how long descendants may keep outputs open after the process of a session ended */
    LINE_RETRY_MS = 50,  /* between looks at a line whose host end is closed */
    SERVERS = 64, CHANNELS = 16, BELL_SPACING = 64, BELL_BYTES = 4096,
    CHANNEL_PCI_SLOT = 0x10, /* of the channel in slot 0, where the channels are PCI functions */
};
enum { MORE = 1, FIN = 2, MEMORY = 4 };
enum { WIDE = 1 }; /* what a host can: frames of 16 KiB, and shared memory */
enum { H_HELLO = 1, H_CONFIGURE, H_EXEC, H_STDIN, H_SIGNAL, H_RESIZE, H_CREDIT, H_FORGET, H_WATCH, H_PUT, H_GET, H_POWEROFF, H_BELL, H_TIME, H_TAKEN };
enum { G_HELLO = 64, G_RESULT, G_STARTED, G_STDOUT, G_STDERR, G_EXITED, G_CREDIT, G_ACK, G_SNAPSHOT, G_SESSION, G_GOODBYE, G_BELL, G_TIME };
enum { EXIT_CODE, EXIT_SIGNAL, EXIT_NOT_STARTED };

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

struct session {
    u32 id;             /* 0: the slot is free */
    pid_t pid;          /* 0: a file transfer, or never started */
    int in, out[2];     /* our ends of stdin, stdout and stderr; -1 closed. A pty has in and out[0] */
    u8 tty, ended, forgotten, reported, in_eof, eof_sent[2];
    u32 kind, value;    /* how it ended, once `ended` */
    u32 credit;         /* bytes of output the host will take */
    u32 in_len, in_pos; /* what waits in `buffer` for the process */
    u32 freed;          /* stdin bytes taken by the process, not yet credited to the host */
    u64 deadline;       /* forgotten: SIGKILL; ended: stop waiting for descendants */
    int budget[2];      /* after that deadline: bytes still to be forwarded; -1 no limit */
    const char *why;
    u32 kills;          /* how many processes the kernel had killed when it began */
    char killed[64];
    u8 buffer[STDIN_CREDIT];
};

static struct session sessions[SESSIONS], *sessions_end = sessions; /* behind the last that was ever used: each is far from the next */
static u8 in[IN_SIZE], out[OUT_SIZE], message[MESSAGE], snapshot[SNAPSHOT];
static u32 in_len, out_pos, out_len, message_len, message_session;
static u8 message_type, message_bad; /* type 0: no split message is under way */
static char *arguments[STRINGS], *environment[STRINGS];
static u32 crc_table[8][256];
static int line = -1, line_tty, greeted, seeded, wide;
static u8 *shared;         /* memory that the host shares: slots towards the guest, then as many towards the host; or NULL */
static u32 slots;          /* in each direction */
static u32 slots_in;       /* how many the host has filled since its HELLO */
static u32 slots_out, slots_taken; /* how many were filled here since, and of these read by the host */
static u32 line_read, line_base, line_acked;
static u64 line_rest; /* until then the line is not looked at: its host end is closed */
static volatile sig_atomic_t child_ended;
static int childless;
static char watch_paths[WATCHES][256];
static u32 watch_count, watch_next, watch_interval;
static u64 watch_due; /* 0: no watch */
static u64 poweroff_due;
static u32 poweroff_stage, poweroff_how;
static int kernel_log = -1; /* read for processes that the kernel killed for want of memory: the last of them, and how many */
static char last_killed[64];
static u32 kills;
static u8 *bells; /* a page that processes sleep on, one word per channel; NULL until there is a channel */
static int bell_fifo = -1;

/* --- small things --- */
static u64 now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}
static u64 now_ms(void) { return now_ns() / 1000000; }
static u32 get16(const u8 *p) { return p[0] | (u32)p[1] << 8; }
static u32 get32(const u8 *p) { return get16(p) | get16(p + 2) << 16; }
static void put16(u8 *p, u32 v) { p[0] = (u8)v, p[1] = (u8)(v >> 8); }
static void put32(u8 *p, u32 v) { put16(p, v & 0xffff), put16(p + 2, v >> 16); }

static void say(const char *what, const char *which) {
    char text[512];
    int n = snprintf(text, sizeof text, "pk-init: %s%s%s: %s\n", what, which ? " " : "", which ? which : "", strerror(errno));
    int fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (write(fd >= 0 ? fd : 2, text, (size_t)(n < (int)sizeof text ? n : (int)sizeof text - 1)) < 0) return;
    if (fd >= 0) close(fd);
}
/* PID 1 may not end without the kernel panicking, which is how the host learns of it: the console has the reason. */
static void die(const char *what, const char *which) {
    say(what, which);
    _exit(1);
}

static void crc_setup(void) {
    for (u32 i = 0; i < 256; i++) {
        u32 c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
        crc_table[0][i] = c;
    }
    for (u32 i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++) crc_table[k][i] = crc_table[0][crc_table[k - 1][i] & 255] ^ crc_table[k - 1][i] >> 8;
}
/* Eight bytes at a time: byte by byte it takes as long as the rest of the way, where instructions are emulated. */
static u32 crc(u32 c, const u8 *p, size_t n) {
    u32 (*t)[256] = crc_table;
    for (c = ~c; n >= 8; n -= 8, p += 8) {
        u64 v;
        memcpy(&v, p, 8), v ^= c;
        c = t[7][v & 255] ^ t[6][v >> 8 & 255] ^ t[5][v >> 16 & 255] ^ t[4][v >> 24 & 255] ^ t[3][v >> 32 & 255] ^ t[2][v >> 40 & 255] ^
            t[1][v >> 48 & 255] ^ t[0][v >> 56];
    }
    for (; n--; p++) c = t[0][(c ^ *p) & 255] ^ c >> 8;
    return ~c;
}

/* --- frames to the host --- */
static u32 out_used(void) { return out_len - out_pos; }

/* Where the payload of the next frame goes; at least OUT_PAYLOAD bytes. NULL when the line has been stuck for long. */
static u8 *frame_space(void) {
    if (out_pos && out_len + HEADER + OUT_PAYLOAD > OUT_SIZE) {
        memmove(out, out + out_pos, out_used());
        out_len -= out_pos, out_pos = 0;
    }
    return out_len + HEADER + OUT_PAYLOAD > OUT_SIZE ? NULL : out + out_len + HEADER;
}
/* Completes the frame whose payload already stands in frame_space(). */
static void frame_done(u8 type, u8 flags, u32 session, u32 length) {
    u8 *p = out + out_len;
    p[0] = 'P', p[1] = 'K', p[2] = type, p[3] = flags;
    put32(p + 4, session), put16(p + 8, length), put16(p + 10, 0);
    put32(p + 12, crc(crc(0, p, 12), p + HEADER, length));
    out_len += HEADER + length;
}
static void frame(u8 type, u8 flags, u32 session, const void *payload, u32 length) {
    u8 *p = frame_space();
    if (!p) return;
    if (length) memcpy(p, payload, length);
    frame_done(type, flags, session, length);
}
static void frame32(u8 type, u32 session, u32 value) {
    u8 p[4];
    put32(p, value);
    frame(type, 0, session, p, 4);
}
static void frame_text(u8 type, u32 session, u32 a, int b, const char *text) {
    u8 p[OUT_PAYLOAD];
    u32 n = 4, length = (u32)strnlen(text, 1000);
    put32(p, a);
    if (b >= 0) put32(p + 4, (u32)b), n = 8;
    memcpy(p + n, text, length);
    frame(type, 0, session, p, n + length);
}

static void line_flush(void) {
    while (out_used()) {
        ssize_t n = write(line, out + out_pos, out_used());
        if (n > 0) out_pos += (u32)n;
        else if (n < 0 && errno == EINTR) continue;
        else if (n < 0 && errno == EAGAIN) return;
        else out_pos = out_len; /* the other end is gone; whoever comes next asks afresh */
    }
    out_pos = out_len = 0;
}

/* --- files and mounts --- */
/* mkdir with parents. 0 or an errno. `mode` is given to the last directory if it is created. */
static int make_directory(const char *path, mode_t mode) {
    char copy[4096];
    size_t n = strlen(path);
    struct stat st;
    if (!n || n >= sizeof copy) return n ? ENAMETOOLONG : EINVAL;
    if (!stat(path, &st)) return S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    memcpy(copy, path, n + 1);
    for (char *p = copy + 1; *p; p++)
        if (*p == '/') {
            *p = 0;
            if (mkdir(copy, 0755) && errno != EEXIST && errno != EROFS) return errno;
            *p = '/';
        }
    if (mkdir(copy, 0755)) return errno == EEXIST ? 0 : errno;
    return chmod(copy, mode) ? errno : 0;
}

static int write_file(const char *path, const char *text) {
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, error = 0;
    size_t length = strlen(text);
    int fd = open(path, flags, 0644);
    if (fd < 0 && errno == ELOOP && !unlink(path)) fd = open(path, flags, 0644);
    if (fd < 0) return errno;
    if (length && write(fd, text, length) != (ssize_t)length) error = errno ? errno : EIO;
    close(fd);
    return error;
}

static int load_module(char *path) {
    char *parameters = strchr(path, ' ');
    if (parameters) *parameters++ = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC), error;
    if (fd < 0) return errno;
    error = syscall(SYS_finit_module, fd, parameters ? parameters : "", 0) && errno != EEXIST ? errno : 0;
    close(fd);
    return error;
}

static int do_mount(char *spec) {
    static const struct { const char *name; unsigned long flag; } names[] = {
        {"ro", MS_RDONLY}, {"nosuid", MS_NOSUID}, {"nodev", MS_NODEV}, {"noexec", MS_NOEXEC},
        {"bind", MS_BIND}, {"rec", MS_REC}, {"move", MS_MOVE}, {"remount", MS_REMOUNT},
    };
    char *field[5] = {"", "", "", "", ""}, *save = NULL;
    unsigned long flags = 0;
    struct stat st;
    for (int i = 0; i < 5 && spec; i++) {
        char *end = i < 4 ? strchr(spec, 0x1f) : NULL;
        if (end) *end++ = 0;
        field[i] = spec, spec = end;
    }
    char *target = field[2];
    if (!*target) return EINVAL;
    for (char *f = strtok_r(field[3], ",", &save); f; f = strtok_r(NULL, ",", &save)) {
        size_t i = 0;
        while (i < sizeof names / sizeof *names && strcmp(f, names[i].name)) i++;
        if (i == sizeof names / sizeof *names) return EINVAL;
        flags |= names[i].flag;
    }
    if (!(flags & MS_REMOUNT)) {
        int error = 0;
        if (flags & MS_BIND && !stat(field[1], &st) && !S_ISDIR(st.st_mode)) {
            char *slash = strrchr(target, '/');
            if (slash > target) *slash = 0, error = make_directory(target, 0755), *slash = '/';
            int fd = error ? -1 : open(target, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
            if (fd >= 0) close(fd);
        } else error = make_directory(target, 0755);
        if (error) return error;
    }
    if (flags & MS_BIND && !(flags & MS_REMOUNT)) { /* the kernel takes restrictions of a bind only as a remount */
        if (mount(field[1], target, NULL, flags & (MS_BIND | MS_REC), NULL)) return errno;
        if (!(flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC))) return 0;
        flags |= MS_REMOUNT, flags &= ~(unsigned long)MS_REC;
    }
    return mount(field[1], target, field[0], flags, field[4]) ? errno : 0;
}

static pid_t servers[SERVERS]; /* of shares: they stay until nothing else is left */
static int server_count;

/*
 * hostfs's directory as this kernel sees it, as the VMM does, and the target, separated by 0x1f: a program of ours serves
 * it with true owners. What is no directory is shown as it is.
 */
static int add_share(char *spec) {
    char *own = strchr(spec, 0x1f), *target = own ? strchr(own + 1, 0x1f) : NULL;
    struct stat st;
    int answer[2], error;
    if (!target) return EINVAL;
    *own++ = 0, *target++ = 0;
    if (stat(spec, &st)) return errno;
    if (!S_ISDIR(st.st_mode)) {
        char bind[8300];
        if (snprintf(bind, sizeof bind, "\x1f%s\x1f%s\x1f" "bind\x1f", spec, target) >= (int)sizeof bind) return ENAMETOOLONG;
        return do_mount(bind);
    }
    if (server_count == SERVERS) return EMFILE;
    if ((error = make_directory(target, 0755))) return error;
    if (pipe2(answer, O_CLOEXEC)) return errno;
    char *argv[] = {"pk-share", own, target, NULL}, *env[] = {NULL};
    pid_t pid = fork();
    if (!pid) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (dup2(answer[1], 1) == 1) execve("/run/pk/bin/pk-share", argv, env);
        _exit(127);
    }
    error = pid < 0 ? errno : 0;
    close(answer[1]);
    if (!error && read(answer[0], &error, sizeof error) != sizeof error) error = ENOEXEC;
    close(answer[0]);
    if (pid > 0 && !error) servers[server_count++] = pid;
    return error;
}

static int switch_root(const char *root) {
    static const char *const carried[] = {"/proc", "/sys", "/dev", "/run"};
    char target[4096];
    for (int i = 0; i < 4; i++) {
        int error;
        snprintf(target, sizeof target, "%s%s", root, carried[i]);
        if ((error = make_directory(target, 0755))) return error;
        if (mount(carried[i], target, NULL, MS_MOVE, NULL)) return errno;
    }
    if (chdir(root) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/")) return errno;
    return 0;
}

static int seed_random(const char *hex) {
    struct { int bits, size; u8 bytes[512]; } pool;
    size_t n = 0;
    for (unsigned byte; n < sizeof pool.bytes && hex[2 * n] && sscanf(hex + 2 * n, "%2x", &byte) == 1; n++) pool.bytes[n] = (u8)byte;
    if (!n) return EINVAL;
    pool.bits = (int)n * 8, pool.size = (int)n;
    int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC), error = 0;
    if (fd < 0) return errno;
    if (ioctl(fd, RND_ADD_ENTROPY, &pool) || ioctl(fd, RND_RESEED_CRNG)) error = errno;
    close(fd);
    if (!error) seeded = 1;
    return error;
}

/* --- channels --- */
static const char bell_page[] = "/run/pk/bells", bell_path[] = "/run/pk/bell", channel_dir[] = "/run/pk/channels";

/* What processes need to wake and to be woken: a page with a futex per channel, and a FIFO for bells to the host. */
static int channels_begin(void) {
    int error = make_directory(channel_dir, 0755), fd;
    if (bells || error) return error;
    fd = open(bell_page, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return errno;
    if (ftruncate(fd, BELL_BYTES) || (bells = mmap(NULL, BELL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) {
        bells = NULL, error = errno, close(fd);
        return error;
    }
    close(fd);
    if (mkfifo(bell_path, 0600) && errno != EEXIST) return errno;
    bell_fifo = open(bell_path, O_RDWR | O_NONBLOCK | O_CLOEXEC); /* for writing too, or its end would come with each writer's */
    return bell_fifo < 0 ? errno : 0;
}

/* Where User Mode Linux has put the memory of its `iomem=` arguments: a page behind the end of its RAM. */
static u64 iomem_base(void) {
    static char text[4096];
    int fd = open("/proc/zoneinfo", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    text[n > 0 ? n : 0] = 0;
    char *spanned = strstr(text, "spanned");
    return spanned ? strtoull(spanned + 7, NULL, 10) * 4096 + 4096 : 0;
}

static int read_text(const char *path, char *text, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0) close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? 0 : ENODEV;
}

/* name, slot, side, memory (`iomem` or `pci`), offset, bytes, separated by 0x1f. ENODEV: its PCI function is not there yet. */
static int add_channel(char *spec) {
    char *field[6] = {"", "", "", "", "", ""}, device[80], path[128], temporary[128], memory[96], text[512];
    for (int i = 0; i < 6 && spec; i++) {
        char *end = strchr(spec, 0x1f);
        if (end) *end++ = 0;
        field[i] = spec, spec = end;
    }
    u32 slot = (u32)strtoul(field[1], NULL, 10);
    u64 offset = strtoull(field[4], NULL, 10), bytes = strtoull(field[5], NULL, 10);
    int error = channels_begin();
    if (error) return error;
    if (!*field[0] || *field[0] == '.' || strlen(field[0]) > 63 || strchr(field[0], '/') || slot >= CHANNELS || !bytes) return EINVAL;
    if (!strcmp(field[3], "iomem")) {
        u64 base = iomem_base();
        if (!base) return ENODEV;
        offset += base;
        snprintf(memory, sizeof memory, "/dev/mem");
    } else {
        struct stat st;
        snprintf(device, sizeof device, "/sys/bus/pci/devices/0000:00:%02x.0", CHANNEL_PCI_SLOT + slot);
        snprintf(path, sizeof path, "%s/device", device);
        if (read_text(path, text, sizeof text) || strncmp(text, "0x1110", 6)) return ENODEV;
        snprintf(path, sizeof path, "%s/enable", device);
        if ((error = write_file(path, "1"))) return error;
        snprintf(memory, sizeof memory, "%s/resource2", device);
        if (stat(memory, &st) || (u64)st.st_size < bytes) return ENODEV;
    }
    snprintf(path, sizeof path, "%s/%s", channel_dir, field[0]);
    snprintf(temporary, sizeof temporary, "%s/.new", channel_dir);
    snprintf(text, sizeof text, "memory=%s\noffset=%llu\nbytes=%llu\nsides=%.8s\nbell=%s\nnumber=%u\npeer=bell\nsleep=%s\nsleep-offset=%u\n",
             memory, (unsigned long long)offset, (unsigned long long)bytes, field[2], bell_path, slot, bell_page, slot * BELL_SPACING);
    error = write_file(temporary, text);
    return error ? error : rename(temporary, path) ? errno : 0;
}

static int remove_channel(const char *name) {
    char path[128];
    if (!*name || *name == '.' || strchr(name, '/')) return EINVAL;
    snprintf(path, sizeof path, "%s/%s", channel_dir, name);
    return unlink(path) && errno != ENOENT ? errno : 0;
}

/* --- network --- */
/* interface, address, netmask, gateway (may be empty), separated by 0x1f */
static int set_address(char *spec) {
    char *field[4] = {"", "", "", ""};
    struct sockaddr_in at = {.sin_family = AF_INET};
    struct ifreq request = {0};
    struct rtentry route = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error = 0;
    for (int i = 0; i < 4 && spec; i++) {
        char *end = strchr(spec, 0x1f);
        if (end) *end++ = 0;
        field[i] = spec, spec = end;
    }
    if (fd < 0) return errno;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", field[0]);
    for (int i = 1; i < 3 && !error; i++) {
        if (inet_pton(AF_INET, field[i], &at.sin_addr) != 1) error = EINVAL;
        memcpy(&request.ifr_addr, &at, sizeof at);
        if (!error && ioctl(fd, i == 1 ? SIOCSIFADDR : SIOCSIFNETMASK, &request)) error = errno;
    }
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (!error && ioctl(fd, SIOCSIFFLAGS, &request)) error = errno;
    if (!error && *field[3]) {
        if (inet_pton(AF_INET, field[3], &at.sin_addr) != 1) error = EINVAL;
        memcpy(&route.rt_gateway, &at, sizeof at);
        at.sin_addr.s_addr = 0;
        memcpy(&route.rt_dst, &at, sizeof at), memcpy(&route.rt_genmask, &at, sizeof at);
        route.rt_flags = RTF_UP | RTF_GATEWAY;
        if (!error && ioctl(fd, SIOCADDRT, &route) && errno != EEXIST) error = errno;
    }
    close(fd);
    return error;
}

/* The host says that somebody may sleep on the channel in `slot`. */
static void bell_in(u32 slot) {
    if (!bells || slot >= CHANNELS) return;
    u32 *word = (u32 *)(bells + slot * BELL_SPACING);
    __atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, word, 1 /* FUTEX_WAKE */, INT32_MAX, NULL, NULL, 0);
}

/* Bells of processes to the host: lines with the number of a slot, each slot told once per turn. */
static void bells_out(void) {
    char text[1024];
    ssize_t n = read(bell_fifo, text, sizeof text);
    u32 slot = 0, digits = 0;
    u64 rung = 0;
    for (ssize_t i = 0; i < n; i++) {
        if (text[i] >= '0' && text[i] <= '9' && digits < 4) slot = slot * 10 + (u32)(text[i] - '0'), digits++;
        else {
            if (text[i] == '\n' && digits && slot < CHANNELS) rung |= (u64)1 << slot;
            slot = digits = 0;
        }
    }
    for (slot = 0; slot < CHANNELS; slot++)
        if (rung >> slot & 1) frame(G_BELL, 0, slot, NULL, 0);
}

/* --- the wall clock --- */
/* Moves it by so many nanoseconds in one step, however long it took them to come here. */
static int step_clock(const char *text) {
    long long ns = strtoll(text, NULL, 10), rest = ns % 1000000000;
    struct timex x = {.modes = ADJ_SETOFFSET | ADJ_NANO};
    x.time.tv_sec = ns / 1000000000 - (rest < 0);
    x.time.tv_usec = rest < 0 ? rest + 1000000000 : rest;
    return clock_adjtime(CLOCK_REALTIME, &x) < 0 ? errno : 0;
}
/* Moves it little by little, at most 0.5 ms a second; what an earlier one has left to do is forgotten. */
static int slew_clock(const char *text) {
    struct timex x = {.modes = ADJ_OFFSET_SINGLESHOT, .offset = (long)(strtoll(text, NULL, 10) / 1000)};
    return clock_adjtime(CLOCK_REALTIME, &x) < 0 ? errno : 0;
}
static void tell_time(u32 request) {
    struct timespec t;
    u8 p[8];
    clock_gettime(CLOCK_REALTIME, &t);
    u64 ns = (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
    put32(p, (u32)ns), put32(p + 4, (u32)(ns >> 32));
    frame(G_TIME, 0, request, p, sizeof p);
}

/* --- worker threads --- */
static u64 workers_due; /* 0: they are as always */

static int prefer_workers(const char *milliseconds) {
    workers_due = now_ms() + strtoul(milliseconds, NULL, 10);
    return workers_first();
}

static void workers_turn(u64 now) {
    if (!workers_due || now < workers_due) return;
    workers_due = 0;
    workers_as_always();
}

/* --- CONFIGURE --- */
static int configure_step(const char *key, char *value) {
    char *second = strchr(value, 0x1f);
    if (!strcmp(key, "mount")) return do_mount(value);
    if (!strcmp(key, "share")) return add_share(value);
    if (!strcmp(key, "channel")) return add_channel(value);
    if (!strcmp(key, "address")) return set_address(value);
    if (!strcmp(key, "no-channel")) return remove_channel(value);
    if (second) *second++ = 0;
    if (!strcmp(key, "hostname")) return sethostname(value, strlen(value)) ? errno : 0;
    if (!strcmp(key, "time")) {
        char *dot;
        struct timespec t = {.tv_sec = strtoll(value, &dot, 10)};
        if (*dot == '.') t.tv_nsec = strtol(dot + 1, NULL, 10);
        return clock_settime(CLOCK_REALTIME, &t) ? errno : 0;
    }
    if (!strcmp(key, "time-step")) return step_clock(value);
    if (!strcmp(key, "time-slew")) return slew_clock(value);
    if (!strcmp(key, "inodes-most")) return inodes_most = strtol(value, NULL, 10), 0;
    if (!strcmp(key, "workers-first")) return prefer_workers(value);
    if (!strcmp(key, "seed")) return seed_random(value);
    if (!strcmp(key, "module")) return load_module(value);
    if (!strcmp(key, "mkdir")) return make_directory(value, second ? (mode_t)strtoul(second, NULL, 8) : 0755);
    if (!strcmp(key, "rmdir")) return rmdir(value) ? errno : 0;
    if (!strcmp(key, "write")) return second ? write_file(value, second) : EINVAL;
    if (!strcmp(key, "umount")) return umount2(value, MNT_DETACH) ? errno : 0;
    if (!strcmp(key, "link")) return !second ? EINVAL : symlink(value, second) ? errno : 0;
    if (!strcmp(key, "switch-root")) return switch_root(value);
    if (!strcmp(key, "sync")) return sync(), 0;
    return ENOSYS;
}

static const char *boot_id(void) {
    static char id[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, id, sizeof id - 1);
    if (fd >= 0) close(fd);
    while (n > 0 && id[n - 1] == '\n') n--;
    id[n > 0 ? n : 0] = 0;
    return id;
}

/* Steps through the NUL-terminated `key=value` strings of a payload. */
static char *next_pair(u8 **at, u8 *end, char **value) {
    while (*at < end) {
        u8 *nul = memchr(*at, 0, (size_t)(end - *at));
        if (!nul) return NULL;
        char *key = (char *)*at, *equals = strchr(key, '=');
        *at = nul + 1;
        if (!equals) continue;
        *equals = 0, *value = equals + 1;
        return key;
    }
    return NULL;
}

static void configure(u32 request, u8 *p, u32 n) {
    char *key, *value, text[512];
    int with_seed = 0;
    for (u8 *end = p + n; (key = next_pair(&p, end, &value));) {
        snprintf(text, sizeof text, "%s=%s", key, value);
        for (char *c = text; *c; c++)
            if (*c == 0x1f) *c = ' ';
        int error = configure_step(key, value);
        if (error) {
            frame_text(G_RESULT, request, (u32)error, -1, text);
            return;
        }
        with_seed |= !strcmp(key, "seed");
    }
    snprintf(text, sizeof text, "boot-id=%s", with_seed ? boot_id() : "");
    frame_text(G_RESULT, request, 0, -1, with_seed ? text : "");
}

/* --- sessions --- */
static struct session *session_find(u32 id) {
    for (int i = 0; i < SESSIONS; i++)
        if (id && sessions[i].id == id && !sessions[i].forgotten) return &sessions[i];
    return NULL;
}
static void close_fd(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}
/* Only the kernel writes records of facility 0, so nobody can make this up. One read gives one record. */
static void kernel_log_read(void) {
    char record[1024];
    ssize_t n;
    while (kernel_log >= 0 && ((n = read(kernel_log, record, sizeof record - 1)) > 0 || (n < 0 && errno == EPIPE))) {
        record[n > 0 ? n : 0] = 0;
        char *text = strchr(record, ';'), *name, *end;
        char *killed = n > 0 && strtoul(record, NULL, 10) < 8 && text ? strstr(text, ": Killed process ") : NULL;
        if (!killed) continue;
        long pid = strtol(killed + 17, &name, 10);
        if (strncmp(name, " (", 2) || !(end = strstr(name, ") total-vm"))) continue;
        snprintf(last_killed, sizeof last_killed, "%.*s, process %d", (int)(end - name - 2), name + 2, (int)pid);
        kills++;
    }
}

static struct session *session_new(u32 id) {
    struct session *s = sessions;
    if (!id || session_find(id)) return NULL; /* the host never reuses an id: nothing sensible to answer */
    while (s < sessions + SESSIONS && s->id) s++;
    if (s == sessions + SESSIONS || poweroff_stage) {
        frame_text(G_EXITED, id, EXIT_NOT_STARTED, s == sessions + SESSIONS ? EAGAIN : ESHUTDOWN,
                   poweroff_stage ? "the guest is powering off" : "all sessions of the guest are in use");
        return NULL;
    }
    if (s >= sessions_end) sessions_end = s + 1;
    memset(s, 0, offsetof(struct session, buffer));
    s->id = id, s->in = s->out[0] = s->out[1] = -1;
    kernel_log_read();
    s->kills = kills;
    s->credit = OUTPUT_CREDIT, s->budget[0] = s->budget[1] = -1, s->why = "";
    return s;
}
static void session_end(struct session *s, u32 kind, u32 value, const char *why) {
    s->ended = 1, s->kind = kind, s->value = value, s->why = why;
    s->deadline = now_ms() + LINGER_MS;
    close_fd(&s->in);
}
static void session_free(struct session *s) {
    close_fd(&s->in), close_fd(&s->out[0]), close_fd(&s->out[1]);
    s->id = 0;
}

struct start {
    char **argv, **env;
    const char *cwd;
    const char *volatile failed; /* these three come from the child, behind the compiler's back */
    volatile int error, cwd_error; /* the latter: why it begins in /, where that will do */
    const struct guest_user *user;
    int fds[3], tty, cwd_optional;
};

/* Runs in the vforked child: shares memory with the parent, so it only makes system calls and notes why it failed. */
static void child(struct start *volatile x) {
    static char path[4096];
    sigset_t none;
    sigemptyset(&none);
    setsid();
    x->failed = "standard streams";
    for (int i = 0; i < 3; i++)
        if (dup2(x->fds[i], i) < 0) goto failed;
    if (x->tty && ioctl(0, TIOCSCTTY, 0)) goto failed;
    x->failed = "cwd";
    int elsewhere = chdir(x->cwd); /* before the user is changed, and again after: either may be the one allowed to */
    x->failed = "user";
    /* The plain system calls: musl's wrappers would try to change every thread, and memory is shared with the parent. */
    const struct guest_user *u = x->user;
    if (syscall(SYS_setgroups, u->group_count, u->groups) || syscall(SYS_setresgid, u->gid, u->gid, u->gid)) goto failed;
    if (syscall(SYS_setresuid, u->uid, u->uid, u->uid)) goto failed;
    x->failed = "cwd";
    if (elsewhere && chdir(x->cwd)) {
        if (!x->cwd_optional) goto failed;
        x->cwd_error = errno;
        if (chdir("/")) goto failed;
    }
    umask(022);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    x->failed = "command";
    const char *name = x->argv[0], *search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    if (strchr(name, '/')) {
        execve(name, x->argv, x->env);
        goto failed;
    }
    for (char **e = x->env; *e; e++)
        if (!strncmp(*e, "PATH=", 5)) search = *e + 5;
    int denied = 0; /* as shells do it: only a file that is there counts, not a directory that may not be searched */
    errno = ENOENT;
    while (*name) {
        size_t n = strcspn(search, ":");
        struct stat st;
        if (n + strlen(name) + 2 < sizeof path) {
            memcpy(path, search, n);
            if (n) path[n++] = '/';
            strcpy(path + n, name);
            execve(path, x->argv, x->env);
            int error = errno;
            if (error != ENOENT && !stat(path, &st) && !S_ISDIR(st.st_mode)) {
                denied = 1;
                errno = error;
                if (error != EACCES) goto failed;
            }
        }
        search += strcspn(search, ":");
        if (!*search++) break;
    }
    errno = denied ? EACCES : ENOENT;
failed:
    x->error = errno;
    _exit(127);
}

static int open_pty(struct session *s, struct start *x, u32 rows, u32 columns) {
    int unlocked = 0;
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    s->out[0] = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (s->out[0] < 0 || ioctl(s->out[0], TIOCSPTLCK, &unlocked) || ioctl(s->out[0], TIOCSWINSZ, &size)) return -1;
    int fd = ioctl(s->out[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) return -1;
    x->fds[0] = x->fds[1] = x->fds[2] = fd;
    if (fchown(fd, x->user->uid, 5)) return -1; /* group tty */
    s->in = fcntl(s->out[0], F_DUPFD_CLOEXEC, 3);
    return s->in < 0 ? -1 : 0;
}
static int open_pipes(struct session *s, struct start *x) {
    int p[2];
    for (int i = 0; i < 3; i++) {
        if (pipe2(p, O_CLOEXEC)) return -1;
        x->fds[i] = p[i != 0];
        *(i ? &s->out[i - 1] : &s->in) = p[i == 0];
        fcntl(p[0], F_SETPIPE_SZ, PIPE_BYTES); /* without it, it is only slower */
        if (fcntl(p[i == 0], F_SETFL, O_NONBLOCK)) return -1;
        if (fchown(x->fds[i], x->user->uid, x->user->gid)) return -1; /* so that it may open /dev/stdin and the like */
    }
    return 0;
}

static void exec_session(u32 id, u8 *p, u32 n) {
    struct session *s = session_new(id);
    if (!s) return;
    static struct guest_user user;
    static char home[sizeof user.home + 5], root[2];
    struct start x = {.cwd = "/", .user = &user, .fds = {-1, -1, -1}};
    u32 rows = 24, columns = 80, args = 0, envs = 0;
    u8 *const end = p + n;
    char *key, *value, *who = strcpy(root, "0");
    const char *part = "";
    int has_home = 0, error;
    while ((key = next_pair(&p, end, &value)) && args + 1 < STRINGS && envs + 2 < STRINGS) {
        if (!strcmp(key, "arg")) arguments[args++] = value;
        else if (!strcmp(key, "env")) environment[envs++] = value, has_home |= !strncmp(value, "HOME=", 5);
        else if (!strcmp(key, "cwd")) x.cwd = value;
        else if (!strcmp(key, "cwd-optional")) x.cwd_optional = *value == '1';
        else if (!strcmp(key, "user")) who = value;
        else if (!strcmp(key, "tty")) x.tty = s->tty = *value == '1';
        else if (!strcmp(key, "rows")) rows = (u32)strtoul(value, NULL, 10);
        else if (!strcmp(key, "cols")) columns = (u32)strtoul(value, NULL, 10);
    }
    if (key || !args) {
        session_end(s, EXIT_NOT_STARTED, key ? E2BIG : EINVAL, key ? "arguments" : "command");
        return;
    }
    if ((error = guest_user_find(who, &user, &part))) {
        session_end(s, EXIT_NOT_STARTED, (u32)error, part);
        return;
    }
    if (!has_home) {
        snprintf(home, sizeof home, "HOME=%s", user.home);
        environment[envs++] = home;
    }
    arguments[args] = environment[envs] = NULL;
    x.argv = arguments, x.env = environment;
    if (x.tty ? open_pty(s, &x, rows, columns) : open_pipes(s, &x)) {
        x.error = errno, x.failed = x.tty ? "pseudo-terminal" : "pipes";
    } else {
        pid_t pid = vfork();
        if (!pid) child(&x);
        if (pid < 0) x.error = errno, x.failed = "fork";
        else if (!x.error) s->pid = pid;
        else while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
    }
    for (int i = 0; i < (x.tty ? 1 : 3); i++) close_fd(&x.fds[i]);
    if (x.error) {
        close_fd(&s->out[0]), close_fd(&s->out[1]);
        session_end(s, EXIT_NOT_STARTED, (u32)x.error, x.failed);
    } else frame_text(G_STARTED, id, (u32)s->pid, x.cwd_error, "");
}

static void file_session(u32 id, u8 *p, u32 n, int put) {
    struct session *s = session_new(id);
    if (!s) return;
    const char *path = "";
    mode_t mode = 0644;
    struct stat st;
    char *key, *value;
    for (u8 *end = p + n; (key = next_pair(&p, end, &value));) {
        if (!strcmp(key, "path")) path = value;
        else if (!strcmp(key, "mode")) mode = (mode_t)strtoul(value, NULL, 8) & 07777;
    }
    int flags = O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (put ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY);
    int fd = open(path, flags, mode), error = 0;
    if (fd < 0 || fstat(fd, &st)) error = errno;
    else if (S_ISDIR(st.st_mode)) error = EISDIR;
    else if (put && S_ISREG(st.st_mode) && fchmod(fd, mode)) error = errno;
    if (error) {
        close_fd(&fd);
        session_end(s, EXIT_NOT_STARTED, (u32)error, "path");
    } else *(put ? &s->in : &s->out[0]) = fd;
}

static void session_forget(struct session *s) {
    close_fd(&s->in), close_fd(&s->out[0]), close_fd(&s->out[1]);
    if (s->ended || !s->pid) {
        session_free(s);
        return;
    }
    s->forgotten = 1, s->deadline = now_ms() + HUP_GRACE_MS;
    kill(-s->pid, SIGHUP), kill(-s->pid, SIGCONT);
}

/* Hands buffered stdin to the process. One that has closed its stdin loses the rest, so the host never waits for it. */
static void session_feed(struct session *s) {
    while (s->in >= 0 && s->in_pos < s->in_len) {
        ssize_t n = write(s->in, s->buffer + s->in_pos, s->in_len - s->in_pos);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
        if (n < 0) {
            int error = errno, file = !s->pid;
            close_fd(&s->in);
            if (file) session_end(s, EXIT_NOT_STARTED, (u32)error, "write");
            break;
        }
        s->in_pos += (u32)n, s->freed += (u32)n;
    }
    if (s->in < 0) s->freed += s->in_len - s->in_pos, s->in_pos = s->in_len;
    if (s->in_pos == s->in_len) s->in_pos = s->in_len = 0;
    if (!s->in_len && s->in_eof && s->in >= 0 && !(s->tty && s->in_eof == 2)) {
        if (s->tty) { /* a terminal has no end of file; the end-of-file character is what a person would type */
            if (write(s->in, "\4", 1) == 1) s->in_eof = 2;
        } else {
            int file = !s->pid;
            close_fd(&s->in);
            if (file) session_end(s, EXIT_CODE, 0, "");
        }
    }
    if (s->freed && !s->ended && (s->freed >= STDIN_CREDIT / 4 || !s->in_len)) frame32(G_CREDIT, s->id, s->freed), s->freed = 0;
}

static void session_stdin(struct session *s, const u8 *p, u32 n, u8 flags) {
    if (s->in_eof || s->ended) return;
    while (!s->in_len && s->in >= 0 && n) { /* what the process takes at once is not copied; session_feed tells of errors */
        ssize_t taken = write(s->in, p, n);
        if (taken <= 0) break;
        p += taken, n -= (u32)taken, s->freed += (u32)taken;
    }
    if (s->in_pos && s->in_len + n > STDIN_CREDIT) {
        memmove(s->buffer, s->buffer + s->in_pos, s->in_len - s->in_pos);
        s->in_len -= s->in_pos, s->in_pos = 0;
    }
    if (n > STDIN_CREDIT - s->in_len) n = STDIN_CREDIT - s->in_len; /* more than the host had credit for */
    memcpy(s->buffer + s->in_len, p, n);
    s->in_len += n;
    if (flags & FIN) s->in_eof = 1;
    session_feed(s);
}

/* Whether a piece of output may be as long as a slot, and there is none free. */
static int slots_full(void) { return wide && shared && slots_out - slots_taken >= slots; }

static void output_close(struct session *s, int i) {
    close_fd(&s->out[i]);
    if (!s->eof_sent[i]) frame((u8)(G_STDOUT + i), FIN, s->id, NULL, 0);
    s->eof_sent[i] = 1;
}

/* Forwards output while credit and room last; closes at the end, at an error, or when descendants linger too long. */
static void output_pump(struct session *s, int i, u64 now) {
    int waiting = 0;
    if (s->out[i] < 0) return;
    if (s->ended && s->pid && now >= s->deadline && s->budget[i] < 0) {
        if (s->tty || ioctl(s->out[i], FIONREAD, &s->budget[i])) s->budget[i] = OUTPUT_CREDIT;
    }
    for (int turn = 0; turn < 4 && s->out[i] >= 0; turn++) {
        u32 longest = wide ? shared ? SLOT : OUT_PAYLOAD : OLD_PAYLOAD;
        u32 most = s->credit < longest ? s->credit : longest;
        if (s->budget[i] >= 0 && (u32)s->budget[i] < most) most = (u32)s->budget[i];
        if (s->budget[i] == 0 || (!most && s->ended && !s->tty && !ioctl(s->out[i], FIONREAD, &waiting) && !waiting && now >= s->deadline)) {
            output_close(s, i);
            return;
        }
        u8 *space = most && out_used() < OUT_DATA && !slots_full() ? frame_space() : NULL;
        if (!space) return;
        u8 *slot = longest == SLOT ? shared + (slots + slots_out % slots) * SLOT : NULL;
        ssize_t n = read(s->out[i], slot ? slot : space, most);
        if (n > 0) {
            if (slot && n >= SLOT_LEAST) {
                put32(space, (u32)n), slots_out++;
                frame_done((u8)(G_STDOUT + i), MEMORY, s->id, 4);
            } else {
                if (slot) memcpy(space, slot, (size_t)n);
                frame_done((u8)(G_STDOUT + i), 0, s->id, (u32)n);
            }
            s->credit -= (u32)n;
            if (s->budget[i] >= 0) s->budget[i] -= (int)n;
        } else if (n < 0 && errno == EINTR) continue;
        else if (n < 0 && errno == EAGAIN) {
            if (s->budget[i] >= 0) output_close(s, i);
            return;
        } else { /* end of file; for a pty EIO means the same */
            int error = n < 0 && !s->tty ? errno : 0, file = !s->pid;
            output_close(s, i);
            if (file) session_end(s, error ? EXIT_NOT_STARTED : EXIT_CODE, (u32)error, error ? "read" : "");
        }
    }
}

static void session_turn(struct session *s, u64 now) {
    if (s->forgotten) {
        if (s->ended) session_free(s);
        else if (now >= s->deadline) kill(-s->pid, SIGKILL), s->deadline = now + HUP_GRACE_MS;
        return;
    }
    session_feed(s);
    output_pump(s, 0, now), output_pump(s, 1, now);
    if (s->ended && !s->reported && s->out[0] < 0 && s->out[1] < 0 && out_used() < OUT_SNAP) {
        if (s->kind != EXIT_NOT_STARTED) output_close(s, 0), output_close(s, 1);
        frame_text(G_EXITED, s->id, s->kind, (int)s->value, s->why);
        s->reported = 1;
    }
}

static int is_server(pid_t pid) {
    int i = 0;
    while (i < server_count && servers[i] != pid) i++;
    return i < server_count;
}

/* Kills all processes but ours, or counts them. Those of the kernel itself have no program and do not end. */
static int others(int number) {
    char path[64], program[2];
    struct dirent *entry;
    int count = 0;
    DIR *all = opendir("/proc");
    while (all && (entry = readdir(all))) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid <= 1 || is_server(pid)) continue;
        snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
        if (readlink(path, program, sizeof program) < 0) continue; /* a kernel thread, or one that has ended */
        count++;
        if (number) kill(pid, number);
    }
    if (all) closedir(all);
    return count;
}

static void reap(void) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < server_count; i++)
            if (servers[i] == pid) servers[i] = servers[--server_count];
        for (struct session *s = sessions; s < sessions_end; s++)
            if (s->id && s->pid == pid && !s->ended) {
                if (s->forgotten) kill(-pid, SIGKILL); /* the leader went: its grace is over */
                int by_signal = WIFSIGNALED(status), value = by_signal ? WTERMSIG(status) : WEXITSTATUS(status);
                if (value == (by_signal ? SIGKILL : 128 + SIGKILL)) kernel_log_read(); /* of a shell: what it ran was killed */
                else s->kills = kills;
                if (kills != s->kills) strcpy(s->killed, last_killed);
                session_end(s, by_signal ? EXIT_SIGNAL : EXIT_CODE, (u32)value, s->killed);
                break;
            }
    }
    childless = pid < 0 && errno == ECHILD;
    if (!pid && server_count && poweroff_stage) childless = !others(0);
}

/* --- watches --- */
static void watch(u8 *p, u32 n) {
    char *key, *value;
    watch_count = watch_next = watch_interval = 0;
    for (u8 *end = p + n; (key = next_pair(&p, end, &value));) {
        if (!strcmp(key, "interval-ms")) watch_interval = (u32)strtoul(value, NULL, 10);
        else if (!strcmp(key, "path") && watch_count < WATCHES && strlen(value) < sizeof *watch_paths && !strstr(value, "/..") &&
                 (!strncmp(value, "/proc/", 6) || !strncmp(value, "/sys/", 5)))
            strcpy(watch_paths[watch_count++], value);
    }
    /* Not at once: what is asked for next, mostly the workload's start, does not wait for it. */
    watch_due = watch_count ? now_ms() + watch_interval : 0;
}

static void watch_send(const char *path) {
    u32 name = (u32)strlen(path), length = 0, head = 10 + name;
    u64 at = now_ns();
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    for (ssize_t n; fd >= 0 && length < SNAPSHOT && (n = read(fd, snapshot + length, SNAPSHOT - length)) > 0;) length += (u32)n;
    if (fd >= 0) close(fd);
    for (u32 sent = 0, first = 1; first || sent < length; first = 0) {
        u8 *space = frame_space();
        if (!space) return;
        u32 n = (wide ? OUT_PAYLOAD : OLD_PAYLOAD) - (first ? head : 0);
        if (n > length - sent) n = length - sent;
        if (first) put32(space, (u32)at), put32(space + 4, (u32)(at >> 32)), put16(space + 8, name), memcpy(space + 10, path, name);
        memcpy(space + (first ? head : 0), snapshot + sent, n);
        sent += n;
        frame_done(G_SNAPSHOT, sent < length ? MORE : 0, 0, n + (first ? head : 0));
    }
}

static void watch_turn(u64 now) {
    if (!watch_due || now < watch_due) return;
    while (watch_next < watch_count && out_used() < OUT_SNAP) watch_send(watch_paths[watch_next++]);
    if (watch_next < watch_count) return; /* the host reads slowly: the rest of this round comes when there is room */
    watch_next = 0, watch_due += watch_interval;
    if (watch_due <= now) watch_due = now + watch_interval;
    if (!watch_interval) watch_due = 0;
}

/* --- frames from the host --- */
/* Of a frame towards the guest: what begins like a longer one is noise, and is not waited for. */
static u32 longest_payload(void) { return line_tty ? TTY_PAYLOAD : IN_PAYLOAD; }

static void send_hello(u32 nonce) {
    u8 p[512];
    struct utsname name;
    cpu_set_t set;
    uname(&name);
    int cpus = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set), n = 8;
    put16(p, VERSION), put16(p + 2, 0), put32(p + 4, nonce);
    n += snprintf((char *)p + n, 200, "release=%s", name.release) + 1;
    n += snprintf((char *)p + n, 50, "cpus=%d", cpus) + 1;
    n += snprintf((char *)p + n, 50, "window=%d", line_tty ? TTY_WINDOW : PORT_WINDOW) + 1;
    n += snprintf((char *)p + n, 50, "payload=%u", longest_payload()) + 1;
    n += snprintf((char *)p + n, 50, "stdin=%d", STDIN_CREDIT) + 1;
    n += snprintf((char *)p + n, 50, "slots=%u", slots) + 1;
    if (nonce && seeded) n += snprintf((char *)p + n, 100, "boot-id=%s", boot_id()) + 1;
    frame(G_HELLO, 0, 0, p, (u32)n);
}

static void hello(u32 nonce, u32 abilities, u32 unparsed) {
    u8 p[16 + sizeof sessions->killed];
    wide = abilities & WIDE, slots_in = slots_out = slots_taken = 0;
    line_base = line_read - unparsed, line_acked = 0, greeted = 1, message_type = 0, watch_due = 0;
    for (struct session *s = sessions; s < sessions_end; s++) {
        if (!s->id || s->forgotten) continue;
        s->credit = 0;
        u32 length = wide && s->ended ? (u32)strlen(s->killed) : 0;
        put32(p, s->reported), put32(p + 4, (u32)s->pid), put32(p + 8, s->kind), put32(p + 12, s->value);
        memcpy(p + 16, s->killed, length);
        frame(G_SESSION, 0, s->id, p, 16 + length);
    }
    send_hello(nonce);
    for (struct session *s = sessions; s < sessions_end; s++) {
        if (!s->id || s->forgotten || s->ended) continue;
        s->freed = 0;
        frame32(G_CREDIT, s->id, STDIN_CREDIT - (s->in_len - s->in_pos));
    }
}

static void poweroff(u32 grace, u32 how) {
    if (poweroff_stage) return;
    poweroff_stage = 1, poweroff_how = how, poweroff_due = now_ms() + grace;
    kill(-1, SIGTERM), kill(-1, SIGCONT);
    reap(); /* finds out whether there is anybody to wait for */
}

static void dispatch(u8 type, u8 flags, u32 id, u8 *p, u32 n, u32 unparsed) {
    struct session *s = session_find(id);
    switch (type) {
    case H_HELLO: if (n == 8 && get32(p + 4)) hello(get32(p + 4), get16(p + 2), unparsed); break;
    case H_TAKEN: if (n == 4 && get32(p) - slots_taken <= slots_out - slots_taken) slots_taken = get32(p); break;
    case H_CONFIGURE: configure(id, p, n); break;
    case H_EXEC: exec_session(id, p, n); break;
    case H_PUT: file_session(id, p, n, 1); break;
    case H_GET: file_session(id, p, n, 0); break;
    case H_WATCH: watch(p, n); break;
    case H_STDIN:
        if (flags & MEMORY) {
            if (!shared || n != 4 || get32(p) > SLOT) break;
            n = get32(p), p = shared + slots_in++ % slots * SLOT;
        }
        if (s) session_stdin(s, p, n, flags);
        break;
    case H_SIGNAL: if (s && n == 4 && s->pid && !s->ended && get32(p) < 65) kill(-s->pid, (int)get32(p)); break;
    case H_RESIZE:
        if (s && n == 4 && s->tty && s->out[0] >= 0) {
            struct winsize size = {.ws_row = (unsigned short)get16(p), .ws_col = (unsigned short)get16(p + 2)};
            ioctl(s->out[0], TIOCSWINSZ, &size);
        }
        break;
    case H_CREDIT: if (s && n == 4 && get32(p) <= OUTPUT_CREDIT && s->credit < (1u << 30)) s->credit += get32(p); break;
    case H_FORGET: if (s) session_forget(s); break;
    case H_BELL: bell_in(id); break;
    case H_TIME: tell_time(id); break;
    case H_POWEROFF: if (n == 8) poweroff(get32(p), get32(p + 4)); break;
    }
}

static void frame_in(u8 type, u8 flags, u32 id, u8 *p, u32 n, u32 unparsed) {
    int splits = type == H_CONFIGURE || type == H_EXEC || type == H_WATCH || type == H_PUT || type == H_GET;
    int goes_on = message_type && message_type == type && message_session == id;
    if (!splits || (!(flags & MORE) && !goes_on)) {
        dispatch(type, flags, id, p, n, unparsed);
        return;
    }
    if (!goes_on) message_type = type, message_session = id, message_len = 0, message_bad = 0;
    if (n > MESSAGE - message_len) message_bad = 1;
    if (!message_bad) memcpy(message + message_len, p, n), message_len += n;
    if (flags & MORE) return;
    message_type = 0;
    if (!message_bad) dispatch(type, flags, id, message, message_len, unparsed);
    else if (type == H_CONFIGURE) frame_text(G_RESULT, id, E2BIG, -1, "message");
    else if (type != H_WATCH) frame_text(G_EXITED, id, EXIT_NOT_STARTED, E2BIG, "message");
}

static void line_parse(void) {
    u32 at = 0, longest = longest_payload();
    while (in_len - at >= HEADER && out_used() < OUT_PARSE) {
        u8 *p = in + at;
        u32 n = get16(p + 8);
        if (p[0] != 'P' || p[1] != 'K' || n > longest || get16(p + 10)) {
            u8 *next = memchr(p + 1, 'P', in_len - at - 1);
            at = next ? (u32)(next - in) : in_len;
            continue;
        }
        if (in_len - at < HEADER + n) break;
        if (crc(crc(0, p, 12), p + HEADER, n) != get32(p + 12)) {
            at++;
            continue;
        }
        at += HEADER + n;
        frame_in(p[2], p[3], get32(p + 4), p + HEADER, n, in_len - at);
    }
    memmove(in, in + at, in_len - at);
    in_len -= at;
}

static void line_input(u64 now) {
    ssize_t n = read(line, in + in_len, sizeof in - in_len);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) line_rest = now + LINE_RETRY_MS;
    if (n <= 0) return;
    in_len += (u32)n, line_read += (u32)n;
    /* A port gives a page at a time; a turn of the loop costs more than that. */
    while (!line_tty && in_len < sizeof in && (n = read(line, in + in_len, sizeof in - in_len)) > 0) in_len += (u32)n, line_read += (u32)n;
    line_parse();
    u32 count = line_read - line_base;
    /* A wide line needs few acknowledgements: what is left open is far less than its window. */
    if (greeted && count - line_acked > (line_tty || !wide ? 0 : PORT_WINDOW / 4)) frame32(G_ACK, 0, count), line_acked = count;
}

/* --- power off --- */
static void unmount_all(void) {
    FILE *f = fopen("/proc/self/mounts", "re"); /* the only stdio stream, at the very end */
    static char lines[128][512];
    int n = 0;
    while (f && n < 128 && fgets(lines[n], sizeof *lines, f)) n++;
    while (n-- > 0) {
        char *target = strchr(lines[n], ' ');
        if (!target) continue;
        target[1 + strcspn(target + 1, " ")] = 0;
        if (target[2] && strncmp(target + 1, "/dev", 4) && strncmp(target + 1, "/proc", 5)) umount2(target + 1, 0);
    }
    mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
}

static int output_waits(void) {
    for (struct session *s = sessions; s < sessions_end; s++)
        if (s->id && s->pid && !s->forgotten && !s->reported) return 1;
    return 0;
}

static void poweroff_turn(u64 now) {
    if (!poweroff_stage) return;
    if (poweroff_stage < 3 && !childless) {
        if (now < poweroff_due) return;
        if (poweroff_stage == 1) {
            poweroff_stage = 2, poweroff_due = now + 2000;
            if (server_count) others(SIGKILL); /* what they had open is still to be written */
            else kill(-1, SIGKILL);
            return;
        }
    }
    if (poweroff_stage < 3) poweroff_stage = 3, poweroff_due = now + 300; /* for last output to reach the host */
    if (output_waits() && now < poweroff_due) return;
    sync();
    unmount_all();
    sync();
    frame(G_GOODBYE, 0, 0, NULL, 0);
    for (u64 end = now_ms() + 500; out_used() && now_ms() < end;) {
        struct pollfd p = {.fd = line, .events = POLLOUT};
        line_flush();
        if (out_used()) poll(&p, 1, 20);
    }
    for (int left = 1, i = 0; line_tty && left && i < 50; i++) /* what the tty driver still holds */
        if (ioctl(line, TIOCOUTQ, &left) || left) usleep(2000);
    reboot(poweroff_how == 1 ? RB_AUTOBOOT : RB_POWER_OFF);
    die("cannot power off", NULL);
}

/* --- boot --- */
static void boot_mounts(void) {
    static const struct { const char *type, *target, *data; unsigned long flags; } mounts[] = {
        {"devtmpfs", "/dev", "mode=0755", MS_NOSUID},
        {"proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
        {"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
        {"tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV},
        {"devpts", "/dev/pts", "gid=5,mode=0620,ptmxmode=0666", MS_NOSUID | MS_NOEXEC},
        {"tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV},
    };
    static const char *const links[][2] = {
        {"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"}, {"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"},
    };
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
        mkdir(mounts[i].target, 0755);
        if (mount(mounts[i].type, mounts[i].target, mounts[i].type, mounts[i].flags, mounts[i].data))
            say("cannot mount", mounts[i].target); /* a kernel without one of them can still be of use */
        if (i == 2) write_file("/sys/kernel/uevent_helper", "\n"); /* or each new device forks a helper that is not there */
    }
    mkdir("/run/pk", 0755), mkdir("/run/pk/bin", 0755);
    if (mount("/pk", "/run/pk/bin", NULL, MS_BIND, NULL)) say("cannot mount", "/run/pk/bin"); /* /run is carried through switch-root */
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (symlink(links[i][0], links[i][1]) && errno != EEXIST) say("cannot link", links[i][1]);
}

static void boot_modules(void) {
    static char list[16384];
    char *save = NULL;
    int fd = open("/etc/modules", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (read(fd, list, sizeof list - 1) < 0) list[0] = 0;
    close(fd);
    for (char *path = strtok_r(list, "\n", &save); path; path = strtok_r(NULL, "\n", &save)) {
        int error = *path == '/' ? load_module(path) : 0;
        if (error) errno = error, say("cannot load module", path);
    }
}

static void boot_loopback(void) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
}

/*
 * The memory that User Mode Linux shares under the name `mmapper`, where its serial line carries single bytes. `pk.slots=` on
 * the command line says how many slots there are in each direction. A kernel without that device does without.
 */
static void open_shared(const char *cmdline) {
    const char *given = strstr(cmdline, "pk.slots="), device[] = "/dev/mmapper";
    u32 count = given ? (u32)strtoul(given + 9, NULL, 10) : 0;
    int fd = count && count <= SLOTS_MOST ? open(device, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *at = mmap(NULL, (size_t)count * 2 * SLOT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) return;
    shared = at, slots = count;
    unlink(device);
}

/* The virtio-serial port named `polykernel`. There is no udev, so its device node is found through sysfs. */
static int open_virtio(void) {
    char path[300], name[32];
    struct dirent *entry;
    int found = -1;
    DIR *ports = opendir("/sys/class/virtio-ports");
    while (ports && found < 0 && (entry = readdir(ports))) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof name);
        if (fd >= 0) close(fd);
        if (n != 11 || memcmp(name, "polykernel\n", 11)) continue;
        snprintf(path, sizeof path, "/dev/%s", entry->d_name);
        found = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    if (ports) closedir(ports);
    return found;
}

static void open_line(void) {
    char text[4096] = "", *control, path[80];
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0) die("cannot read", "/proc/cmdline");
    close(fd);
    open_shared(text);
    control = strstr(text, "pk.control=");
    control = control ? control + 11 : "ttyS0";
    control[strcspn(control, " \n")] = 0;
    if (!strcmp(control, "virtio")) {
        for (int i = 0; (line = open_virtio()) < 0 && i < 15000; i++) usleep(2000);
        if (line < 0) die("cannot find the virtio-serial port", "polykernel");
        return;
    }
    struct termios raw;
    snprintf(path, sizeof path, "/dev/%.64s", control);
    line = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (line < 0) die("cannot open the control line", path);
    if (!tcgetattr(line, &raw)) {
        line_tty = 1;
        cfmakeraw(&raw);
        tcsetattr(line, TCSANOW, &raw);
    }
}

/* --- the loop --- */
static void on_child(int number) {
    (void)number;
    child_ended = 1;
}

static void soonest(u64 *at, u64 due) {
    if (due < *at) *at = due;
}

static void loop(const sigset_t *while_waiting) {
    static struct pollfd polls[2 + 3 * SESSIONS];
    for (;;) {
        u64 now = now_ms(), wake = UINT64_MAX;
        int count = 2, room = out_used() < OUT_DATA, fits = room && !slots_full();
        int rests = line_rest > now, hears = in_len < sizeof in && out_used() < OUT_PARSE;
        polls[0].fd = rests || !(hears || out_used()) ? -1 : line;
        polls[0].events = (short)((hears ? POLLIN : 0) | (out_used() ? POLLOUT : 0));
        polls[1] = (struct pollfd){.fd = room ? bell_fifo : -1, .events = POLLIN};
        if (rests) soonest(&wake, line_rest);
        if (watch_due && out_used() < OUT_SNAP) soonest(&wake, watch_due);
        if (workers_due) soonest(&wake, workers_due);
        if (inodes_most) soonest(&wake, inodes_due);
        if (poweroff_stage) soonest(&wake, poweroff_due);
        for (struct session *s = sessions; s < sessions_end; s++) {
            if (!s->id) continue;
            if (s->forgotten || (s->ended && s->pid && now < s->deadline && !s->reported)) soonest(&wake, s->deadline);
            if (s->in >= 0 && s->in_len) polls[count++] = (struct pollfd){.fd = s->in, .events = POLLOUT};
            for (int i = 0; i < 2; i++)
                if (s->out[i] >= 0 && s->credit && fits) polls[count++] = (struct pollfd){.fd = s->out[i], .events = POLLIN};
        }
        struct timespec timeout = {0};
        if (wake != UINT64_MAX && wake > now) timeout = (struct timespec){(time_t)((wake - now) / 1000), (long)((wake - now) % 1000) * 1000000};
        ppoll(polls, (nfds_t)count, wake == UINT64_MAX ? NULL : &timeout, while_waiting);
        now = now_ms();
        if (child_ended) child_ended = 0, reap();
        if (polls[0].fd >= 0 && polls[0].revents & (POLLIN | POLLHUP | POLLERR)) line_input(now);
        else if (in_len && hears) line_parse(); /* left over from when there was no room for the answers */
        for (struct session *s = sessions; s < sessions_end; s++)
            if (s->id) session_turn(s, now);
        if (polls[1].fd >= 0 && polls[1].revents) bells_out();
        watch_turn(now);
        workers_turn(now);
        inodes_turn(now);
        line_flush();
        poweroff_turn(now);
    }
}

int main(void) {
    sigset_t blocked, while_waiting;
    struct sigaction action = {.sa_handler = on_child};
    umask(0);
    boot_mounts();
    boot_modules();
    boot_loopback();
    if ((kernel_log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) >= 0) lseek(kernel_log, 0, SEEK_END);
    crc_setup();
    sigemptyset(&while_waiting);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    sigaction(SIGCHLD, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    open_line();
    send_hello(0);
    line_flush();
    loop(&while_waiting);
}
