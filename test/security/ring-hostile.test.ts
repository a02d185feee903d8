import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createRing, ringBytes, SharedMemory } from '../../src/ring/index.ts';
import { nativeProgram } from '../support/native.ts';
import { LEDGER_BYTES } from '../support/ring-check.ts';

const CHECK = join(import.meta.dirname, '../support/ring-check.ts');
const DATA = 4096;
/** Bytes of the header that mean something. */
const HEADER = 0x480;
const GONE = 2;
const ERROR = 3;
/** Offsets of all that the ends look at while they run. */
const FIELDS = [0x80, 0x280].flatMap((side) => [0, 128, 132, 256, 260, 264, 384].map((field) => side + field));
const WRITES = 4000;
/** Each side's attention and state words, and what an honest peer would leave there at its end. */
const FAREWELL = [
  [0x100, GONE],
  [0x300, GONE],
  [0x184, ERROR],
  [0x384, ERROR],
] as const;

/** Numbers that repeat from run to run. */
function* randoms(seed: number): Generator<number, never> {
  for (let state = seed | 1; ; ) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield state;
  }
}

const ended = (child: ChildProcess) =>
  new Promise<{ code: number | null; signal: string | null; said: string }>((resolve) => {
    let said = '';
    child.stderr?.on('data', (chunk) => {
      said += chunk;
    });
    child.on('close', (code, signal) => resolve({ code, signal, said }));
  });

test('two ends that run survive garbage in every field', { timeout: 120_000 }, async () => {
  const directory = mkdtempSync('/dev/shm/pk-hostile-');
  const native = await nativeProgram('pk-ring');
  try {
    for (const [round, field] of FIELDS.entries()) {
      const ring = join(directory, `ring-${round}`);
      const ledger = join(directory, `ledger-${round}`);
      using memory = SharedMemory.create(ring, ringBytes(DATA));
      SharedMemory.create(ledger, LEDGER_BYTES)[Symbol.dispose]();
      createRing(memory);
      const words = new Int32Array(memory.buffer);
      const endless = String(2 ** 32 - 1);
      const send = [ring, endless, '200', ledger];
      const receive = [ring, endless, ledger];
      const [c, ts] = [[native], [process.execPath, CHECK]];
      const argvs = [
        round & 1 ? [...c, 'check-send', ...send] : [...ts, 'send', ...send],
        round & 2 ? [...c, 'check-recv', ...receive] : [...ts, 'recv', ...receive],
      ];
      const children = argvs.map(([program, ...args]) =>
        spawn(program!, args, { stdio: ['ignore', 'ignore', 'pipe'] }),
      );
      const ends = children.map(ended);
      // Both must be at work before they are disturbed.
      const working = () => Atomics.load(words, 0x280 / 4) !== 0 || children.some((child) => child.exitCode !== null);
      while (!working()) await new Promise(setImmediate);
      const random = randoms(round * 7919 + 1);
      // First one field a round, so that each is hit alone while both ends run; then everything.
      for (let i = 0; i < WRITES; i++) {
        const at = i < WRITES / 2 ? field / 4 : (random.next().value >>> 0) % ((HEADER + DATA) / 4);
        words[at < HEADER / 4 ? at : at - HEADER / 4 + 1024] = random.next().value;
        if (i % 50 === 0) await new Promise(setImmediate);
      }
      // Whoever lost its bell to the garbage sleeps, which is its own channel stalled. Wake it with the end of the ring.
      const say = () => {
        for (const [offset, value] of FAREWELL) {
          words[offset / 4] = value;
          memory.futexWake(0x100);
          memory.futexWake(0x300);
        }
      };
      const farewell = setInterval(say, 1);
      for (const end of ends) {
        const { code, signal, said } = await end;
        expect({ signal, said }).toEqual({ signal: null, said: expect.stringMatching(/ring|came|torn|short/) });
        expect(code).not.toBe(0);
      }
      clearInterval(farewell);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
