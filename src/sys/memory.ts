/**
 * Memory shared between processes: the only door to mmap(2), madvise(2), memfd_create(2), futex(2) and malloc_trim(3).
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { asPolykernelError, PolykernelError } from './errors.ts';
import { type Libc, libc } from './libc.ts';
import { isTrusted } from './places.ts';

const PROT_READ_WRITE = 3;
const O_PATH = 0o1000_0000;
const MAP_SHARED = 1;
const MADV_DONTNEED = 4;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const MFD_CLOEXEC_ALLOW_SEALING = 3;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW: a peer that truncates mapped memory would kill us by SIGBUS. */
const SIZE_SEALS = 7;
/** Set and ask for a lock that belongs to the open file: the kernel drops it with the last descriptor of it. */
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_WRLCK = 1;
const F_UNLCK = 2;
const FUTEX_WAIT = 0;
const FUTEX_WAKE = 1;
const SYS_FUTEX = process.arch === 'arm64' ? 98 : 202;

interface Library {
  mmap(at: null, bytes: number, protection: number, flags: number, fd: number, offset: number): bigint;
  munmap(at: bigint, bytes: number): number;
  madvise(at: bigint, bytes: number, advice: number): number;
  memfd(name: string, flags: number): number;
  seal(fd: number, command: number, seals: number): number;
  /** fcntl(2) with a struct flock of 32 bytes, as on all 64-bit machines. */
  lock(fd: number, command: number, lock: Uint8Array): number;
  /** futex(2) on the word at an address. A null timeout is for ever. */
  futex(call: number, word: bigint, operation: number, value: number, timeout: BigInt64Array | null): number;
  /** malloc_trim(3); musl has none. */
  trim: ((keep: number) => number) | undefined;
  errno(): number;
  view(at: bigint, bytes: number): ArrayBuffer;
}

let loaded: Library | undefined;

function library(): Library {
  if (loaded !== undefined) return loaded;
  let c: Libc;
  try {
    c = libc();
  } catch (cause) {
    throw new PolykernelError('unavailable', 'shared memory needs koffi, which is not installed for this machine', {
      hint: 'Run `npm install --include=optional` in the Polykernel checkout.',
      cause,
    });
  }
  loaded = {
    mmap: c.func('void *mmap(void *at, size_t bytes, int protection, int flags, int fd, int64_t offset)'),
    munmap: c.func('int munmap(void *at, size_t bytes)'),
    madvise: c.func('int madvise(void *at, size_t bytes, int advice)'),
    memfd: c.func('int memfd_create(const char *name, unsigned int flags)'),
    seal: c.func('int fcntl(int fd, int command, int seals)'),
    lock: c.func('int fcntl(int fd, int command, uint8_t *lock)'),
    futex: c.func('long syscall(long call, void *word, long operation, long value, int64_t *timeout)'),
    trim: optional(() => c.func('int malloc_trim(size_t keep)')),
    errno: c.errno,
    view: c.view,
  } as unknown as Library;
  return loaded;
}

function optional<T>(find: () => T): T | undefined {
  try {
    return find();
  } catch {
    return undefined;
  }
}

/** Gives what malloc(3) holds free back to the host kernel, as far as that can be done here. */
export function releaseFreeMemory(): void {
  optional(library)?.trim?.(0);
}

/** What is mapped now. */
const mappings = new Set<SharedMemory>();

/**
 * Takes shared memory out of this process's page tables until it is touched again; what is in it stays. A ring is gone round bit by bit, and
 * all that was ever touched would count as this process's own: with a line of 512 KiB to each kernel far more than the rest of it.
 */
export function letGoOfShared(): void {
  for (const mapping of mappings) mapping.letGo();
}

/** A mapping in /proc/PID/smaps that cannot be written to now, with its path and what the lines below say of it. */
const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \d+ +(.*)\n((?:[A-Z]\w*:.*\n)*)/gm;
/** Nobody has ever written to it: all of it is in the file. What the loader wrote before it closed a mapping would be lost. */
const IS_CLEAN = /^Anonymous: +0 kB$/m;

/**
 * Takes Node's own code and constants out of this process's page tables until they are used again, from the host's page cache, where
 * they stay: half of what was needed to start, compile and collect is not needed by a program at rest.
 */
