/** Sleeping on one word of shared memory: the thread that asks, or a helper thread while the event loop goes on. */
import { Worker } from 'node:worker_threads';
import type { SharedMemory } from '../sys/memory.ts';

const WORKER = new URL('./park-worker.ts', import.meta.url);

export class Sleeper {
  private readonly memory: SharedMemory;
  private readonly offset: number;
  private readonly words: Int32Array;
  private worker: Worker | undefined;
  private woken: () => void = () => {};

  constructor(memory: SharedMemory, offset: number) {
    this.memory = memory;
    this.offset = offset;
    this.words = new Int32Array(memory.buffer);
  }

  /** What the word is now. */
  value(): number {
    return Atomics.load(this.words, this.offset / 4);
  }

  /** Blocks the thread while the word is `expected`, at most `timeoutMs`. */
  sleep(expected: number, timeoutMs?: number): void {
    this.memory.futexWait(this.offset, expected, timeoutMs);
  }

  /**
   * The same without blocking the event loop. A futex has no file descriptor for the loop to watch: a helper thread sleeps
   * on it. It is started by the first sleep and then kept, because starting one takes 30 ms. When `signal` fires,
   * `interrupt` has to change the word.
   */
  async slept(expected: number, timeoutMs: number | undefined, signal: AbortSignal | undefined, interrupt: () => void) {
    if (signal?.aborted) return;
    this.worker ??= this.startWorker();
    const { worker } = this;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => {
      interrupt();
      this.memory.futexWake(this.offset, 1024);
    };
    this.woken = resolve;
    signal?.addEventListener('abort', wake, { once: true });
    // A pending receive keeps the process alive, as a pending read does; an idle helper does not.
    worker.ref();
    worker.postMessage({ expected, timeoutMs });
    await promise;
    worker.unref();
    signal?.removeEventListener('abort', wake);
  }

  private startWorker(): Worker {
    const worker = new Worker(WORKER, { workerData: this.memory.addressOf(this.offset) });
    worker.on('message', () => this.woken());
    worker.on('exit', () => this.woken());
    return worker;
  }

  /** Ends the helper thread, which `interrupt` wakes by changing the word. */
  close(interrupt: () => void): void {
    if (this.worker === undefined) return;
    interrupt();
    this.memory.futexWake(this.offset, 1024);
    void this.worker.terminate();
    this.worker = undefined;
  }
}
