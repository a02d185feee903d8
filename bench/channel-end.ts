/**
 * One end of what bench/channel.ts measures, a process of its own: `channel-end.ts ROLE COUNT PATH...`. Every message holds
 * its number and the inverse, and is checked. The measuring end prints nanoseconds for one.
 */
import { connect, createServer, type Socket } from 'node:net';
import {
  attachConsumer,
  attachProducer,
  type Consumer,
  openChannel,
  type Producer,
  SharedMemory,
} from '../src/ring/index.ts';
import { ownArguments } from '../src/sys/node.ts';
import { median } from './row.ts';

/** As in native/ring: the fastest lap counts. */
const LAP = 2000;
const SOCKET_LAP = 200;
const BATCH = 16;
const SMALL = 64;
const LARGE = 4096;

const [role, countText, ...paths] = ownArguments();
const count = Number(countText);
const producer = (path: string) => attachProducer(SharedMemory.open(path));
const consumer = (path: string, lazyRelease = false) => attachConsumer(SharedMemory.open(path), { lazyRelease });
const nanoseconds = () => Number(process.hrtime.bigint());

class Laps {
  fastest = Number.POSITIVE_INFINITY;
  private began = 0;
  /** The step that ends the lap. */
  private next = 0;
  declare private readonly length: number;

  constructor(length: number) {
    this.length = length;
  }

  step(i: number): void {
    if (i === this.next) this.lap(i);
  }

  private lap(i: number): void {
    const now = nanoseconds();
    if (i > 0) this.fastest = Math.min(this.fastest, (now - this.began) / this.length);
    this.began = now;
    this.next = i + this.length;
  }
}

class Message {
  declare readonly bytes: Uint8Array;
  declare readonly length: number;
  declare private readonly words: Int32Array;
  declare private readonly last: number;

  constructor(length: number) {
    this.length = length;
    this.bytes = new Uint8Array(length);
    this.words = new Int32Array(this.bytes.buffer);
    this.last = this.words.length - 1;
  }

  number(i: number): Uint8Array {
    this.words[0] = i;
    this.words[this.last] = ~i;
    return this.bytes;
  }

  check(i: number): void {
    if (this.words[0] !== i || this.words[this.last] !== ~i) throw new Error(`message ${i} is wrong`);
  }
}

function take(from: Consumer, i: number, message: Message): void {
  if (!from.wait() || from.receiveInto(message.bytes) !== message.length) throw new Error(`no message ${i}`);
  message.check(i);
}

function answer(requests: Consumer, replies: Producer): void {
  const message = new Message(SMALL);
  for (let i = 0; i < count; i++) {
    take(requests, i, message);
    replies.send(message.number(i));
  }
}

function ask(requests: Producer, replies: Consumer): number {
  const message = new Message(SMALL);
  const laps = new Laps(LAP);
  for (let i = 0; i < count; i++) {
    laps.step(i);
    requests.send(message.number(i));
    take(replies, i, message);
  }
  return laps.fastest;
}

function pour(to: Producer, length: number): void {
  const message = new Message(length);
  for (let i = 0; i < count; i++) to.send(message.number(i));
}

function pourBatches(to: Producer): void {
  const messages = Array.from({ length: BATCH }, () => new Message(SMALL));
  const batch = messages.map(({ bytes }) => bytes);
  for (let i = 0; i < count; i += BATCH) {
    for (let k = 0; k < BATCH; k++) messages[k]!.number(i + k);
    to.sendBatch(batch);
  }
}

function drain(from: Consumer, length: number): number {
  const message = new Message(length);
  const laps = new Laps(LAP);
  for (let i = 0; i < count; i++) {
    laps.step(i);
    take(from, i, message);
  }
  return laps.fastest;
}

/** Messages are written and read where they lie, and made visible and released in batches. */
function pourInPlace(to: Producer): void {
  const words = new Int32Array(to.data.buffer, to.data.byteOffset);
  for (let i = 0; i < count; i++) {
    let offset = to.reserve(SMALL);
    while (offset < 0) {
      to.publish();
      offset = to.reserve(SMALL);
    }
    const at = offset >> 2;
    words[at] = i;
    words[at + SMALL / 4 - 1] = ~i;
    to.stage(SMALL);
    if (i % BATCH === BATCH - 1) to.publish();
  }
  to.publish();
}

