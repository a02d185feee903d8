/** What is known of an instance, on kernels in memory. */
import { expect, it } from 'vitest';
import { parseCore, textOf } from '../../src/cli/evidence/show.ts';
import { fakeKernels, killFakeKernel } from '../../src/driver/fake/driver.ts';
import { startDaemon, untilState } from '../support/harness.ts';

it('all that is known of one that went is in its evidence, and no value of its environment', async () => {
  const test = await startDaemon();
  await test.create({ name: 'web', command: ['sleep', '1000'], env: { TOKEN: 'very secret' } });
  await untilState(test, 'web', 'running');
  killFakeKernel(fakeKernels(test.home)[0]!);
  await untilState(test, 'web', 'exited');
  const evidence = await test.client.evidence('web');
  expect(JSON.stringify(evidence)).not.toContain('very secret');
  expect(evidence).toMatchObject({
    status: { exit: { reason: 'died' }, spec: { env: { TOKEN: '(hidden)' } } },
    health: { health: 'lost', signs: [{ sign: 'died' }] },
    registers: null,
    noRegisters: expect.stringContaining('driver'),
  });
  expect(evidence.events.map(({ type }) => type)).toEqual(expect.arrayContaining(['created', 'ready', 'crashed']));
  const core = { ...evidence, console: ['[    1.0] \x1b[2Jhello\n', 'Kernel panic - not syncing: x\n'] };
  expect(parseCore('web.core', JSON.stringify(core))).toEqual(core);
  const text = textOf('web.core', core, { console: false, registers: false });
  expect(text).toContain('its last run ended by died');
  expect(text).toContain('| Kernel panic - not syncing: x');
  expect(text).not.toContain('\x1b');
});

it('no part of it acts on the terminal that it is shown on, whoever wrote it', () => {
  const hostile = '\x1b[H\x1b[J\x1b[8mx';
  const sign = { sign: hostile, since: hostile, seen: hostile };
  const core = {
    format: 'polykernel-core',
    version: 1,
    at: hostile,
    status: { spec: { name: hostile, driver: hostile }, exit: { reason: hostile, at: hostile, message: hostile } },
    health: { name: hostile, state: hostile, health: hostile, since: hostile, signs: [sign], check: null },
    events: [{ at: hostile, type: hostile, message: hostile }],
    healings: [
      { at: hostile, name: hostile, cause: hostile, why: hostile, outcome: hostile, note: hostile, tookMs: null },
    ],
    console: [hostile],
    stats: null,
    registers: hostile,
  };
  const text = textOf('f', parseCore('f', JSON.stringify(core)), { console: true, registers: true });
  expect(text).toContain('its last run ended by x at x: x');
  expect(text).not.toContain('\x1b');
});

it.each([
  '',
  '{}',
  'null',
  '{"format":"polykernel-core","version":2}',
  '{"format":"polykernel-core","version":1,"status":{}}',
])('what pk core save has not written is refused: %j', (text) =>
  expect(() => parseCore('f', text)).toThrow(expect.objectContaining({ code: 'invalid', field: 'FILE' })),
);

it('one whose parts are of another kind is refused when it is to be shown', () => {
  const parts = { spec: { name: 5 }, health: { signs: [] }, console: [5], events: [null], healings: [] };
  const text = JSON.stringify({ format: 'polykernel-core', version: 1, status: parts, ...parts });
  expect(() => textOf('f', parseCore('f', text), { console: false, registers: false })).toThrow(
    expect.objectContaining({ code: 'invalid', field: 'FILE' }),
  );
});
