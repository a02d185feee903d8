/** What the manager sees of a kernel: its /sys, this machine's or another's, or a model. Paths are relative to it. */

export interface Sysfs {
  /**
   * Of a directory the first lines of files, and the last parts of where links lead; undefined for what is not there. Only what
   * answers at once may be asked so.
   */
  read(directory: string, names: readonly string[]): Promise<(string | undefined)[]>;
  /** Names in a directory; none where there is no such directory. */
  list(directory: string): Promise<string[]>;
  /** Of a short file that answers at once; none where there is no such file. */
  lines(path: string): Promise<string[]>;
  /** The first line of a file that may keep its reader waiting, as `sriov_numvfs` does. Rejects with SysfsFault. */
  slowRead(path: string): Promise<string>;
  /** Four bytes of a file, as a little-endian number. May take long. Rejects with SysfsFault. */
  bytes(path: string, at: number): Promise<number>;
  /** One line. Resolves when the kernel has done what it says, which nothing can break off. Rejects with SysfsFault. */
  write(path: string, text: string): Promise<void>;
  /**
   * Shares the queues and interrupts of an NVMe controller (`nvme0`) among its first `count` secondary ones, and sets these online.
   * Gives how many are. Rejects with SysfsFault.
   */
  secondariesOnline(controller: string, count: number): Promise<number>;
  close(): void;
}

/** The kernel's refusal. */
export class SysfsFault extends Error {
  /** Such as EBUSY. */
  readonly code: string;

  constructor(code: string, doing: string) {
    super(`${doing}: ${code}`);
    this.name = 'SysfsFault';
    this.code = code;
  }
}

/** Of daemons that manage no functions: there are none. */
export const noSysfs: Sysfs = {
  read: async (_, names) => names.map(() => undefined),
  list: async () => [],
  lines: async () => [],
  slowRead: async (path) => Promise.reject(new SysfsFault('ENOENT', path)),
  bytes: async (path) => Promise.reject(new SysfsFault('ENOENT', path)),
  write: async (path) => Promise.reject(new SysfsFault('ENOENT', path)),
  secondariesOnline: async (name) => Promise.reject(new SysfsFault('ENOENT', name)),
  close: () => {},
};
