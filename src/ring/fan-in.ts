/** Many senders, one receiver: a ring each, taken in turn, so that none can crowd out or corrupt another. */
import type { Consumer } from './consumer.ts';

export interface FanInMessage {
  /** Index of the ring it came through. */
  from: number;
  bytes: Uint8Array<ArrayBuffer>;
}

export class FanIn {
  private readonly rings: readonly Consumer[];
  private readonly open: Set<number>;
  /** The ring whose turn it is. */
  private first = 0;

  constructor(rings: readonly Consumer[]) {
    this.rings = rings;
    this.open = new Set(rings.keys());
  }

  /** The next message that is there now, taking the rings in turn. Throws when a ring is in error; the others go on. */
  receive(): FanInMessage | undefined {
    const { rings, first } = this;
    for (let i = 0; i < rings.length; i++) {
      const from = (first + i) % rings.length;
      if (!this.open.has(from)) continue;
      this.first = (from + 1) % rings.length;
      const bytes = this.take(from);
      if (bytes !== undefined) return { from, bytes };
    }
    return undefined;
  }

  private take(from: number): Uint8Array<ArrayBuffer> | undefined {
    try {
      const bytes = this.rings[from]!.receive();
      if (bytes === undefined && this.rings[from]!.ended) this.open.delete(from);
      return bytes;
    } catch (error) {
      this.open.delete(from);
      throw error;
    }
  }

  /** Waits for the next message; undefined when all rings have ended. Rejects with signal.reason. */
  async next(signal?: AbortSignal): Promise<FanInMessage | undefined> {
    for (;;) {
      const message = this.receive();
      if (message !== undefined || this.open.size === 0) return message;
      await this.any(signal);
    }
  }

  /** Sleeps until one of the open rings has something to look at. */
  private async any(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const stop = new AbortController();
    const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    const waits = [...this.open].map((from) => this.rings[from]!.readable(both));
    try {
      await Promise.race(waits);
    } finally {
      stop.abort();
      // All of them must be awake again before a ring is waited on once more.
      await Promise.allSettled(waits);
    }
  }
}
