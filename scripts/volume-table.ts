/** What files on a volume can do, by driver: docs/run.md has it as a table, and test/kernel/volume.test.ts tries each row. */
import { tableOf, withMarked } from './marked.ts';

/** `yes`, or `no`; what is said instead of it in the table where that is not all. */
type Outcome = 'yes' | 'no' | { outcome: 'yes' | 'no'; text: string };

export interface VolumeRow {
  /** As test/fixtures/volume and the test call it. */
  name: string;
  operation: string;
  uml: Outcome;
  qemu: Outcome;
  /** What to use where it does not work. */
  instead?: string;
}

/** In one guest, as an ordinary user but for what only root may. */
export const OPERATIONS: readonly VolumeRow[] = [
  {
    name: 'own',
    operation: 'what a user makes is his: `mkdir d && touch d/x`, `chmod 700 d`',
    uml: 'yes',
    qemu: 'yes',
  },
  { name: 'modes', operation: 'umask; a file made with mode 0 and written', uml: 'yes', qemu: 'yes' },
  { name: 'chown', operation: '`chown` by root', uml: 'yes', qemu: 'yes' },
  {
    name: 'chown-far',
    operation: 'owners above 65,535',
    uml: { outcome: 'no', text: 'no: `EINVAL`' },
    qemu: { outcome: 'no', text: 'no: `EINVAL`' },
    instead: '`tar x --no-same-owner`; a scratch or ext4 directory',
  },
  { name: 'lchown', operation: '`chown -h` of a symbolic link by root', uml: 'yes', qemu: 'yes' },
  { name: 'times', operation: 'setting times (`touch -d`, `cp -p`, `tar x`)', uml: 'yes', qemu: 'yes' },
  { name: 'touched', operation: "`touch` of a file that is there, by the host's clock", uml: 'yes', qemu: 'yes' },
  {
    name: 'fractions',
    operation: 'parts of a second in times',
    uml: 'no',
    qemu: 'no',
    instead: 'a scratch or ext4 directory',
  },
  {
    name: 'old-times',
    operation: 'times before 1970',
    uml: 'yes',
    qemu: { outcome: 'no', text: 'no: 1970' },
    instead: 'a scratch directory',
  },
  { name: 'late-times', operation: 'times after 2106', uml: 'yes', qemu: 'yes' },
  { name: 'unlinked', operation: 'open, unlink, go on reading and writing', uml: 'yes', qemu: 'yes' },
  {
    name: 'unlinked-changes',
    operation: '`ftruncate` and `fchmod` after unlink',
    uml: 'yes',
    qemu: 'no',
    instead: 'truncate before, or keep temporary files in /tmp',
  },
  { name: 'replaced', operation: 'rename over a file that is open', uml: 'yes', qemu: 'yes' },
  { name: 'symlink', operation: "symbolic links, the user's own", uml: 'yes', qemu: 'yes' },
  {
    name: 'symlink-times',
    operation: 'times of a symbolic link',
    uml: { outcome: 'no', text: 'no error, not kept' },
    qemu: 'yes',
  },
  { name: 'link', operation: 'hard links, one file under both names', uml: 'yes', qemu: 'yes' },
  { name: 'rename', operation: 'moving directories', uml: 'yes', qemu: 'yes' },
  {
    name: 'left-behind',
    operation: 'a working directory that is removed: empty, and `cd ..` leads out of it',
    uml: 'yes',
    qemu: { outcome: 'no', text: 'no: `ls` fails' },
    instead: '`cd` to another one',
  },
  {
    name: 'exchange',
    operation: '`RENAME_EXCHANGE`',
    uml: 'yes',
    qemu: 'no',
    instead: 'a symbolic link, renamed over',
  },
  { name: 'noreplace', operation: '`RENAME_NOREPLACE`', uml: 'yes', qemu: 'no', instead: '`link`, then `unlink`' },
  {
    name: 'setgid',
    operation: 'set-gid directories',
    uml: 'yes',
    qemu: 'yes',
  },
  { name: 'sticky', operation: 'sticky directories', uml: 'yes', qemu: 'yes' },
  {
    name: 'setuid',
    operation: 'set-uid and set-gid files',
    uml: 'no',
    qemu: 'no',
    instead: '`-v SRC:DST:suid`, by root alone ([why](../SECURITY.md#set-id-files))',
  },
  { name: 'fifo', operation: '`mkfifo`', uml: 'yes', qemu: 'yes' },
  { name: 'socket', operation: 'Unix sockets', uml: 'yes', qemu: 'yes' },
  { name: 'device', operation: '`mknod` of devices', uml: 'no', qemu: 'no', instead: '/dev' },
  { name: 'flock', operation: '`flock` within one guest', uml: 'yes', qemu: 'yes' },
  { name: 'fcntl', operation: '`fcntl` locks within one guest', uml: 'yes', qemu: 'yes' },
  { name: 'lease', operation: 'leases (`F_SETLEASE`)', uml: 'yes', qemu: 'no', instead: 'uml; /tmp' },
  { name: 'mmap', operation: 'shared writable mappings', uml: 'yes', qemu: 'yes' },
  { name: 'mmap-read', operation: 'a mapping that is read, of a file that `write` changes', uml: 'yes', qemu: 'yes' },
  {
    name: 'mmap-written',
    operation: '`read` and `write` of a page that a mapping has stored to since `msync`',
    uml: 'yes',
    qemu: { outcome: 'no', text: 'no: `read` misses it, and what is written is lost' },
    instead: '`msync` before; uml; /tmp',
  },
  {
    name: 'atime',
    operation: 'the time of the last reading',
    uml: 'yes',
    qemu: 'yes',
  },
  { name: 'exec', operation: 'running programs', uml: 'yes', qemu: 'yes' },
  { name: 'tmpfile', operation: '`O_TMPFILE`', uml: 'no', qemu: 'no', instead: '`mkstemp`, then `unlink`; /tmp' },
  {
    name: 'xattr',
    operation: '`user.*` attributes',
    uml: 'no',
    qemu: 'yes',
    instead: 'qemu; a loop device; /tmp from Linux 6.6 on',
  },
  {
    name: 'acl',
    operation: 'access control lists (`setfacl`)',
    uml: 'no',
    qemu: { outcome: 'no', text: "no; its mask becomes the group's bits" },
    instead: 'groups and set-gid directories; /tmp',
  },
  { name: 'capability', operation: 'capabilities of files (`setcap`)', uml: 'no', qemu: 'no', instead: 'root; /tmp' },
  { name: 'flags', operation: '`chattr`, `lsattr`', uml: 'no', qemu: 'no', instead: 'the same on this machine' },
  { name: 'fallocate', operation: '`fallocate`', uml: 'no', qemu: 'no', instead: '`posix_fallocate`, which writes' },
  {
    name: 'direct',
    operation: '`O_DIRECT`',
    uml: { outcome: 'yes', text: "yes, but through the guest's and the host's memory" },
    qemu: { outcome: 'yes', text: "yes, but through the host's memory" },
  },
  {
    name: 'holes',
    operation: '`SEEK_DATA`, `SEEK_HOLE`',
    uml: { outcome: 'no', text: 'no: all is data' },
    qemu: { outcome: 'no', text: 'no: all is data' },
  },
  { name: 'inotify', operation: 'inotify, of what the same guest does', uml: 'yes', qemu: 'yes' },
  { name: 'names', operation: 'names of 255 bytes', uml: 'yes', qemu: 'yes' },
  { name: 'offsets', operation: 'offsets beyond 4 GiB, sparse files', uml: 'yes', qemu: 'yes' },
  { name: 'listing', operation: 'removing while listing (`rm -r`)', uml: 'yes', qemu: 'yes' },
  { name: 'listing-moved', operation: 'renaming a directory while it is listed', uml: 'yes', qemu: 'yes' },
  {
    name: 'deep',
    operation: 'directories deeper than a path is long, step by step (`openat`, `cd`)',
    uml: 'yes',
    qemu: { outcome: 'yes', text: 'yes, the slower the deeper' },
  },
  { name: 'fsync', operation: "`fsync`, to the host's disk", uml: 'yes', qemu: 'yes' },
  { name: 'statfs', operation: "`df`: the host's space", uml: 'yes', qemu: 'yes' },
];

