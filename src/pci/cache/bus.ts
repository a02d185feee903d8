/** The cached functions of a machine: what happens to one may happen to others. */
import { PolykernelError } from '../../sys/errors.ts';
import type { Access } from '../access.ts';
import { EXTENDED_ID } from '../rules/index.ts';
import { find } from '../walk.ts';
import type { Consequence } from './effects.ts';
import { CachedFunction, type CacheOptions, type Neighbours } from './function.ts';
import { noStatistics, type Statistics } from './statistics.ts';

/** Of the ARI Capability Register: that there are groups of functions, for MFVC or for ACS (PCIe 7.8.8.2). */
const GROUPS = 0x03;

interface BusOptions extends Pick<CacheOptions, 'boundMs' | 'now'> {
  /** A function that was not added yet, if it is known from before. */
  restore?(address: string): CachedFunction | undefined;
}

export class CachedBus implements Neighbours {
  readonly #functions = new Map<string, CachedFunction>();
  readonly #statistics = noStatistics();
  readonly #options: CacheOptions;
  readonly #restore: BusOptions['restore'];

  constructor({ boundMs, now, restore }: BusOptions) {
    this.#options = { boundMs, now, neighbours: this, statistics: this.#statistics };
    this.#restore = restore;
  }

  /** The cache of a function, which it then keeps open. */
  add(access: Access): CachedFunction {
    const cached = new CachedFunction(access, this.#options);
    this.#functions.set(access.address, cached);
    return cached;
  }
  get(address: string): CachedFunction | undefined {
    return this.#functions.get(address);
  }
  all(): Iterable<CachedFunction> {
    return this.#functions.values();
  }

  /** Closes all, and forgets them and what was counted. */
  clear(): void {
    for (const { access } of this.#functions.values()) access.close();
    this.#functions.clear();
    Object.assign(this.#statistics, noStatistics());
  }

  statistics(): Statistics {
    return { ...this.#statistics };
  }

  tell(address: string, consequence: Consequence): void {
    const isVirtual = consequence === 'vfs-reset' || consequence === 'vfs-gone';
    for (const each of this.#functions.values()) {
      const isMeant = isVirtual ? each.access.physicalFunction === address : this.#isBelow(each.access, address);
      if (!isMeant) continue;
      if (consequence.endsWith('gone')) each.forgetAll();
      else each.doubt();
    }
  }

  ungrouped(address: string): boolean {
    const first = `${address.slice(0, -'00.0'.length)}00.0`;
    try {
      const function0 = this.#functions.get(first) ?? this.#restore?.(first);
      const routing = find(function0?.layout()?.capabilities ?? [], EXTENDED_ID.ari, true);
      const says = routing === undefined ? undefined : function0?.kept(routing.offset + 4, 2);
      return says !== undefined && (says & GROUPS) === 0;
    } catch (error) {
      // It is gone, and takes the others with it.
      if (error instanceof PolykernelError) return false;
      throw error;
    }
  }

  /** Whether a bridge leads to it, through others or not. */
  #isBelow({ parent }: Access, bridge: string): boolean {
    // Each step up is another function; a snapshot may say nonsense.
    for (let steps = 0; parent !== undefined && steps < 256; steps++) {
      if (parent === bridge) return true;
      parent = this.#functions.get(parent)?.access.parent;
    }
    return false;
  }
}
