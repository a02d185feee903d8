/** How the functions do that virtual ones and leases depend on: looked at now and then, while there are any. */
import { errorsText, type FunctionHealth, linkText } from '../pci/health.ts';
import type { Clock } from '../sys/clock.ts';
import type { SriovEvent } from './events.ts';
import { seeHealth } from './functions.ts';
import type { Sysfs } from './sysfs.ts';

const PERIOD_MS = 30_000;

export interface WatchOptions {
  sysfs: Sysfs;
  clock: Clock;
  /** Those that matter now. */
  watched(): readonly string[];
  tell(type: SriovEvent, address: string, message: string): void;
}

/** What was last seen of one. */
export interface SeenHealth {
  address: string;
  health: FunctionHealth;
}

export class FunctionWatch {
  readonly #options: WatchOptions;
  #seen = new Map<string, FunctionHealth>();
  #cancel: (() => void) | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** There may be something to look at now. */
  begin(): void {
    if (this.#cancel !== undefined || this.#options.watched().length === 0) return;
    this.#cancel = this.#options.clock.after(0, () => void this.#round());
  }

  end(): void {
    this.#cancel?.();
    this.#cancel = () => {};
  }

  all(): SeenHealth[] {
    return [...this.#seen].map(([address, health]) => ({ address, health }));
  }

  async #round(): Promise<void> {
    const cancel = this.#cancel;
    // What cannot be looked at now is looked at next time.
    await this.#look().catch(() => {});
    if (this.#cancel !== cancel) return;
    this.#cancel = undefined;
    if (this.#options.watched().length === 0) return;
    this.#cancel = this.#options.clock.after(PERIOD_MS, () => void this.#round());
  }

  async #look(): Promise<void> {
    const { sysfs, watched } = this.#options;
    const addresses = [...new Set(watched())];
    const seen = await Promise.all(
      addresses.map(async (address) => [address, await seeHealth(sysfs, address)] as const),
    );
    for (const [address, health] of seen) this.#compare(address, this.#seen.get(address), health);
    this.#seen = new Map(seen);
  }

  /** What was so already when it was first seen is no news. */
  #compare(address: string, before: FunctionHealth | undefined, now: FunctionHealth): void {
    const { tell } = this.#options;
    if (before === undefined) return;
    const worse = (['nonfatal', 'fatal'] as const).some(
      (each) => (now.errors?.[each] ?? 0) > (before.errors?.[each] ?? 0),
    );
    if (worse) tell('function-errors', address, `it reported errors, in all: ${errorsText(now.errors!)}`);
    if (before.link === null || now.link === null) return;
    const change = bandwidth(now.link) - bandwidth(before.link);
    const text = `its link is ${linkText(now.link)}, and was ${linkText(before.link)}`;
    if (change !== 0) tell(change < 0 ? 'link-degraded' : 'link-restored', address, text);
  }
}

const bandwidth = ({ speed, width }: { speed: number; width: number }): number => speed * width;
