/**
 * The store of templates: snapshots of kernels that have booted up to their agent, to be cloned instead of booted.
 *
 *   KEY/ram        the guest's memory, sparse; clones map it privately, so its page cache is common to all of them
 *   KEY/state      everything else of the machine, as QEMU's migration stream
 *   KEY/meta.json  written last; its modification time is that of the last use
 *   locks/KEY      of the process that builds or removes it: a kernel that hangs while it boots keeps no other from its template
 *   work-KEY-*     what is built or removed just now
 *
 * INVARIANTS: a KEY directory appears by one rename, complete and on disk. Nothing in it is writable for a clone.
 * Running clones keep the memory file they have mapped also when its template is removed.
 */
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from '../../image/lock.ts';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import { checkRoom, type SpaceOf, spaceOf } from '../../sys/free-space.ts';
import { UnusableTemplate } from '../driver.ts';
import { COMMAND_VERSION, kernelCommandLine, type Machine } from './command.ts';
import { isRecord } from './qmp.ts';

export interface TemplateKey extends Machine {
  imageDigest: string;
  qemuVersion: string;
}

export interface Template {
  key: string;
  /** Absolute paths. */
  ram: string;
  state: string;
}

/** Makes the files `ram` and `state` in `directory`; rejects to leave no template. */
export type TemplateBuilder = (directory: string) => Promise<void>;

/** One template takes about 100 MiB of disk, unless its kernel writes to more of its memory while it boots: to all, if it is hostile. */
const DEFAULT_LIMIT = 8;
/** Of the file system: all templates together, but for the newest. */
const MOST_SHARE = 1 / 4;
const BLOCK_BYTES = 512;
const META = 'meta.json';
const WORK_PREFIX = 'work-';
/** As much of a key as names its lock and its work: sockets lie in that, and their paths are limited. */
const LOCK_DIGITS = 16;
/** Of a machine without its memory, which the daemon reads as a whole; true ones have about one. Who has taken QEMU over writes what it likes. */
const MOST_STATE_BYTES = 32 * 2 ** 20;
/** By versions that had one lock for all, whose work has no key. */
const LOCK_OF_ALL = 'lock';
/** Somebody who holds a lock this long is building. */
const SWEEP_PATIENCE_MS = 100;

