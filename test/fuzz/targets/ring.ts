/** Rings whose other end writes anything, and the files that make channels known. */
import { encodeDescriptor, parseDescriptor } from '../../../src/ring/descriptor.ts';
import {
  attachConsumer,
  attachProducer,
  createRing,
  readStatistics,
  ringBytes,
  SharedMemory,
} from '../../../src/ring/index.ts';
import { PolykernelError } from '../../../src/sys/errors.ts';
import { must, type Target } from '../target.ts';

const DATA = 4096;
const HEADER = 4096;
/** Bytes of the header that mean something. */
const MEANING = 0x480;
let memory: SharedMemory | undefined;

/** The whole of a ring as its owner finds it: header, then data. */
const memoryTarget: Target = {
  name: 'ring-memory',
  dictionary: [
    words(0x8000_0010),
    words(0xc000_0000),
    words(0x8000_0000),
    words(1),
    words(3),
    words(DATA),
    words(0x7fff_fff8),
  ],
  maxBytes: MEANING + 1024,
  run(input) {
    memory ??= SharedMemory.anonymous('fuzz', ringBytes(DATA));
    const bytes = new Uint8Array(memory.buffer);
    bytes.fill(0);
    createRing(memory);
    bytes.set(input.subarray(0, MEANING));
    bytes.set(input.subarray(MEANING), HEADER);
    const outcome: unknown[] = [refused(() => readStatistics(memory!))];
    outcome.push(refused(() => attachProducer(memory!, { backPressure: 'error' }).send(Buffer.alloc(40))));
    outcome.push(refused(() => receive(4 * DATA)));
    return outcome;
  },
};

/** A number of sends and receipts with words of the memory overwritten in between: PLACE(2) VALUE(4) ACTION. */
const traffic: Target = {
  name: 'ring-traffic',
  dictionary: [
    [0x80, 2, 8],
    [0x80, 0, 16],
    [0, 16],
    [0x84, 1, 3],
    [0, 0, 0, 0x80],
  ].map((bytes) => Buffer.from(bytes)),
  maxBytes: 700,
  steps: { base: 20_000, perByte: 2000 },
  run(input) {
    memory ??= SharedMemory.anonymous('fuzz', ringBytes(DATA));
    new Uint8Array(memory.buffer).fill(0);
    createRing(memory);
    const all = new Int32Array(memory.buffer);
    const producer = attachProducer(memory, { backPressure: 'error' });
    const consumer = attachConsumer(memory);
    const outcome: unknown[] = [];
    for (let at = 0; at + 7 <= input.length; at += 7) {
      const place = input.readUInt16LE(at) % ((MEANING + DATA) / 4);
      const action = input[at + 6]!;
      if (action & 1) all[place < MEANING / 4 ? place : place - MEANING / 4 + HEADER / 4] = input.readInt32LE(at + 2);
      if (action & 2) outcome.push(refused(() => producer.send(Buffer.alloc((action >> 3) * 20))));
      if (action & 4) outcome.push(refused(() => taken(consumer)));
    }
    refused(() => producer.close());
    refused(() => consumer.close());
    return outcome;
  },
};

const descriptor: Target = {
  name: 'channel-descriptor',
  dictionary: [
    'memory=/dev/mem\n',
    'offset=',
    'bytes=8192\n',
    'sides=send,recv\n',
    'bell=/x\n',
    'number=',
    'peer=bell\n',
    'sleep=/y\n',
    'sleep-offset=',
    '\n',
    '=',
  ],
  run(input) {
    const found = parseDescriptor(input.toString('utf8'));
    const again = parseDescriptor(encodeDescriptor(found));
    must(JSON.stringify(again) === JSON.stringify(found), 'a descriptor reads as it was written');
    return found;
  },
};

function receive(most: number): number {
  const consumer = attachConsumer(memory!);
  let count = 0;
  while (taken(consumer) >= 0) must(++count <= most / 8, 'a ring holds no more messages than have room in it');
  return count;
}

/** Takes one message; -1 when there is none. */
function taken(consumer: ReturnType<typeof attachConsumer>): number {
  const length = consumer.peek();
  if (length < 0) return consumer.ended ? -2 : -1;
  must(length <= consumer.largest && consumer.offset + length <= DATA, 'a message lies inside of the ring');
  consumer.release();
  return length;
}

/** Undefined for what is refused as it should be. */
function refused(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof PolykernelError)) throw error;
    must(['protocol', 'conflict', 'unavailable'].includes(error.code), `refused as ${error.code}`);
    return error.message.slice(0, 40);
  }
}

function words(...values: number[]): Buffer {
  return Buffer.from(Uint32Array.from(values).buffer);
}

export const ringTargets: readonly Target[] = [memoryTarget, traffic, descriptor];
