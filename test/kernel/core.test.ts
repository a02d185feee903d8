/** The memory of real kernels, kept and read again. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import { finished, Sandbox, until } from '../support/pk.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
});
afterAll(() => sandbox[Symbol.asyncDispose]());

const stateOf = async (name: string) =>
  (await sandbox.json<InstanceStatus[]>('ps', '-a')).find(({ spec }) => spec.name === name)!.state;

describe.each([
  ['uml', '64M', 'ELF core of User Mode Linux'],
  ['qemu', '128M', 'kdump'],
])('%s', (driver, memory, format) => {
  beforeAll(() =>
    sandbox.ok(
      'run',
      '-d',
      '--name',
      driver,
      '--driver',
      driver,
      '--memory',
      memory,
      '--cpus',
      '1',
      '--',
      'sleep',
      '100000',
    ),
  );

  it('its memory is kept for its owner alone, its log is read out of that, and it goes on', async () => {
    const file = join(sandbox.home, `${driver}.core`);
    // So that the log has something that is in no text of the kernel's.
    await sandbox.ok('exec', driver, '--', 'sh', '-c', 'echo to be found in its log > /dev/kmsg');
    await sandbox.ok('core', 'save', driver, '--memory', '-o', file);
    for (const path of [file, `${file}.memory`]) expect(statSync(path).mode & 0o777).toBe(0o600);
    const dump = await sandbox.ok('core', 'show', '--log', `${file}.memory`);
    expect(dump).toContain(format);
    expect(dump).toMatch(/ \| \[ +\d+\.\d+\] Linux version 6\./);
    expect(dump).toMatch(/ \| \[ +\d+\.\d+\] to be found in its log\n/);
    expect(dump).toMatch(/CPU 0 +RIP=[0-9a-f]{16}/);
    // Both in one.
    expect(await sandbox.ok('core', 'show', file)).toContain('Kernel log (25 of ');
    expect(await stateOf(driver)).toBe('running');
    await sandbox.ok('exec', driver, '--', 'true');
  });

  it('Ctrl-C leaves no file, and nothing paused', async () => {
    const file = join(sandbox.home, 'interrupted.core');
    const child = sandbox.start('core', 'save', driver, '--memory', '-o', file);
    const ended = finished(child);
    await until('it has begun, or is done', async () => existsSync(`${file}.memory.new`) || child.exitCode !== null);
    child.kill('SIGINT');
    // One that was done before is no fault.
    expect([0, 130]).toContain((await ended).code);
    expect(readdirSync(sandbox.home).filter((name) => name.endsWith('.new'))).toEqual([]);
    await until('it runs', async () => (await stateOf(driver)) === 'running');
    await sandbox.ok('exec', driver, '--', 'true');
  });
});
