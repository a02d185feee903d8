/** The configuration spaces of this machine, of a snapshot of one, or of a dump, behind one cache. */

import { PolykernelError } from '../sys/errors.ts';
import { hostBootId } from '../sys/host-boot.ts';
import { normalizePciAddress } from '../topology/pci-address.ts';
import type { Saved } from './cache/alike.ts';
import { CachedBus } from './cache/bus.ts';
import type { CachedFunction } from './cache/function.ts';
import type { Statistics } from './cache/statistics.ts';
import { emptyStore, mergeStores, readStore, type Stored, writeStore } from './cache/store.ts';
import { type Found, verifyFunctions } from './cache/verify.ts';
import { dumpPlace } from './dump-place.ts';
import { type Explanation, explain } from './explain.ts';
import type { FunctionHealth } from './health.ts';
import type { FunctionFacts, Place } from './place.ts';
import { sysfsPlace } from './sysfs.ts';

export interface OpenOptions {
  /** The directory of a snapshot with sys in it; the default is this machine. */
  root?: string;
  /** The text of `lspci -xxxx`, in place of both. */
  dump?: string;
  /** Or functions of one's own making. */
  place?: Place;
  /** The file in which what is constant outlives this process. Without it nothing does. */
  store?: string;
  /** Names the boot of the machine, in which alone the file counts. Default: this machine's. */
  boot?: string;
  /** Longest age of what others may have written, in milliseconds. */
  boundMs?: number;
  /** Milliseconds, never going back. */
  now?: () => number;
}

/** Others (the kernel, drivers, guests) write without our knowledge: what they may have written is at most this old. */
export const DEFAULT_BOUND_MS = 1000;

/** Opens nothing yet: each function is opened when it is first asked for, and stays open. Throws `invalid` for a dump that is none. */
export function openConfigSpace(options: OpenOptions = {}): ConfigSpace {
  return new ConfigSpace(options);
}

export class ConfigSpace {
  readonly boundMs: number;
  readonly #place: Place;
  readonly #bus: CachedBus;
  readonly #store: string | undefined;
  readonly #boot: string;
  #stored: Stored;

  constructor(options: OpenOptions) {
    this.boundMs = options.boundMs ?? DEFAULT_BOUND_MS;
    this.#place =
      options.place ?? (options.dump === undefined ? sysfsPlace(options.root ?? '/') : dumpPlace(options.dump));
    this.#bus = new CachedBus({
      boundMs: this.boundMs,
      now: options.now ?? (() => performance.now()),
      restore: (address) => (this.#stored.functions.has(address) ? this.function(address) : undefined),
    });
    this.#store = options.store;
    this.#boot = this.#store === undefined ? '' : (options.boot ?? hostBootId());
    this.#stored = this.#store === undefined ? emptyStore() : readStore(this.#store, this.#boot);
  }

  addresses(): string[] {
    return this.#place.addresses();
  }

  /** What is known of a function without a transaction. */
  facts(address: string): FunctionFacts {
    return this.#place.facts(address);
  }

  /** Of its link, and errors that it reported; nothing of either in a dump. */
  health(address: string): FunctionHealth {
    return this.#place.health?.(address) ?? { link: null, errors: null };
  }

  /** A function by its address, in any form that people write. Throws `invalid` and `not-found`. */
  function(text: string): CachedFunction {
    const address = normalizePciAddress(text, 'address');
    const known = this.#bus.get(address);
    if (known !== undefined) return known;
    const cached = this.#bus.add(this.#place.open(address));
    const saved = this.#stored.functions.get(address);
    if (saved !== undefined) cached.restore(saved);
    return cached;
  }

  /** What the cache did, in this process and in those before it that shared its file. */
  statistics(): Statistics {
    return mergeStores(this.#stored, new Map(), this.#bus.statistics()).statistics;
  }

  /** What is stored of functions, by address: how many constant bytes. */
  stored(): Map<string, number> {
    const bytes = ({ constants }: Saved) => constants.runs.reduce((sum, run) => sum + run.bytes.length, 0);
    return new Map([...this.#stored.functions].map(([address, saved]) => [address, bytes(saved)]));
  }

  /** Forgets what is known of a function, or of all; with all their statistics too. Gives the number of functions. */
  flush(text?: string): number {
    if (text === undefined) {
      const count = this.#stored.functions.size;
      this.#stored = emptyStore();
      this.#bus.clear();
      return count;
    }
    const address = normalizePciAddress(text, 'address');
    this.#bus.get(address)?.forgetAll();
    return this.#stored.functions.delete(address) ? 1 : 0;
  }

  /**
   * Compares a share of what is known (0 to 1) with the hardware. A function of which something is wrong is forgotten.
   * @param random gives numbers from 0 to below 1
   */
  verify(share: number, random: () => number = Math.random): Found {
    for (const address of this.#stored.functions.keys()) {
      try {
        this.function(address);
      } catch (error) {
        if (!(error instanceof PolykernelError)) throw error;
      }
    }
    return verifyFunctions(this.#bus.all(), share, random);
  }

  /** Why the byte at `offset` is kept or not, and whether it is known now. Throws `unavailable` when nobody answers. */
  explain(address: string, offset: number): Explanation & { known: boolean } {
    const cached = this.function(address);
    const layout = cached.layout();
    if (layout === undefined) throw silent(cached.address);
    return { ...explain(layout, offset), known: cached.stateOf(offset).known };
  }

  /** Writes down what is constant, if there is a file for it, and closes all. That it cannot be written costs later reads, no more. */
  close(): void {
    if (this.#store !== undefined) this.#save(this.#store);
    this.#bus.clear();
  }

  #save(path: string): void {
    const functions = new Map<string, Saved>();
    const forgotten = new Set<string>();
    for (const each of this.#bus.all()) {
      const saved = each.save();
      if (saved === undefined) forgotten.add(each.address);
      else functions.set(each.address, saved);
    }
    const merged = mergeStores(this.#stored, functions, this.#bus.statistics());
    for (const address of forgotten) merged.functions.delete(address);
    try {
      writeStore(path, merged, this.#boot);
    } catch {}
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The error for a function that answers with all ones. */
export const silent = (address: string): PolykernelError =>
  new PolykernelError('unavailable', `PCI function ${address} does not answer (all ones)`, {
    field: 'address',
    value: address,
    hint: 'It was removed, is being reset, or has lost its power: try again, then look at the kernel log.',
  });