const soon: Outcome = { outcome: 'yes', text: 'within 0.1 s' };
const atOnce: Outcome = { outcome: 'yes', text: 'at once' };
const never: Outcome = { outcome: 'no', text: 'never' };

/** Between a guest and the host; another kernel that has the same directory is to a guest what the host is. */
export const SHARED: readonly VolumeRow[] = [
  { name: 'host-makes', operation: 'the host makes a file: the guest finds it', uml: atOnce, qemu: atOnce },
  {
    name: 'host-removes',
    operation: 'the host removes or replaces a file: `stat` in the guest says so',
    uml: soon,
    qemu: atOnce,
  },
  {
    name: 'host-grants',
    operation:
      'the host changes the owner or mode of a directory that is in use, as the volume itself is: users in the guest may what it says',
    uml: soon,
    qemu: { outcome: 'yes', text: 'once it is looked at (`ls -ld`), or a command begins in it' },
  },
  {
    name: 'host-rewrites',
    operation: 'the host rewrites a file: who opens it then in the guest reads that',
    uml: atOnce,
    qemu: atOnce,
  },
  {
    name: 'host-appends',
    operation: 'the host appends: the guest reads it from a file that it has open',
    uml: soon,
    qemu: { outcome: 'yes', text: 'at once; on Linux 6.8 and newer once it is opened anew' },
  },
  { name: 'guest-writes', operation: 'the guest writes: the host sees it', uml: atOnce, qemu: atOnce },
  { name: 'both-append', operation: 'both append with `O_APPEND`, in turn: nothing is lost', uml: 'yes', qemu: 'yes' },
  {
    name: 'append-at-once',
    operation: 'both append with `O_APPEND` at the same moment: nothing is lost',
    uml: 'no',
    qemu: 'yes',
    instead: 'qemu for all of them; a file for each',
  },
  {
    name: 'guest-maps',
    operation: 'the guest stores through a mapping: the host sees it',
    uml: { outcome: 'yes', text: 'at `msync` or `munmap`' },
    qemu: { outcome: 'yes', text: 'at `msync` or `munmap`' },
  },
  {
    name: 'flock-across',
    operation: '`flock` excludes the host and other kernels',
    uml: 'no',
    qemu: 'no',
    instead: 'one kernel that owns the data; `mkdir` or `O_EXCL` as a lock',
  },
  {
    name: 'fcntl-across',
    operation: '`fcntl` locks exclude the host and other kernels',
    uml: 'no',
    qemu: 'no',
    instead: 'the same: no database for two kernels at once',
  },
  {
    name: 'inotify-across',
    operation: 'inotify tells of what the host does',
    uml: never,
    qemu: never,
    instead: 'polling (`tail -F ---disable-inotify`, `CHOKIDAR_USEPOLLING=1`)',
  },
];

/** What a row says of a driver, and what the test must find. */
export const outcomeOf = (outcome: Outcome): 'yes' | 'no' => (typeof outcome === 'string' ? outcome : outcome.outcome);
export const textOf = (outcome: Outcome): string => (typeof outcome === 'string' ? outcome : outcome.text);

/** `page` with the tables between its marks renewed. */
export function withVolumeTables(page: string): string {
  const table = (title: string, rows: readonly VolumeRow[]) =>
    tableOf(
      [title, 'uml', 'qemu', 'what to use instead'],
      rows.map(({ operation, uml, qemu, instead = '' }) => [operation, textOf(uml), textOf(qemu), instead]),
    );
  const tables = [
    ...table('within a guest', OPERATIONS),
    '',
    ...table('between a guest and the host, or two guests', SHARED),
  ];
  return withMarked(page, 'volumes', tables);
}
