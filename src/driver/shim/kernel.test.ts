import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CpuChoice } from '../uml/cpu-choice.ts';
import { LpjCache, parseLpj } from '../uml/lpj.ts';
import { explainExit, findPanic, unwrapStatus } from './kernel.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-kernel-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('explainExit', () => {
  const code = (value: number) => ({ code: value, signal: null });
  const panic = '[    1.0] Kernel panic - not syncing: sysrq triggered crash\n';

  it.each([
    [
      'a panic',
      panic,
      code(134),
      { reason: 'panic', signal: 'SIGABRT', message: 'Kernel panic - not syncing: sysrq triggered crash' },
    ],
    ['a power-off from inside', '', code(0), { reason: 'stopped', code: 0, message: 'the guest powered itself off' }],
    [
      'a reset from inside',
      'reboot: Power down\n[    1.0] sysrq: Resetting\n',
      code(0),
      { reason: 'died', code: 0, message: 'the guest reset itself (sysrq: Resetting)' },
    ],
    ['a power-off after a reset', 'reboot: Restarting system\nreboot: Power down\n', code(0), { reason: 'stopped' }],
    [
      'a kill',
      '',
      { code: null, signal: 'SIGKILL' as const },
      { reason: 'died', signal: 'SIGKILL', message: expect.stringContaining('SIGKILL') },
    ],
    ['the OOM killer', '', code(137), { reason: 'died', signal: 'SIGKILL' }],
    ['an error status', '', code(1), { reason: 'died', code: 1, message: expect.stringContaining('status 1') }],
    ['a lost shim', '', undefined, { reason: 'died', message: expect.stringContaining('pk-shim') }],
  ])('tells %s', async (_, console, exit, expected) => {
    writeFileSync(join(directory, 'console.log'), console);
    expect(await explainExit(directory, exit)).toMatchObject(expected);
  });

  it.each([
    ['a power-off, whatever a program wrote to the console', panic, 'power-off', { reason: 'stopped' }],
    [
      'a panic without a console',
      '',
      'panic',
      { reason: 'panic', message: expect.stringContaining('does not say why') },
    ],
    ['a panic with its text', panic, 'panic', { reason: 'panic', message: expect.stringContaining('sysrq') }],
    ['a reset without a word', '', 'reset', { reason: 'died', message: 'the guest reset itself (without a word)' }],
    ['a reset behind a panic', panic, 'reset', { reason: 'panic' }],
  ] as const)('believes the VMM: %s', async (_, console, seen, expected) => {
    writeFileSync(join(directory, 'console.log'), console);
    expect(await explainExit(directory, code(0), seen)).toMatchObject(expected);
  });

  it('calls stopped what was asked for', async () => {
    writeFileSync(join(directory, 'console.log'), panic);
    writeFileSync(join(directory, 'stop-requested'), '');
    expect(await explainExit(directory, code(134))).toMatchObject({ reason: 'stopped', signal: 'SIGABRT' });
  });
});

it.each([
  ['nothing here', undefined],
  [
    '[  0.1] Kernel panic - not syncing: VFS: Unable to mount root\n',
    'Kernel panic - not syncing: VFS: Unable to mount root',
  ],
  ['---[ end Kernel panic - not syncing: Fatal ]---\n', 'Kernel panic - not syncing: Fatal'],
  ['Kernel panic - not syncing: a\n---[ end Kernel panic - not syncing: a ]---', 'Kernel panic - not syncing: a'],
])('finds the panic in %j', (text, message) => {
  expect(findPanic(text)).toBe(message);
});

it('keeps little of a panic message that is none', () => {
  expect(findPanic(`Kernel panic - not syncing: ${' '.repeat(32_000)}x`)).toBe('Kernel panic - not syncing:');
  expect(findPanic(`Kernel panic - not syncing: \u2028${'x'.repeat(32_000)}`)!.length).toBe(500);
});

it('turns the status of bwrap back into a signal', () => {
  expect(unwrapStatus({ code: 134, signal: null })).toEqual({ code: null, signal: 'SIGABRT' });
  expect(unwrapStatus({ code: 128, signal: null })).toEqual({ code: 128, signal: null });
  expect(unwrapStatus({ code: 3, signal: null })).toEqual({ code: 3, signal: null });
});

it('spreads kernels over the host CPUs', () => {
  const choice = new CpuChoice(() => [0, 1]);
  expect([choice.take(), choice.take(), choice.take()]).toEqual([0, 1, 0]);
  choice.release(0);
  choice.release(0);
  expect(choice.take()).toBe(0);
  expect(choice.take([7])).toBe(7);
});

describe('delay-loop constant', () => {
  it('is read from boot messages', () => {
    expect(parseLpj('x\nCalibrating delay loop... 8527.66 BogoMIPS (lpj=42638336)\n')).toBe(42_638_336);
    expect(parseLpj('Calibrating delay loop (skipped) preset value..')).toBeUndefined();
  });

  it('is not learnt from a kernel with words of its own, for all kernels of its image go by it', async () => {
    const cache = new LpjCache(join(directory, 'cache/learnt.json'), 'boot');
    const image = { digest: 'digest' };
    const said = (lpj: number) => `Calibrating delay loop (skipped) preset value.. 0.00 BogoMIPS (lpj=${lpj})\n`;
    await cache.learn({ image, append: ['lpj=1000'] }, said(1000));
    expect(await cache.get('digest')).toBeUndefined();
    await cache.learn({ image }, said(4_000_000));
    expect(await cache.get('digest')).toBe(4_000_000);
  });

  it('is kept per image and boot of the host, of this boot alone', async () => {
    const path = join(directory, 'cache/lpj.json');
    await new LpjCache(path, 'boot a').set('digest', 4000);
    await new LpjCache(path, 'boot a').set('other', 4001);
    expect(await new LpjCache(path, 'boot a').get('digest')).toBe(4000);
    expect(await new LpjCache(path, 'boot b').get('digest')).toBeUndefined();
    await new LpjCache(path, 'boot b').set('digest', 5000);
    expect(readFileSync(path, 'utf8')).toBe('{"digest boot b":5000}');
    writeFileSync(path, '{"digest boot b": "evil", broken');
    expect(await new LpjCache(path, 'boot b').get('digest')).toBeUndefined();
  });
});
