/**
 * Numbered messages with known content, as `pk-ring check-send` and `check-recv` exchange them, in TypeScript. Run as a
 * program: `ring-check.ts send RING COUNT LONGEST LEDGER` or `recv RING COUNT LEDGER [STALL]`, with paths or with names of
 * channels; STALL holds the consumer up
 * after every so many messages until the ring is full.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDescriptor } from '../../src/ring/descriptor.ts';
import {
  attachConsumer,
  attachProducer,
  type Consumer,
  openChannel,
  readStatistics,
  SharedMemory,
} from '../../src/ring/index.ts';
import { HEADER_BYTES } from '../../src/ring/layout.ts';

/** Memory that outlives the processes: what each producer has committed and what the consumer has taken. In words. */
const VALID = 0;
const RECORDS = 4;
const COMMITTED = 64;
const GENERATIONS = 1024;
export const LEDGER_BYTES = (COMMITTED + GENERATIONS) * 4;

const committedIndex = (epoch: number) => COMMITTED + (epoch % GENERATIONS);

/** Messages that producers of this epoch have committed for certain. */
export const committed = (ledger: Int32Array, epoch: number) => Atomics.load(ledger, committedIndex(epoch)) >>> 0;
/** Messages taken and verified so far. */
export const taken = (ledger: Int32Array) => lastRecord(ledger).taken;

interface Taken {
  epoch: number;
  number: number;
  position: number;
  taken: number;
}

function lastRecord(ledger: Int32Array): Taken {
  const [epoch, number, position, taken] = ledger.subarray(RECORDS + (Atomics.load(ledger, VALID) & 1) * 4);
  return { epoch: epoch! >>> 0, number: number! >>> 0, position: position! >>> 0, taken: taken! >>> 0 };
}

function note(ledger: Int32Array, { epoch, number, position, taken }: Taken): void {
  const valid = Atomics.load(ledger, VALID) + 1;
  const at = RECORDS + (valid & 1) * 4;
  ledger[at] = epoch;
  ledger[at + 1] = number;
  ledger[at + 2] = position;
  ledger[at + 3] = taken;
  Atomics.store(ledger, VALID, valid);
}

async function send(path: string, count: number, longest: number, ledger: Int32Array): Promise<void> {
  const producer = isPath(path) ? attachProducer(SharedMemory.open(path)) : await openChannel(path, 'send');
  const { epoch } = producer;
  const bytes = new Uint8Array(longest);
  const head = new Uint32Array(bytes.buffer, 0, 2);
  head[0] = epoch;
  Atomics.store(ledger, committedIndex(epoch), 0);
  for (let number = 0; number < count; number++) {
    const length = 8 + ((Math.imul(number, 0x9e37_79b1) >>> 8) % (longest - 7));
    head[1] = number;
    const seed = epoch * 7 + number * 31;
    for (let i = 8; i < length; i++) bytes[i] = seed + i;
    producer.send(length === longest ? bytes : bytes.subarray(0, length), number);
    Atomics.store(ledger, committedIndex(epoch), number + 1);
  }
  producer.close();
}

/** Is `epoch`.`number` what must come after `last`? A predecessor's committed messages must all have come before. */
function follows(ledger: Int32Array, last: Taken, epoch: number, number: number): boolean {
  if (epoch === last.epoch) return number === last.number + 1;
  if (epoch < last.epoch || number !== 0) return false;
  for (let old = last.epoch; old < epoch; old++) {
    const seen = old === last.epoch && last.taken > 0 ? last.number + 1 : 0;
    if (old > 0 && committed(ledger, old) > seen) return false;
  }
  return true;
}

async function receive(path: string, count: number, ledger: Int32Array, stall: number): Promise<void> {
  const last = lastRecord(ledger);
  const memory = map(path);
  const options = last.taken > 0 ? { resumeAt: last.position } : {};
  const consumer = isPath(path) ? attachConsumer(memory, options) : await openChannel(path, 'recv', options);
  const head = new Uint32Array(consumer.data.buffer);
  while (last.taken < count && consumer.wait()) {
    const length = consumer.peek();
    const at = (consumer.data.byteOffset + consumer.offset) >> 2;
    const epoch = head[at]!;
    const number = head[at + 1]!;
    if (length < 8 || consumer.tag >>> 0 !== number || !follows(ledger, last, epoch, number))
      throw new Error(`after ${last.epoch}.${last.number} came ${epoch}.${number} of ${length} bytes`);
    verify(consumer, length, epoch * 7 + number * 31);
    last.epoch = epoch;
    last.number = number;
    last.taken++;
    last.position = consumer.end;
    note(ledger, last);
    consumer.release();
    if (stall > 0 && last.taken % stall === 0) untilFull(memory);
  }
  consumer[Symbol.dispose]();
  process.stdout.write(`${last.taken}\n`);
}

const isPath = (name: string) => name.includes('/');

/** The memory of a ring in a file, or of a channel by its name, without taking a side. */
function map(name: string): SharedMemory {
  if (isPath(name)) return SharedMemory.open(name);
  const directory = process.env.PK_CHANNELS ?? '/run/pk/channels';
  const { memory, offset, bytes } = parseDescriptor(readFileSync(join(directory, name), 'utf8'));
  return SharedMemory.region(memory, offset, bytes);
}

/** Holds up until the producer sleeps for want of room; one that was killed meanwhile never will, hence the bound. */
function untilFull(memory: SharedMemory): void {
  for (let looks = 0; looks < 100_000 && !readStatistics(memory).producer.asleep; looks++);
}

function verify({ data, offset }: Consumer, length: number, seed: number): void {
  for (let i = 8; i < length; i++)
    if (data[offset + i] !== ((seed + i) & 0xff)) throw new Error(`byte ${i} of ${length} is torn`);
}

if (import.meta.main) {
  const [role, path, count, third, fourth] = process.argv.slice(2);
  const ledgerPath = role === 'send' ? fourth! : third!;
  // The data area of a channel that nobody sends through is memory that both kernels see.
  const ledger = new Int32Array(map(ledgerPath).buffer, isPath(ledgerPath) ? 0 : HEADER_BYTES);
  if (role === 'send') await send(path!, Number(count), Number(third), ledger);
  else await receive(path!, Number(count), ledger, Number(fourth ?? 0));
}
