/**
 * HAProxy asks a server that was down every half second, since asking an address where nobody is costs its kernel more than the
 * answer tells. So for one whose kernel has just come, that kernel is asked whether its program listens already.
 */
import type { Clock } from '../sys/clock.ts';

const LOOK_MS = 10;
/** HAProxy's own check has long told it by then. */
const PATIENCE_MS = 3000;

export interface Arrival {
  /** `backend/server` of HAProxy. */
  server: string;
  instance: string;
  address: string;
  port: number;
}

interface LookoutsOptions {
  clock: Clock;
  /** A rejection counts as no. */
  listens(instance: string, port: number): Promise<boolean>;
  /** Called once. */
  seen(arrival: Arrival): void;
}

export class Lookouts {
  readonly #options: LookoutsOptions;
  /** By server. */
  readonly #looking = new Map<string, AbortController>();

  constructor(options: LookoutsOptions) {
    this.#options = options;
  }

  /** In place of an earlier one of this server. */
  watch(arrival: Arrival): void {
    this.#looking.get(arrival.server)?.abort();
    const looking = new AbortController();
    this.#looking.set(arrival.server, looking);
    const end = this.#options.clock.now() + PATIENCE_MS;
    void this.#look(arrival, looking.signal, end).finally(() => {
      if (this.#looking.get(arrival.server) === looking) this.#looking.delete(arrival.server);
    });
  }

  close(): void {
    for (const looking of this.#looking.values()) looking.abort();
    this.#looking.clear();
  }

  async #look(arrival: Arrival, signal: AbortSignal, endMs: number): Promise<void> {
    const { clock, listens, seen } = this.#options;
    while (!signal.aborted && clock.now() < endMs) {
      const isThere = await listens(arrival.instance, arrival.port).catch(() => false);
      if (signal.aborted) return;
      if (isThere) return seen(arrival);
      await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve));
    }
  }
}
