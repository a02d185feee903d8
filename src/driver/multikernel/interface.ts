/**
 * The kernel's files, read and written as they have to be: a tree is read until it is whole, a change is one write, and whether it was
 * done is told by the transaction's status alone, for the write succeeds either way (kernel/multikernel/overlay.c of the patches).
 * A write lasts as long as what it asks for, up to 10 s for each CPU or piece of memory of a kernel that runs: nothing else waits for it.
 */
import { constants, readdirSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Mutex } from '../../core/mutex.ts';
import { type DeviceTree, decode, encode } from '../../devicetree/index.ts';
import {
  type Baseline,
  baselineTree,
  type Change,
  formatOf,
  type InstanceState,
  overlays,
  type PoolState,
  readInstance,
  readPool,
} from '../../devicetree/multikernel/index.ts';
import { PolykernelError } from '../../sys/errors.ts';

/** How often a tree is read again that was made anew meanwhile. */
const READS = 20;

/** A transaction was not done, or only in part: what it left has to be looked at. */
export class NotApplied extends Error {}

export class KernelFiles {
  readonly #root: string;
  /** The highest number of a transaction that was seen. */
  #last: number | undefined;
  /** Each finds its transaction before the next is written. */
  readonly #turns = new Mutex();

  constructor(root: string) {
    this.#root = root;
  }

  /** In which format the kernel speaks. */
  format(): 'first' | 'second' {
    return formatOf(this.#tree('device_tree'));
  }

  pool(): PoolState {
    return readPool(this.#tree('device_tree'));
  }

  /** Undefined when there is none of that name. */
  instance(name: string): InstanceState | undefined {
    if (this.status(name) === undefined) return undefined;
    return readInstance(this.#tree(`instances/${name}/device_tree`));
  }

  /** `ready`, `loaded`, `active`, `failed`; undefined when there is no instance of that name. */
  status(name: string): string | undefined {
    return this.#text(`instances/${name}/status`);
  }

  statusPath(name: string): string {
    return join(this.#root, 'instances', name, 'status');
  }

  instances(): string[] {
    return readdirSync(join(this.#root, 'instances'));
  }

  /** Rejects with NotApplied when the kernel refuses it: memory and CPUs may be in the pool by then. */
  async baseline(baseline: Baseline): Promise<void> {
    await this.#write('device_tree', encode(baselineTree(baseline)));
  }

  /** One transaction after the other. Rejects with NotApplied at the first that fails: all before it are done, and of it what it got to. */
  async apply(changes: readonly Change[]): Promise<void> {
    for (const blob of overlays(changes)) await this.#turns.run(() => this.#transact(blob));
  }

  async #transact(blob: Uint8Array): Promise<void> {
    this.#last ??= Math.max(0, ...this.#transactions());
    await this.#write('overlays/new', blob);
    const own = this.#next(blob);
    if (own === undefined) throw new NotApplied('the kernel has no record of the transaction');
    const status = this.#text(`overlays/tx_${own}/status`);
    if (status === 'applied') return;
    const reason = this.#text(`overlays/tx_${own}/reason`);
    throw new NotApplied(
      `transaction ${own} is ${status ?? 'gone'}${reason ? `: ${reason}` : '; the kernel log has the reason'}`,
    );
  }

  /**
   * The transaction after those that were known which says what `blob` does: others may write too. They are there until the machine
   * boots anew, so all are listed only where the numbers have a gap.
   */
  #next(blob: Uint8Array): number | undefined {
    const isOwn = (number: number, found: Buffer | undefined): boolean => {
      if (found !== undefined) this.#last = Math.max(this.#last!, number);
      return found?.equals(blob) === true;
    };
    const read = (number: number) => this.#bytes(`overlays/tx_${number}/dtbo`, blob.length);
    for (let number = this.#last! + 1, found = read(number); found !== undefined; found = read(++number))
      if (isOwn(number, found)) return number;
    const before = this.#last!;
    return this.#transactions()
      .filter((number) => number > before)
      .sort((one, other) => one - other)
      .find((number) => isOwn(number, read(number)));
  }

  #transactions(): number[] {
    return readdirSync(join(this.#root, 'overlays')).flatMap((name) => {
      const number = /^tx_(\d+)$/.exec(name)?.[1];
      return number === undefined ? [] : [Number(number)];
    });
  }

  /** In one call, for each is a whole request. */
  async #write(path: string, bytes: Uint8Array): Promise<void> {
    const file = await open(join(this.#root, path), constants.O_WRONLY);
    try {
      const { bytesWritten: written } = await file.write(bytes);
      if (written !== bytes.length) throw new NotApplied(`the kernel took ${written} of ${bytes.length} bytes`);
    } catch (error) {
      if (error instanceof NotApplied) throw error;
      throw new NotApplied(`the kernel refused it with ${(error as NodeJS.ErrnoException).code}`, { cause: error });
    } finally {
      await file.close();
    }
  }

  /** Throws `internal` when it never comes whole. */
  #tree(path: string): DeviceTree {
    let last: unknown;
    for (let read = 0; read < READS; read++) {
      try {
        const bytes = readFileSync(join(this.#root, path));
        // What was made anew between two pages is not as long as it says.
        if (bytes.length >= 8 && bytes.readUInt32BE(4) === bytes.length) return decode(bytes);
        last = new Error(`it is ${bytes.length} bytes long, and says otherwise`);
      } catch (error) {
        last = error;
      }
    }
    throw new PolykernelError('internal', `the kernel's tree ${path} cannot be read: ${(last as Error).message}`);
  }

  #text(path: string): string | undefined {
    return this.#bytes(path)?.toString('latin1').trim();
  }

  #bytes(path: string, most = Number.POSITIVE_INFINITY): Buffer | undefined {
    try {
      return readFileSync(join(this.#root, path)).subarray(0, most);
    } catch {
      return undefined;
    }
  }
}
