/** The memory of instances, as it goes to who asked for it: nothing of it is kept here. */
import { Readable } from 'node:stream';
import type { Instance } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';

type Held = Pick<Instance, 'name' | 'state' | 'memory' | 'pause' | 'resume'>;

/** Without a byte written by the one side or taken by the other: it stands still meanwhile. */
const STALL_MS = 30_000;
/** More than it takes to read, pack and send it anywhere. */
const MS_PER_MIB = 1000;

/** INVARIANTS: one at a time, and for a bounded time, however slowly its kernel gives it; what was paused for it goes on when it ends, however it does. */
export class MemoryReader {
  readonly #stallMs: number;
  #reading: string | undefined;

  /** `stallMs`: for tests. */
  constructor(stallMs = STALL_MS) {
    this.#stallMs = stallMs;
  }

  /** Throws `conflict` (another is being read, or none runs), `unsupported`, and as its driver does. */
  async read(instance: Held, signal: AbortSignal): Promise<Readable> {
    const { name } = instance;
    if (this.#reading !== undefined) {
      throw new PolykernelError('conflict', `the memory of ${this.#reading} is being read, and one at a time is`, {
        hint: 'Try again when that is done.',
      });
    }
    const { memory } = instance;
    if (memory === null) {
      throw new PolykernelError(
        'unsupported',
        `${name} has no memory that could be read: it does not run, or its driver gives none`,
      );
    }
    this.#reading = name;
    const leave = new AbortController();
    const stall = setTimeout(() => leave.abort(stalled(this.#stallMs)), this.#stallMs);
    let paused = false;
    const finish = async () => {
      this.#reading = undefined;
      // Somebody may have ended it, or let it go on.
      if (paused && instance.state === 'paused') await instance.resume();
    };
    try {
      paused = await standStill(instance);
      const pieces = await memory.read(AbortSignal.any([signal, leave.signal]));
      // Begun, it has an end in any case.
      const first = await pieces.next();
      const mostMs = this.#stallMs + (memory.mostBytes / 2 ** 20) * MS_PER_MIB;
      return streamOf(first, pieces, { stallMs: this.#stallMs, mostMs }, leave, finish);
    } catch (error) {
      await finish();
      throw error;
    } finally {
      clearTimeout(stall);
    }
  }
}

/** Whether it was paused for this: one that hangs so that it cannot be is read as it runs. */
async function standStill(instance: Held): Promise<boolean> {
  if (instance.state !== 'running') return false;
  return await instance.pause(true).then(
    () => true,
    () => false,
  );
}

function streamOf(
  first: IteratorResult<Buffer>,
  pieces: AsyncGenerator<Buffer>,
  { stallMs, mostMs }: { stallMs: number; mostMs: number },
  leave: AbortController,
  finish: () => Promise<void>,
): Readable {
  let next: Promise<IteratorResult<Buffer>> | undefined = Promise.resolve(first);
  let finished: Promise<void> | undefined;
  let stall: NodeJS.Timeout | undefined;
  const late = setTimeout(() => stream.destroy(tooLate(mostMs)), mostMs);
  const stream: Readable = new Readable({
    read() {
      clearTimeout(stall);
      stall = setTimeout(() => stream.destroy(stalled(stallMs)), stallMs);
      const piece = next ?? pieces.next();
      next = undefined;
      piece
        .then(async ({ done, value }) => {
          if (done !== true) return void stream.push(value);
          finished ??= finish();
          await finished;
          stream.push(null);
        })
        .catch((error) => stream.destroy(error as Error));
    },
    destroy(error, done) {
      clearTimeout(stall);
      clearTimeout(late);
      leave.abort(new PolykernelError('unavailable', 'nobody takes it any more'));
      pieces
        .return(undefined)
        .catch(() => {})
        .then(() => (finished ??= finish()))
        .then(
          () => done(error),
          (failed) => done(error ?? (failed as Error)),
        );
    },
  });
  return stream;
}

const stalled = (ms: number) =>
  new PolykernelError('internal', `for ${ms / 1000} s nothing of its memory was written, or taken`);

const tooLate = (ms: number) =>
  new PolykernelError('internal', `its memory was not all written, or taken, within ${Math.round(ms / 1000)} s`);
