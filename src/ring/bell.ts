/** How the side of a ring that sleeps is woken. One bell belongs to one side; each transport brings its own. */
import { Worker } from 'node:worker_threads';
import type { SharedMemory } from '../sys/memory.ts';
import { ASLEEP, type SideOffsets } from './layout.ts';

export interface Bell extends Disposable {
  /** Wakes the other side. Called only when its attention word said that it sleeps. */
  ring(): void;
  /** Blocks the thread until rung, at most `timeoutMs`. May return early: the caller looks again. */
  park(timeoutMs?: number): void;
  /** The same without blocking the event loop, until rung or `signal` fires. Never rejects. */
  parked(signal?: AbortSignal): Promise<void>;
}

const WORKER = new URL('./park-worker.ts', import.meta.url);

/** Between processes of one kernel: the attention words are the futexes. */
export class FutexBell implements Bell {
  private readonly memory: SharedMemory;
  private readonly mine: SideOffsets;
  private readonly theirs: SideOffsets;
  private worker: Worker | undefined;
  private woken: () => void = () => {};

  constructor(memory: SharedMemory, mine: SideOffsets, theirs: SideOffsets) {
    this.memory = memory;
    this.mine = mine;
    this.theirs = theirs;
  }

  ring(): void {
    this.memory.futexWake(this.theirs.attention);
  }

  park(timeoutMs?: number): void {
    this.memory.futexWait(this.mine.attention, ASLEEP, timeoutMs);
  }

  /**
   * A futex has no file descriptor for the event loop to watch: a helper thread sleeps on it. The thread is started by
   * the first sleep and then kept, because starting one takes 30 ms.
   */
  async parked(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return;
    this.worker ??= this.startWorker();
    const { worker } = this;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => this.wakeSelf();
    this.woken = resolve;
    signal?.addEventListener('abort', wake, { once: true });
    // A pending receive keeps the process alive, as a pending read does; an idle helper does not.
    worker.ref();
    worker.postMessage(ASLEEP);
    await promise;
    worker.unref();
    signal?.removeEventListener('abort', wake);
  }

  private startWorker(): Worker {
    const worker = new Worker(WORKER, { workerData: this.memory.addressOf(this.mine.attention) });
    worker.on('message', () => this.woken());
    worker.on('exit', () => this.woken());
    return worker;
  }

  private wakeSelf(): void {
    const words = new Int32Array(this.memory.buffer);
    Atomics.compareExchange(words, this.mine.attention / 4, ASLEEP, 0);
    this.memory.futexWake(this.mine.attention);
  }

  [Symbol.dispose](): void {
    if (this.worker === undefined) return;
    this.wakeSelf();
    void this.worker.terminate();
    this.worker = undefined;
  }
}
