/**
 * The machine as this driver sees it: files of a kernel with the multikernel patches, and the calls that act on its instances. Tests
 * give it a model of such a kernel.
 *
 * INVARIANT: the calls of this machine are to be had only where statfs(2) has shown the file system of the patches; a kernel without
 * them takes their flags for something else, and would replace itself. pk-kexec, which makes them, looks once more, each time,
 * and for the instance too. Nothing skips either.
 */
import { existsSync, statfsSync } from 'node:fs';
import { constants, release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { Mutex } from '../../core/mutex.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { nativeBinary } from '../../sys/paths.ts';
import { run } from '../../sys/process.ts';
import { SECOND } from './spawn-image.ts';

/** What is loaded into an instance: paths of files, and the kernel's command line. */
export interface SpawnImage {
  readonly kernel: string;
  readonly initramfs: string;
  readonly commandLine: string;
}

/** Each names the instance and its id. Rejects with an error whose `errno` is the name of what the kernel answered. */
export interface Calls {
  load(name: string, id: number, image: SpawnImage): Promise<void>;
  unload(name: string, id: number): Promise<void>;
  boot(name: string, id: number): Promise<void>;
  /** Asks it to stop; blocks for as long as the kernel waits, up to 30 s. */
  halt(name: string, id: number): Promise<void>;
  /** Stops its CPUs, wherever they are. They may take a moment more. */
  force(name: string, id: number): Promise<void>;
}

export interface MultikernelHost {
  /** Where its file system is mounted. */
  readonly root: string;
  /** The device that leads to consoles. */
  readonly tty: string;
  /** Where the agent of an instance can be reached besides its console, as pk-mktty takes it; null = nowhere. */
  second(id: number): string | null;
  readonly iomem: string;
  readonly cpuinfo: string;
  /** Of its kernel: `uname -r`. */
  readonly release: string;
  readonly calls: Calls;
  /**
   * Who changes its pool has a turn, whoever that is: what one has brought there and not yet given to an instance looks unused to others,
   * and the kernel answers what comes meanwhile with EBUSY.
   */
  readonly turns: Mutex;
  /** Lets so many milliseconds pass, for the kernel to do something else in. */
  pause(milliseconds: number): Promise<void>;
}

/** 0: control lines stay on consoles. */
const NO_VSOCK = 'POLYKERNEL_MULTIKERNEL_VSOCK';
/** Where the kernel makes the mount point (kernel/multikernel/kernfs.c); pk-kexec has the same. */
const ROOT = '/sys/fs/multikernel';
const MAGIC = 0x6d6b6673;

/** A process has one, as there is one machine. */
const TURNS = new Mutex();

/** Whether the kernel has the patches, mounted or not. */
export const isSupported = (): boolean => existsSync(ROOT);

/** What keeps this machine from being one; undefined when nothing does. */
export function hostProblem(): { reason: string; hint: string } | undefined {
  let type: number | undefined;
  try {
    ({ type } = statfsSync(ROOT));
  } catch {
    return {
      reason: `the kernel of this machine has no multikernel support (there is no ${ROOT})`,
      hint: 'docs/multikernel.md says step by step what makes a machine a multikernel host.',
    };
  }
  if (type === MAGIC) return undefined;
  return {
    reason: `the multikernel file system is not mounted on ${ROOT}`,
    hint: `Mount it: mount -t multikernel none ${ROOT}`,
  };
}

/** This machine. Throws `unavailable` unless it is a multikernel host. */
export function thisHost(): MultikernelHost {
  const problem = hostProblem();
  if (problem !== undefined) throw new PolykernelError('unavailable', problem.reason, { hint: problem.hint });
  const call = (word: string) => (name: string, id: number) => kexec([word, name, String(id)]);
  return {
    root: ROOT,
    tty: '/dev/mktty',
    second: () => (process.env[NO_VSOCK] === '0' ? null : SECOND),
    iomem: '/proc/iomem',
    cpuinfo: '/proc/cpuinfo',
    release: release(),
    turns: TURNS,
    pause: (milliseconds) => delay(milliseconds),
    calls: {
      load: (name, id, { kernel, initramfs, commandLine }) =>
        kexec(['load', name, String(id), kernel, initramfs, commandLine]),
      unload: call('unload'),
      boot: call('boot'),
      halt: call('halt'),
      force: call('force'),
    },
  };
}

async function kexec(args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await run([nativeBinary('pk-kexec'), ...args]);
  if (code === 0) return;
  const errno = Object.entries(constants.errno).find(([, number]) => String(number) === stdout.trim())?.[0];
  throw Object.assign(new Error(stderr.trim() || `pk-kexec ended with ${code}`), { errno: errno ?? 'EIO' });
}

/** What a call was refused with; undefined for other errors. */
export const errnoOfCall = (error: unknown): string | undefined => (error as { errno?: string }).errno;