/** Names what a template depends on: kernel, QEMU, processor and memory, and the command line. */
export function templateKey(key: TemplateKey): string {
  const { imageDigest, qemuVersion, accelerator, cpus, memoryBytes, balloon } = key;
  const machine = [accelerator, cpus, memoryBytes, ...(balloon ? ['balloon'] : [])];
  const parts = [COMMAND_VERSION, kernelCommandLine(key), imageDigest, qemuVersion, ...machine];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

export class TemplateStore {
  readonly #directory: string;
  readonly #limit: number;
  readonly #abandoned: TemplateBuilder;
  /** Keys by instances that are to be booted after a clone of theirs has failed. */
  readonly #suspects = new Map<string, string>();
  readonly #space: SpaceOf;
  /** Memory of the kernels that are booted for templates now. */
  #building = 0;

  /** `limit`: how many templates are kept. `abandoned` ends what a killed builder left running in its directory. */
  constructor(
    directory: string,
    limit = DEFAULT_LIMIT,
    abandoned: TemplateBuilder = async () => {},
    space: SpaceOf = spaceOf,
  ) {
    this.#directory = directory;
    this.#limit = limit;
    this.#abandoned = abandoned;
    this.#space = space;
  }

  /**
   * The template if it is there; marks it as used. Its state must be what was written (checking that takes 1 ms), its
   * memory at least as large: a clone of damaged memory panics, and is replaced by a boot.
   */
  async find(key: string): Promise<Template | undefined> {
    const directory = join(this.#directory, key);
    const template = { key, ram: join(directory, 'ram'), state: join(directory, 'state') };
    try {
      const meta: unknown = JSON.parse(await readFile(join(directory, META), 'utf8'));
      const [ram, stateSha256] = await Promise.all([stat(template.ram), digestOf(template.state)]);
      if (!isRecord(meta) || meta.ramBytes !== ram.size || meta.stateSha256 !== stateSha256) return undefined;
      const now = new Date();
      await utimes(join(directory, META), now, now);
      return template;
    } catch {
      return undefined;
    }
  }

  /**
   * The template, built now if it is not there. Of several processes that ask at once one builds and the others wait.
   * `memoryBytes`: of the kernel. `onBuild` is called when this one builds. Rejects as UnusableTemplate where the disk has no room for
   * all of that memory.
   */
  async ensure(
    key: string,
    memoryBytes: number,
    build: TemplateBuilder,
    signal: AbortSignal,
    onBuild = () => {},
  ): Promise<Template> {
    const found = await this.find(key);
    if (found !== undefined) return found;
    await this.sweep();
    return await this.#locked(lockOf(key), signal, async () => {
      const meanwhile = await this.find(key);
      if (meanwhile !== undefined) return meanwhile;
      await this.#withRoom(memoryBytes, async () => {
        onBuild();
        await this.#build(key, build);
      });
      await this.#evict(key);
      const built = await this.find(key);
      if (built === undefined) throw new Error('the template that was just made is gone');
      return built;
    });
  }

  /** Ends and removes what killed processes left; leaves alone what another process is at. */
  async sweep(): Promise<void> {
    for (const lock of new Set((await this.#leftovers()).map(lockOfWork))) await this.#ifFree(lock, async () => {});
  }

  /**
   * A clone for `instance` did not come to run. Until its agent has answered nothing of the instance's own has been looked at, so that
   * the template is of no use, and goes. Later it may be the fault of a root or volume, by which nobody is to take a template from
   * others: what a boot of the same does tells (booted()).
   */
  async failed(key: string, instance: string, hasAnswered: boolean): Promise<void> {
    if (hasAnswered) this.#suspects.set(instance, key);
    else await this.#discard(key);
  }

  /** A kernel for `instance` was booted instead, and came to run if it `runs`. */
  async booted(instance: string, runs: boolean): Promise<void> {
    const key = this.#suspects.get(instance);
    this.#suspects.delete(instance);
    if (key !== undefined && runs) await this.#discard(key);
  }

  /** Unless somebody makes it anew just now. */
  async #discard(key: string): Promise<void> {
    await this.#ifFree(lockOf(key), () => this.#remove(key));
  }

  async #locked<T>(lock: string, signal: AbortSignal | undefined, action: () => Promise<T>): Promise<T> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    return await withLock(
      join(this.#directory, lock),
      async () => {
        await this.#clear(lock);
        return await action();
      },
      { signal },
    );
  }

  /** Nothing is done where somebody else holds the lock. */
  async #ifFree(lock: string, action: () => Promise<void>): Promise<void> {
    await this.#locked(lock, AbortSignal.timeout(SWEEP_PATIENCE_MS), action).catch(() => {});
  }

  /** With its lock held, a work directory belongs to a process that was killed; the kernel in it went on. */
  async #clear(lock: string): Promise<void> {
    for (const name of (await this.#leftovers()).filter((each) => lockOfWork(each) === lock)) {
      const work = join(this.#directory, name);
      await this.#abandoned(work);
      await rm(work, { recursive: true, force: true });
    }
  }

  async #leftovers(): Promise<string[]> {
    const names = await readdir(this.#directory).catch(() => []);
    return names.filter((name) => name.startsWith(WORK_PREFIX));
  }

  #work(key: string): string {
    return join(this.#directory, `${WORK_PREFIX}${key.slice(0, LOCK_DIGITS)}-${randomBytes(6).toString('hex')}`);
  }

  /** Its kernel is in no group of its disk, and may write to all of its memory. */
  async #withRoom(memoryBytes: number, action: () => Promise<void>): Promise<void> {
    try {
      checkRoom(this.#directory, this.#building + memoryBytes, 'a template', this.#space);
    } catch (error) {
      throw new UnusableTemplate(asPolykernelError(error, 'making a template'));
    }
    this.#building += memoryBytes;
    try {
      await action();
    } finally {
      this.#building -= memoryBytes;
    }
  }

  async #build(key: string, build: TemplateBuilder): Promise<void> {
    const work = this.#work(key);
    await mkdir(work, { mode: 0o700 });
    try {
      await build(work);
      const [ram, state] = [join(work, 'ram'), join(work, 'state')];
      for (const path of [ram, state]) {
        await chmod(path, 0o444);
        await flush(path);
      }
      const meta = { ramBytes: (await stat(ram)).size, stateSha256: await digestOf(state) };
      await writeFile(join(work, META), `${JSON.stringify(meta)}\n`, { mode: 0o600, flush: true });
      await this.#remove(key);
      await rename(work, join(this.#directory, key));
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }

  async #remove(key: string): Promise<void> {
    const doomed = this.#work(key);
    // First out of sight at once, then deleted: nobody finds half a template.
    const moved = await rename(join(this.#directory, key), doomed).then(
      () => true,
      () => false,
    );
    if (moved) await rm(doomed, { recursive: true, force: true });
  }

  async #evict(kept: string): Promise<void> {
    const names = (await readdir(this.#directory)).filter((name) => /^[0-9a-f]{64}$/.test(name) && name !== kept);
    const used = await Promise.all(
      names.map(async (name) => {
        const meta = await stat(join(this.#directory, name, META)).catch(() => undefined);
        return { name, usedAt: meta?.mtimeMs ?? 0, bytes: await this.#bytesOf(name) };
      }),
    );
    used.sort((a, b) => b.usedAt - a.usedAt);
    const most = this.#space(this.#directory).size * MOST_SHARE;
    let total = await this.#bytesOf(kept);
    for (const [index, { name, bytes }] of used.entries()) {
      if (index < this.#limit - 1 && total + bytes <= most) total += bytes;
      else await this.#ifFree(lockOf(name), () => this.#remove(name));
    }
  }

  /** What its memory takes of the disk. */
  async #bytesOf(key: string): Promise<number> {
    const ram = await stat(join(this.#directory, key, 'ram')).catch(() => undefined);
    return (ram?.blocks ?? 0) * BLOCK_BYTES;
  }
}

/** Of a template, and of a work directory. */
const lockOf = (key: string): string => `locks/${key.slice(0, LOCK_DIGITS)}`;
function lockOfWork(name: string): string {
  const key = /^work-([0-9a-f]{16})-/.exec(name)?.[1];
  return key === undefined ? LOCK_OF_ALL : lockOf(key);
}

/** Waits until a file is on disk. */
async function flush(path: string): Promise<void> {
  const file = await open(path, 'r');
  await file.sync().finally(() => file.close());
}

/** Throws `invalid` for what can be no state. */
async function digestOf(state: string): Promise<string> {
  const { size } = await stat(state);
  if (size > MOST_STATE_BYTES)
    throw new PolykernelError('invalid', `the state of a template has ${size} bytes; the most is ${MOST_STATE_BYTES}`);
  return createHash('sha256')
    .update(await readFile(state))
    .digest('hex');
}
