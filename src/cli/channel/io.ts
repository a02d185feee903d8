/** Standard input into a channel, and a channel to standard output. */
import { addAbortSignal, type Readable } from 'node:stream';
import type { Consumer, Producer } from '../../ring/index.ts';
import { openChannel } from '../../ring/open.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { parseDuration } from '../../sys/units.ts';
import { pause } from '../kit/pause.ts';
import { interruptible } from '../kit/signals.ts';

const NEWLINE = 10;

export interface ReceiveOptions {
  /** End after so many messages. Default: none. */
  count?: number | undefined;
  /** End when so much time passes without a message. Default: never. */
  timeoutMs?: number | undefined;
  /** Go on when the sender has closed: another may attach. */
  follow?: boolean;
  /** No newline after each message. */
  raw?: boolean;
}

/** How receiving ended. */
export type Received = 'closed' | 'counted' | 'timeout';

/** How often a closed channel is looked at for another sender, which nothing announces to a receiver at its end. */
const REOPEN_POLL_MS = 50;

interface Ends {
  send: Producer;
  recv: Consumer;
}

/**
 * Attaches to `side` of the channel, does `work`, and leaves the ring in order on every way out. A signal aborts `work`; the
 * exit code is then the signal's.
 */
export async function withChannel<Side extends keyof Ends>(
  name: string,
  side: Side,
  work: (end: Ends[Side], signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const interrupt = interruptible();
  try {
    const end = (await (side === 'send' ? openChannel(name, 'send') : openChannel(name, 'recv'))) as Ends[Side];
    const leave = () => end[Symbol.dispose]();
    // A second signal, or a reader of the output that is gone, ends the process without coming back here.
    process.once('exit', leave);
    try {
      return await work(end, interrupt.signal);
    } finally {
      process.off('exit', leave);
      leave();
    }
  } catch (error) {
    if (interrupt.signal.aborted) return interrupt.code();
    throw error;
  } finally {
    interrupt.release();
  }
}

/** Sends each line of `input`, or with `raw` each chunk, cut to the largest message. Rejects with signal.reason. */
export async function sendAll(
  producer: Producer,
  input: Readable,
  options: { raw?: boolean },
  signal: AbortSignal,
): Promise<void> {
  addAbortSignal(signal, input);
  try {
    for await (const message of options.raw ? pieces(input, producer.largest) : lines(input, producer.largest))
      await producer.sendAsync(message, 0, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

/** Chunks as they were read, none longer than `largest`. */
async function* pieces(input: AsyncIterable<Uint8Array>, largest: number): AsyncGenerator<Uint8Array> {
  for await (const chunk of input)
    for (let at = 0; at < chunk.length; at += largest) yield chunk.subarray(at, at + largest);
}

/** Lines without their newline; what follows the last newline is one too. Throws `invalid` at one over `largest` bytes. */
async function* lines(input: AsyncIterable<Uint8Array>, largest: number): AsyncGenerator<Uint8Array> {
  let begun: Uint8Array[] = [];
  let length = 0;
  let line = 1;
  const add = (part: Uint8Array) => {
    length += part.length;
    if (length > largest) throw tooLong(line, largest);
    if (part.length > 0) begun.push(part);
  };
  const take = (): Uint8Array => {
    const whole = begun.length === 1 ? begun[0]! : Buffer.concat(begun, length);
    begun = [];
    length = 0;
    line++;
    return whole;
  };
  for await (const chunk of input) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      add(chunk.subarray(from, at));
      yield take();
      from = at + 1;
    }
    add(chunk.subarray(from));
  }
  if (length > 0) yield take();
}

function tooLong(line: number, largest: number): PolykernelError {
  return new PolykernelError(
    'invalid',
    `line ${line} of standard input is longer than the largest message of this channel, ${largest} bytes`,
    {
      field: 'standard input',
      value: `line ${line}`,
      hint: 'Make the channel larger (pk channel create --size), or send pieces with --raw.',
    },
  );
}

/**
 * Hands each message to `write` and gives its memory back only when that is done: what was not written, a later receiver gets.
 * Rejects with signal.reason.
 */
export async function receiveAll(
  consumer: Consumer,
  write: (data: Uint8Array) => Promise<void>,
  options: ReceiveOptions,
  signal: AbortSignal,
): Promise<Received> {
  for (let received = 0; received !== options.count; received++) {
    const outcome = await nextMessage(consumer, options, signal);
    if (outcome !== 'message') return outcome;
    const length = consumer.peek();
    // A copy: the memory stays the sender's until the release, and the stream may keep what it is given.
    const data = Buffer.allocUnsafe(options.raw ? length : length + 1);
    data.set(consumer.data.subarray(consumer.offset, consumer.offset + length));
    if (!options.raw) data[length] = NEWLINE;
    await write(data);
    consumer.release();
    signal.throwIfAborted();
  }
  return 'counted';
}

/** Waits for a message, the end of the stream or the time-out. */
async function nextMessage(
  consumer: Consumer,
  { timeoutMs, follow }: ReceiveOptions,
  signal: AbortSignal,
): Promise<'message' | 'closed' | 'timeout'> {
  if (consumer.peek() >= 0) return 'message';
  const expired = new AbortController();
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => expired.abort(), timeoutMs);
  const either = AbortSignal.any([signal, expired.signal]);
  try {
    for (;;) {
      await consumer.readable(either);
      if (consumer.peek() >= 0) return 'message';
      if (!follow) return 'closed';
      await pause(REOPEN_POLL_MS, either);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (expired.signal.aborted) return consumer.peek() >= 0 ? 'message' : 'timeout';
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Milliseconds from a number of seconds, or from a duration with units. Throws `invalid` naming the option. */
export function parseTimeout(text: string, field = '--timeout'): number {
  const plain = /^\d{1,7}(\.\d{1,3})?$/.test(text);
  const milliseconds = plain ? Math.round(Number(text) * 1000) : parseDuration(text, field);
  // A longer one would make Node's timers fire at once.
  if (milliseconds <= 2 ** 31 - 1) return milliseconds;
  throw new PolykernelError('invalid', `${field}: ${JSON.stringify(text)} is too long`, {
    field,
    value: text,
    hint: 'Give at most 24 days, or leave it out to wait for ever.',
  });
}