export function letGoOfProgram(): void {
  const mappings = readFileSync('/proc/self/smaps', 'latin1');
  const program = readlinkSync('/proc/self/exe');
  for (const [, from, to, path, facts] of mappings.matchAll(MAPPING)) {
    if (path !== program || !IS_CLEAN.test(facts!)) continue;
    const at = BigInt(`0x${from}`);
    optional(library)?.madvise(at, Number(BigInt(`0x${to}`) - at), MADV_DONTNEED);
  }
}

function failure(doing: string): PolykernelError {
  const errno = library().errno();
  const code = Object.entries(osConstants.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
  return asPolykernelError(Object.assign(new Error(code), { code }), doing);
}

/** What ended a futex wait: a wake (or a signal), a word that no longer had the expected value, or the time limit. */
export type FutexResult = 'woken' | 'changed' | 'timeout';

/**
 * Sleeps while the 32-bit word at `address` is `expected`. Blocks the thread. An address that is no longer mapped counts
 * as changed, so that a helper thread may outlive the mapping it waits on.
 */
export function futexWaitAt(address: bigint, expected: number, timeoutMs?: number): FutexResult {
  const { futex, errno } = library();
  const seconds = Math.floor((timeoutMs ?? 0) / 1000);
  const nanoseconds = Math.floor(((timeoutMs ?? 0) - seconds * 1000) * 1e6);
  const timeout = timeoutMs === undefined ? null : BigInt64Array.of(BigInt(seconds), BigInt(nanoseconds));
  if (futex(SYS_FUTEX, address, FUTEX_WAIT, expected, timeout) === 0) return 'woken';
  const reason = errno();
  if (reason === osConstants.errno.ETIMEDOUT) return 'timeout';
  if (reason === osConstants.errno.EINTR) return 'woken';
  if (reason === osConstants.errno.EAGAIN || reason === osConstants.errno.EFAULT) return 'changed';
  throw failure('waiting on shared memory');
}

/**
 * A shared mapping of a file, which it owns: disposing unmaps. Every typed array made of `buffer` is detached first, so
 * that a late access is a TypeError or undefined and never a SIGSEGV.
 */
export class SharedMemory implements Disposable {
  readonly bytes: number;
  /** The open file; another process of the same user maps it through /proc/PID/fd/FD. */
  readonly fd: number;
  private mapped: ArrayBuffer | undefined;
  private readonly address: bigint;
  private readonly offset: number;

  private constructor(fd: number, bytes: number, offset = 0) {
    const { mmap, view } = library();
    const address = mmap(null, bytes, PROT_READ_WRITE, MAP_SHARED, fd, offset);
    if (address === MAP_FAILED) throw failure(`mapping ${bytes} bytes of shared memory`);
    this.address = address;
    this.bytes = bytes;
    this.offset = offset;
    this.fd = fd;
    this.mapped = view(address, bytes);
    mappings.add(this);
  }

  /** Whether this process can map memory at all. */
  static isAvailable(): boolean {
    try {
      library();
      return true;
    } catch {
      return false;
    }
  }

  /** Makes the file `path` of `bytes` zero bytes, mode 0600. Throws `conflict` when it exists. */
  static create(path: string, bytes: number): SharedMemory {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    return SharedMemory.own(openFile(path, flags), bytes);
  }

  /** Maps all of the file at `path`. Whoever may truncate that file may kill this process: map only what is trusted so far. */
  static open(path: string): SharedMemory {
    return SharedMemory.own(openFile(path, constants.O_RDWR));
  }

  /**
   * Maps `bytes` at `offset` of a file that may be a device, such as /dev/mem or the resource of a PCI function. Throws `permission` for
   * what another user's process has open: the number in such a path may be a process's that is gone, and its successor's by now.
   */
  static region(path: string, offset: number, bytes: number): SharedMemory {
    const fd = path.startsWith('/proc/') ? openOwn(path) : openFile(path, constants.O_RDWR);
    try {
      return new SharedMemory(fd, bytes, offset);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Memory without a name in any file system and sealed in its size: no peer can truncate it. */
  static anonymous(name: string, bytes: number): SharedMemory {
    const { memfd, seal } = library();
    const fd = memfd(name, MFD_CLOEXEC_ALLOW_SEALING);
    if (fd < 0) throw failure('making shared memory');
    const memory = SharedMemory.own(fd, bytes);
    if (seal(fd, F_ADD_SEALS, SIZE_SEALS) === 0) return memory;
    const error = failure('sealing shared memory');
    memory[Symbol.dispose]();
    throw error;
  }

  /** Takes over an open file, which is closed with the mapping; grows it to `bytes` when given. */
  static own(fd: number, bytes?: number): SharedMemory {
    try {
      if (bytes !== undefined) ftruncateSync(fd, bytes);
      const size = fstatSync(fd).size;
      if (size === 0) throw new PolykernelError('invalid', 'the file to map is empty');
      return new SharedMemory(fd, size);
    } catch (error) {
      closeSync(fd);
      throw asPolykernelError(error, 'mapping shared memory');
    }
  }

  /** The mapped bytes. Throws `conflict` after disposal. */
  get buffer(): ArrayBuffer {
    if (this.mapped === undefined) throw new PolykernelError('conflict', 'this shared memory is no longer mapped');
    return this.mapped;
  }

  /** For futexWaitAt in another thread of this process. */
  addressOf(offset: number): bigint {
    if (this.mapped === undefined || !Number.isInteger(offset) || offset < 0 || offset + 4 > this.bytes || offset % 4)
      throw new PolykernelError('invalid', `no 32-bit word of shared memory is at offset ${offset}`);
    return this.address + BigInt(offset);
  }

  /**
   * Takes the lock on one byte of the file, which no other open file may have at the same time; the kernel drops it with
   * this mapping or its process. False when another one has it.
   */
  lock(offset: number): boolean {
    const lock = this.flock(offset);
    if (library().lock(this.fd, F_OFD_SETLK, lock) === 0) return true;
    const errno = library().errno();
    if (errno === osConstants.errno.EAGAIN || errno === osConstants.errno.EACCES) return false;
    throw failure('locking shared memory');
  }

  /** Whether another open file has the lock on that byte. */
  isLocked(offset: number): boolean {
    const lock = this.flock(offset);
    if (library().lock(this.fd, F_OFD_GETLK, lock) !== 0) throw failure('looking at a lock of shared memory');
    return new DataView(lock.buffer).getInt16(0, true) !== F_UNLCK;
  }

  private flock(offset: number): Uint8Array<ArrayBuffer> {
    const lock = new Uint8Array(32);
    const view = new DataView(lock.buffer);
    view.setInt16(0, F_WRLCK, true);
    view.setBigInt64(8, BigInt(this.offset + offset), true);
    view.setBigInt64(16, 1n, true);
    return lock;
  }

  /** See letGoOfShared(). A device's stays as it is. */
  letGo(): void {
    if (this.mapped !== undefined) library().madvise(this.address, this.bytes, MADV_DONTNEED);
  }

  /** Sleeps while the word at `offset` is `expected`, at most `timeoutMs`. Blocks the thread. */
  futexWait(offset: number, expected: number, timeoutMs?: number): FutexResult {
    return futexWaitAt(this.addressOf(offset), expected, timeoutMs);
  }

  /** Wakes those who sleep on the word at `offset`; returns how many there were. */
  futexWake(offset: number, count = 1): number {
    const woken = library().futex(SYS_FUTEX, this.addressOf(offset), FUTEX_WAKE, count, null);
    if (woken < 0) throw failure('waking a sleeper on shared memory');
    return woken;
  }

  [Symbol.dispose](): void {
    if (this.mapped === undefined) return;
    // Moves the backing store to a buffer nobody holds, which leaves all views of the old one empty.
    this.mapped.transfer();
    this.mapped = undefined;
    mappings.delete(this);
    library().munmap(this.address, this.bytes);
    closeSync(this.fd);
  }
}

/** Nothing is done to a file, which may be a device, before it is known whose it is. */
function openOwn(path: string): number {
  const place = openFile(path, O_PATH);
  try {
    const status = fstatSync(place);
    if (status.isFile() && isTrusted(status.uid)) return openFile(`/proc/self/fd/${place}`, constants.O_RDWR);
    throw new PolykernelError('permission', `${path} is no memory of this user or root`, { value: path });
  } finally {
    closeSync(place);
  }
}

function openFile(path: string, flags: number): number {
  try {
    return openSync(path, flags, 0o600);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EEXIST') throw new PolykernelError('conflict', `${path} exists already`, { cause: error });
    if (code === 'ENOENT') throw new PolykernelError('not-found', `there is no ${path}`, { cause: error });
    throw asPolykernelError(error, 'opening shared memory');
  }
}
