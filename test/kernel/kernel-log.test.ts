/** What a guest's kernel says of itself, as its agent reads it: on real kernels, for what can be brought about within seconds. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { HealthStatus } from '../../src/health/contract.ts';
import { Sandbox, until } from '../support/pk.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
});
afterAll(() => sandbox[Symbol.asyncDispose]());

const untilSign = (name: string, sign: string) =>
  until(`${name} shows ${sign}`, async () => {
    const status = await sandbox.json<HealthStatus>('health', 'show', name);
    return status.signs.find((each) => each.sign === sign)?.seen;
  });
const run = (name: string, driver: string, memory: string) =>
  sandbox.ok(
    ...['run', '-d', '--name', name, '--driver', driver, '--cpus', '1', '--memory', memory, '--', 'sleep', '100000'],
  );

it('a task that its kernel calls hung is a sign, in the kernel´s words (QEMU)', async () => {
  await run('waits', 'qemu', '128M');
  // A file system that is frozen keeps whoever writes to it.
  await sandbox.ok(
    ...['exec', 'waits', '--', 'sh', '-ec'],
    `modprobe loop; modprobe ext4; mkdir /tmp/m; truncate -s 4M /tmp/f; mkfs.ext4 -q /tmp/f
     mount -o loop /tmp/f /tmp/m; fsfreeze -f /tmp/m; echo 1 > /proc/sys/kernel/hung_task_timeout_secs
     touch /tmp/m/x > /dev/null 2>&1 < /dev/null &`,
  );
  expect(await untilSign('waits', 'hung-task')).toMatch(/^INFO: task touch:\d+ blocked for more than \d+ seconds/);
  // What is known of it is kept, with the registers of its CPU.
  const file = join(sandbox.home, 'waits.core');
  await sandbox.ok('core', 'save', 'waits', '-o', file);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const shown = await sandbox.ok('core', 'show', file);
  expect(shown).toContain('hung-task since');
  expect(shown).toMatch(/RIP=[0-9a-f]{16}/);
  // One that resets itself went unasked.
  await sandbox.pk(['exec', 'waits', '--', 'sh', '-c', 'echo b > /proc/sysrq-trigger']);
  expect(await untilSign('waits', 'died')).toContain('the guest reset itself');
});

it('whom the kernel killed for want of memory is told in its words (User Mode Linux)', async () => {
  await run('short', 'uml', '64M');
  await untilHealthy('short');
  await sandbox.pk(['exec', 'short', '--', 'tail', '/dev/zero']);
  expect(await untilSign('short', 'out-of-memory')).toMatch(/for want of memory, the last: .*Killed process \d+ \(/);
  await sandbox.ok('rm', '-f', 'short');
});

const untilHealthy = (name: string) =>
  until(`${name} is healthy`, async () => {
    const { health } = await sandbox.json<HealthStatus>('health', 'show', name);
    return health === 'healthy' ? true : undefined;
  });