function drainInPlace(from: Consumer): number {
  const words = new Int32Array(from.data.buffer, from.data.byteOffset);
  const laps = new Laps(LAP);
  let i = 0;
  const take = (offset: number, length: number) => {
    const at = offset >> 2;
    if (length !== SMALL || words[at] !== i || words[at + SMALL / 4 - 1] !== ~i)
      throw new Error(`message ${i} is wrong`);
    laps.step(i++);
  };
  while (i < count) if (from.drain(take) === 0 && !from.wait()) throw new Error(`no message ${i}`);
  return laps.fastest;
}

/** Sends the time at which it sends, to a consumer that has been asleep for a while. */
function wake(to: Producer, path: string): void {
  const words = new Int32Array(SharedMemory.open(path).buffer);
  const time = new Float64Array(1);
  const bytes = new Uint8Array(time.buffer);
  for (let i = 0; i < count; i++) {
    while (Atomics.load(words, 0x300 / 4) !== 1);
    const until = nanoseconds() + 300_000;
    while (nanoseconds() < until);
    time[0] = nanoseconds();
    to.send(bytes);
  }
}

async function woken(from: Consumer, wait: () => boolean | Promise<unknown>): Promise<number> {
  const time = new Float64Array(1);
  const bytes = new Uint8Array(time.buffer);
  const seen: number[] = [];
  for (let i = 0; i < count; i++) {
    const waited = wait();
    if (typeof waited !== 'boolean') await waited;
    const now = nanoseconds();
    from.receiveInto(bytes);
    seen.push(now - time[0]!);
  }
  return median(seen);
}

function echo(address: string): void {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on('data', (chunk) => socket.write(chunk));
    socket.on('end', () => server.close());
  });
  server.listen(target(address), () => process.send?.('ready'));
}

/** A number is a TCP port of this host, all else the path of a Unix socket. */
const target = (address: string) =>
  /^\d+$/.test(address) ? { port: Number(address), host: '127.0.0.1' } : { path: address };

async function askSocket(address: string): Promise<number> {
  const socket: Socket = connect(target(address)).setNoDelay(true);
  const message = new Message(SMALL);
  const laps = new Laps(SOCKET_LAP);
  for (let i = 0; i < count; i++) {
    laps.step(i);
    socket.write(message.number(i));
    let got = 0;
    while (got < SMALL) {
      const chunk = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
      message.bytes.set(chunk, got);
      got += chunk.length;
    }
    message.check(i);
  }
  socket.end();
  return laps.fastest;
}

const ROLES: Record<string, () => unknown> = {
  ask: () => ask(producer(paths[0]!), consumer(paths[1]!)),
  answer: () => answer(consumer(paths[0]!), producer(paths[1]!)),
  'ask-channel': async () => ask(await openChannel(paths[0]!, 'send'), await openChannel(paths[1]!, 'recv')),
  'answer-channel': async () => answer(await openChannel(paths[0]!, 'recv'), await openChannel(paths[1]!, 'send')),
  pour: () => pour(producer(paths[0]!), SMALL),
  drain: () => drain(consumer(paths[0]!), SMALL),
  'pour-batches': () => pourBatches(producer(paths[0]!)),
  'drain-lazily': () => drain(consumer(paths[0]!, true), SMALL),
  'pour-in-place': () => pourInPlace(producer(paths[0]!)),
  'drain-in-place': () => drainInPlace(consumer(paths[0]!)),
  'pour-large': () => pour(producer(paths[0]!), LARGE),
  'drain-large': () => drain(consumer(paths[0]!), LARGE),
  wake: () => wake(producer(paths[0]!), paths[0]!),
  'be-woken': () => {
    const from = attachConsumer(SharedMemory.open(paths[0]!), { spins: 0 });
    return woken(from, () => from.wait());
  },
  'be-woken-by-loop': () => {
    const from = consumer(paths[0]!);
    return woken(from, () => from.readable());
  },
  echo: () => echo(paths[0]!),
  'ask-socket': () => askSocket(paths[0]!),
};

const result = await ROLES[role!]!();
if (typeof result === 'number') console.log(result);
// A parked helper thread or an open server is no reason to stay.
if (role !== 'echo') process.exit(0);
