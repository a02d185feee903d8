/** The cached functions of a machine: what happens to one may happen to others. */
import type { Access } from '../access.ts';
import type { Consequence } from './effects.ts';
import { CachedFunction, type CacheOptions, type Neighbours } from './function.ts';
import { addStatistics, noStatistics, type Statistics } from './statistics.ts';

export class CachedBus implements Neighbours {
  readonly #functions = new Map<string, CachedFunction>();
  readonly #options: Omit<CacheOptions, 'neighbours'>;

  constructor(options: Omit<CacheOptions, 'neighbours'>) {
    this.#options = options;
  }

  /** The cache of a function, which it then keeps open. */
  add(access: Access): CachedFunction {
    const cached = new CachedFunction(access, { ...this.#options, neighbours: this });
    this.#functions.set(access.address, cached);
    return cached;
  }
  get(address: string): CachedFunction | undefined {
    return this.#functions.get(address);
  }
  all(): Iterable<CachedFunction> {
    return this.#functions.values();
  }
  remove(address: string): void {
    this.#functions.get(address)?.access.close();
    this.#functions.delete(address);
  }

  statistics(): Statistics {
    const sum = noStatistics();
    for (const { statistics } of this.#functions.values()) addStatistics(sum, statistics);
    return sum;
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
