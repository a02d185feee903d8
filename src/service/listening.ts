/** Sees servers that come up begin to listen, of which their guests tell, before the next check of HAProxy would. */
import type { Clock } from '../sys/clock.ts';
import type { Endpoints, Server } from './contract.ts';

/** Between two looks, in ms: more from one to the next. */
const FIRST_MS = 5;
const MOST_MS = 50;
/** HAProxy finds by its own checks who takes longer. */
const PATIENCE_MS = 5_000;

/** Of one HAProxy. INVARIANT: of one server one look at a time is under way, and none PATIENCE_MS after it came up. */
export class Listening {
  readonly #endpoints: Pick<Endpoints, 'address' | 'listens'>;
  readonly #clock: Clock;
  /** By `service/server`: those looked at, with what ends that. */
  readonly #looks = new Map<string, AbortController>();

  constructor(endpoints: Pick<Endpoints, 'address' | 'listens'>, clock: Clock) {
    this.#endpoints = endpoints;
    this.#clock = clock;
  }

  /** A server has come to an address, or to another one: tells `found` once it listens there, with what says whether it still has that address. */
  watch(service: string, { name, address, port }: Server, found: (isStill: () => boolean) => void): void {
    const key = `${service}/${name}`;
    this.#looks.get(key)?.abort();
    if (this.#endpoints.listens === undefined) return;
    const ending = new AbortController();
    this.#looks.set(key, ending);
    const isWanted = () => !ending.signal.aborted && this.#endpoints.address(name) === address;
    void this.#until(isWanted, name, port).then((isListening) => {
      if (this.#looks.get(key) === ending) this.#looks.delete(key);
      if (isListening && isWanted()) found(isWanted);
    });
  }

  close(): void {
    for (const look of this.#looks.values()) look.abort();
    this.#looks.clear();
  }

  /** Never rejects. */
  async #until(isWanted: () => boolean, name: string, port: number): Promise<boolean> {
    const end = this.#clock.now() + PATIENCE_MS;
    for (let wait = FIRST_MS; isWanted() && this.#clock.now() < end; wait = Math.min(MOST_MS, wait * 1.5)) {
      if (await this.#endpoints.listens!(name, port).catch(() => false)) return true;
      await new Promise<void>((resolve) => void this.#clock.after(wait, resolve));
    }
    return false;
  }
}
