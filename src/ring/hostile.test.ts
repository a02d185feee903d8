import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { PolykernelError } from '../sys/errors.ts';
import { Consumer } from './consumer.ts';
import { attachConsumer, attachProducer, createRing, readStatistics, ringBytes, SharedMemory } from './index.ts';

const DATA = 4096;
const HEADER_WORDS = 1024;

/** Values that check bounds: committed lengths around the limits, wrap markers, small and huge positions. */
const garbage = fc.oneof(
  fc.integer(),
  fc.nat(5000).map((length) => length | 0x8000_0000),
  fc.constantFrom(0, 1, 2, 3, 8, -8, 0xc000_0000 | 0, 0x7fff_ffff, 0x8000_0000 | 0, -1, DATA, DATA - 8),
);
/** Mostly the words that mean something: 20 header lines, and what lies in the data area where a commit word may be. */
const place = fc.oneof(
  fc.nat(0x480 / 4),
  fc.nat(HEADER_WORDS - 1),
  fc.nat(DATA / 8 - 1).map((i) => HEADER_WORDS + i * 2),
);
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('send' as const), length: fc.nat(700) }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'receive' as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('corrupt' as const), place, garbage }) },
  { weight: 1, arbitrary: fc.constantFrom({ kind: 'producer' as const }, { kind: 'consumer' as const }) },
);

/** Runs `act`, of which a peer's garbage may make nothing worse than an error that says so. */
function refusing(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof PolykernelError)) throw error;
    expect(['protocol', 'conflict']).toContain(error.code);
  }
}

test('garbage in any word is refused or harmless, never a crash, an endless loop or a read out of bounds', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), (steps) => {
      using memory = SharedMemory.anonymous('hostile', ringBytes(DATA));
      createRing(memory);
      const words = new Int32Array(memory.buffer);
      let producer = attachProducer(memory, { backPressure: 'error' });
      let consumer = attachConsumer(memory);
      for (const step of steps) {
        if (step.kind === 'corrupt') words[step.place] = step.garbage;
        else if (step.kind === 'send') refusing(() => producer.send(new Uint8Array(step.length)));
        else if (step.kind === 'receive') {
          refusing(() => {
            const length = consumer.peek();
            expect(length).toBeLessThanOrEqual(consumer.largest);
            if (length < 0) return void consumer.ended;
            expect(consumer.offset + length).toBeLessThanOrEqual(DATA);
            consumer.release();
          });
        } else if (step.kind === 'producer') {
          refusing(() => {
            producer = attachProducer(memory, { backPressure: 'error' });
          });
        } else {
          refusing(() => {
            consumer = attachConsumer(memory);
          });
        }
        refusing(() => readStatistics(memory));
      }
      refusing(() => producer.close());
      refusing(() => consumer.close());
    }),
    { numRuns: 400 },
  );
});

test('a broken commit word ends the ring for both sides and for successors', () => {
  using memory = SharedMemory.anonymous('hostile', ringBytes(DATA));
  createRing(memory);
  const producer = attachProducer(memory);
  const consumer = attachConsumer(memory);
  const words = new Int32Array(memory.buffer);
  words[HEADER_WORDS] = 5;
  expect(() => consumer.receive()).toThrow(/a commit word that no producer writes/);
  expect(() => consumer.receive()).toThrow(/the ring is in error/);
  expect(() => producer.send(new Uint8Array(1))).toThrow(/the other side put the ring in error/);
  expect(() => attachProducer(memory)).toThrow(/left in error/);
  expect(readStatistics(memory).consumer).toMatchObject({
    state: 'error',
    fault: 'a commit word that no producer writes',
  });
});

test.each([
  ['ahead of the producer', 8192],
  ['backwards', -8],
  ['inside of a word', 4],
])('a consumer that moves %s is found out', (_, position) => {
  using memory = SharedMemory.anonymous('hostile', ringBytes(DATA));
  createRing(memory);
  const producer = attachProducer(memory, { backPressure: 'error' });
  new Int32Array(memory.buffer)[0x280 / 4] = position;
  expect(() => {
    for (let i = 0; i < 100; i++) producer.send(new Uint8Array(100));
  }).toThrow(/a position outside of what is possible/);
});

test('a consumer that resumes looks at what a ring can hold, however often the same messages would come again', () => {
  using memory = SharedMemory.anonymous('hostile', ringBytes(DATA));
  createRing(memory);
  const words = new Int32Array(memory.buffer);
  for (let at = HEADER_WORDS; at < HEADER_WORDS + DATA / 4; at += 2) words[at] = 0x8000_0000 | 0;
  const peeks = vi.spyOn(Consumer.prototype, 'peek');
  expect(() => attachConsumer(memory, { resumeAt: DATA + 16 })).toThrow(/no message of this ring ends at position/);
  expect(peeks.mock.calls.length).toBeLessThanOrEqual(DATA / 8);
  expect(attachConsumer(memory, { resumeAt: DATA }).released).toBe(DATA);
  peeks.mockRestore();
});
