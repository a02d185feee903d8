import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import type { GuestProcess } from '../guest/index.ts';
import { type Guest, Probe, TrialProgram } from './probe.ts';

/** A guest that says what the test says. */
function guest() {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const exited = Promise.withResolvers<{ kind: string; value: number; message: string }>();
  const process = { stdin, stdout, stderr, exited: exited.promise, exit: undefined, forget() {} };
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
    end: () => exited.resolve({ kind: 'exit', value: 1, message: '' }),
  };
}

it('of a guest that floods, no more is kept than was due by the clock of the host, and each request once', async () => {
  const { made, stdout } = guest();
  const probe = new Probe();
  const begun = performance.now();
  stdout.write('nonsense\nbegin\n');
  await probe.start(made, 'db', { seconds: 10, halts: false });
  const flood = Array.from({ length: 20_000 }, (_, index) => `r ${index} 7\n`).join('');
  for (const text of [flood, flood, `${'x'.repeat(100_000)}\n`, 'c 5\n'.repeat(20_000)]) {
    await new Promise<void>((resolve) => stdout.write(text, () => resolve()));
  }
  await new Promise((resolve) => setImmediate(resolve));
  expect(probe.samples.length).toBeGreaterThan(0);
  expect(probe.samples.length).toBeLessThanOrEqual((performance.now() - begun + 1_000) / 10 + 1);
  expect(new Set(probe.samples.map(({ dueMs }) => dueMs)).size).toBe(probe.samples.length);
  expect(probe.clocks).toHaveLength(10_000);
  probe.close();
  const kept = probe.samples.length;
  stdout.write('r 99999 1\n');
  await new Promise((resolve) => setImmediate(resolve));
  expect(probe.samples).toHaveLength(kept);
});

it('a program that does not begin says why, without what a terminal would obey', async () => {
  const { made, asked, stderr, end } = guest();
  const started = TrialProgram.start(made, 'db', ['fault', 'oom', '5']);
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
