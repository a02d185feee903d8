import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { OutputStream } from '../guest/streams.ts';
import { pump, type WorkloadLog } from './output.ts';

/** A log that is behind from the second piece on, until it is told to go on. */
function slowLog() {
  const written: string[] = [];
  let goOn = () => {};
  const log: WorkloadLog = {
    begin() {},
    write(stream, chunk) {
      written.push(`${stream} ${chunk}`);
      return written.length < 2;
    },
    drained: () =>
      new Promise((resolve) => {
        goOn = resolve;
      }),
  };
  return { log, written, goOn: () => goOn() };
}

it('brings all output to the log and its watchers, at the pace of the log', async () => {
  const { log, written, goOn } = slowLog();
  const watched: string[] = [];
  const source = new OutputStream(() => {});
  const done = pump(source, 'out', log, new Set([(stream, chunk) => void watched.push(`${stream} ${chunk}`)]));
  await turn();
  for (const text of ['one', 'two', 'three', 'four']) {
    source.accept(Buffer.from(text));
    await turn();
  }
  expect(written).toEqual(['out one', 'out two']);
  expect(source.waiting).toBe('threefour'.length);
  source.finish();
  for (let round = 0; round < 10; round++) {
    goOn();
    await turn();
  }
  await done;
  expect(written.join('')).toBe('out oneout twoout threeout four');
  expect(watched).toEqual(written);
});

it('ends with a stream that fails, and does not reject', async () => {
  const { log } = slowLog();
  const source = new OutputStream(() => {});
  const done = pump(source, 'err', log, new Set());
  source.destroy(new Error('the guest is lost'));
  await expect(done).resolves.toBeUndefined();
});

it('ends with a stream that had ended before', async () => {
  const { log } = slowLog();
  const source = new OutputStream(() => {});
  source.destroy();
  await turn();
  await expect(pump(source, 'out', log, new Set())).resolves.toBeUndefined();
});

it.each([
  [
    'a log that cannot be written',
    {
      begin: () => {},
      write: () => {
        throw new Error('no space');
      },
      drained: async () => {},
    },
  ],
  [
    'a log that never catches up',
    { begin: () => {}, write: () => false, drained: () => Promise.reject(new Error('no space')) },
  ],
])('gives a stream up for %s', async (_, log) => {
  const source = new OutputStream(() => {});
  const done = pump(source, 'out', log, new Set());
  await turn();
  source.accept(Buffer.from('one'));
  await expect(done).resolves.toBeUndefined();
});
