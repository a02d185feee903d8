import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import type { GuestProcess } from '../guest/index.ts';
import { type Guest, Probe, TrialProgram } from './probe.ts';

const going = new AbortController().signal;

/** A guest that says what the test says. */
function guest() {
  let forgotten = false;
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const exited = Promise.withResolvers<{ kind: string; value: number; message: string }>();
  const process = {
    stdin,
    stdout,
    stderr,
    exited: exited.promise,
    exit: undefined,
    forget: () => {
      forgotten = true;
    },
  };
  const asked = Promise.withResolvers<void>();
  const exec = () => {
    asked.resolve();
    return process as unknown as GuestProcess;
  };
  const made: Guest = { writeFile: async () => {}, exec };
  return {
    made,
    asked: asked.promise,
    stdout,
    stderr,
    isForgotten: () => forgotten,
    end: () => exited.resolve({ kind: 'exit', value: 1, message: '' }),
  };
}

it('of a guest that floods, no more is kept than was due by the clock of the host, and each request once', async () => {
  const { made, stdout } = guest();
  const probe = new Probe();
  const begun = performance.now();
  stdout.write('nonsense\nbegin\n');
  await probe.start(made, 'db', { seconds: 10, halts: false }, going);
  const flood = Array.from({ length: 4_000 }, (_, index) => `r ${index} 7\n`).join('');
  for (const text of [flood, flood, `${'x'.repeat(10_000)}\n`, 'c 5\n'.repeat(2_000)]) {
    await new Promise<void>((resolve) => stdout.write(text, () => resolve()));
  }
  await new Promise((resolve) => setImmediate(resolve));
  expect(probe.samples.length).toBeGreaterThan(0);
  expect(probe.samples.length).toBeLessThanOrEqual((performance.now() - begun + 1_000) / 10 + 1);
  expect(new Set(probe.samples.map(({ dueMs }) => dueMs)).size).toBe(probe.samples.length);
  expect(probe.clocks).toHaveLength(2_000);
  probe.close();
  const kept = probe.samples.length;
  stdout.write('r 99999 1\n');
  await new Promise((resolve) => setImmediate(resolve));
  expect(probe.samples).toHaveLength(kept);
});

it('a program that does not begin says why, without what a terminal would obey', async () => {
  const { made, asked, stderr, end } = guest();
  const started = TrialProgram.start(made, 'db', ['fault', 'oom', '5'], going);
  started.catch(() => {});
  stderr.write('pk-trial: \u001b[2Jno\n');
  await asked;
  await new Promise((resolve) => setImmediate(resolve));
  end();
  const error = await started.then(
    () => undefined,
    ({ code, message }) => ({ code, message }),
  );
  expect(error).toEqual({ code: 'not-ready', message: expect.stringMatching(/^db: pk-trial fault oom .*no$/) });
  expect(error!.message).not.toContain('\u001b');
});

it('a program that says more than it has to say is given up: nothing of it is taken any more', async () => {
  const { made, stdout, isForgotten } = guest();
  const probe = new Probe();
  stdout.write('begin\n');
  await probe.start(made, 'db', { seconds: 10, halts: false }, going);
  expect(probe.hasEnded).toBe(false);
  for (let piece = 0; piece < 8 && !isForgotten(); piece++)
    await new Promise<void>((resolve) => stdout.write('\n'.repeat(64 * 1024), () => resolve()));
  expect([isForgotten(), probe.hasEnded]).toEqual([true, true]);
  await new Promise<void>((resolve) => stdout.write('c 5\n', () => resolve()));
  expect(probe.clocks).toEqual([]);
  probe.close();
  expect(probe.brokeOff).toBe(true);
});

it.each(['the file', 'the program'])(
  'of a guest that is silent about %s nothing is waited for once the trial is interrupted',
  async (silent) => {
    const { made, asked, isForgotten } = guest();
    const trial = new AbortController();
    const written = Promise.withResolvers<void>();
    const writeFile = () => {
      written.resolve();
      return silent === 'the file' ? new Promise<void>(() => {}) : Promise.resolve();
    };
    const probe = new Probe();
    const started = probe.start({ ...made, writeFile }, 'db', { seconds: 10, halts: false }, trial.signal);
    started.catch(() => {});
    await (silent === 'the file' ? written.promise : asked);
    trial.abort();
    await expect(started).rejects.toMatchObject({ code: 'unavailable', message: 'the trial was interrupted' });
    expect(isForgotten()).toBe(silent === 'the program');
  },
);
