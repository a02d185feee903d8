/** The monitor of a QEMU: commands one after the other, and between them what it tells by itself. */
import { randomBytes } from 'node:crypto';
import { connectShim } from '../shim/shim.ts';
import { Qmp, type QmpEvent, QmpPace } from './qmp.ts';

/**
 * INVARIANTS: one connection at most, which is opened anew for the next command when it was lost. What a guest has QEMU tell is
 * bounded by QmpPace: one that floods it cuts itself off from being heard, until a command after that minute.
 */
export class Monitor {
  readonly #directory: string;
  readonly #hear: (event: QmpEvent) => void;
  readonly #pace = new QmpPace();
  #turn: Promise<void> = Promise.resolve();
  #client: Qmp | undefined;
  #closed = false;

  constructor(directory: string, hear: (event: QmpEvent) => void) {
    this.#directory = directory;
    this.#hear = hear;
    // Heard from the start; one that cannot be reached fails the first command, if there is any.
    void this.use(async () => {}).catch(() => {});
  }

  /** Rejects as connectShim() and Qmp.open() do, or as `work`. */
  use<T>(work: (client: Qmp) => Promise<T>): Promise<T> {
    const result = this.#turn.then(async () => await work(await this.#open()));
    this.#turn = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  /** Resolves when the connection is closed, within `mostMs`: then all was heard. */
  async ended(mostMs: number): Promise<void> {
    const client = this.#client;
    if (client === undefined) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, mostMs);
      client.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  close(): void {
    this.#closed = true;
    this.#client?.close();
  }

  async #open(): Promise<Qmp> {
    if (this.#client !== undefined) return this.#client;
    const stream = await connectShim(this.#directory, 'monitor');
    const client = await Qmp.open(stream, randomBytes(4).toString('hex'), { hear: this.#hear, pace: this.#pace });
    if (this.#closed) client.close();
    else {
      this.#client = client;
      client.once('close', () => {
        this.#client = undefined;
      });
    }
    return client;
  }
}
