/** What QEMU says of its guest, on real kernels. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Core } from '../../src/evidence/contract.ts';
import type { HealthStatus } from '../../src/health/contract.ts';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import { HANG } from '../support/hang.ts';
import { Sandbox, until } from '../support/pk.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
});
afterAll(() => sandbox[Symbol.asyncDispose]());

const run = (name: string) =>
  sandbox.ok(
    'run',
    '-d',
    '--name',
    name,
    '--driver',
    'qemu',
    '--cpus',
    '1',
    '--memory',
    '128M',
    '--',
    'sleep',
    '100000',
  );
const healthOf = (name: string) => sandbox.json<HealthStatus>('health', 'show', name);
const lossesOf = async (name: string) =>
  (JSON.parse(await sandbox.ok('core', 'save', name, '-o', '-')) as Core).events
    .filter(({ type }) => type === 'health-lost')
    .map(({ message }) => message);
const exitOf = async (name: string) =>
  (await sandbox.json<InstanceStatus[]>('ps', '-a')).find(({ spec }) => spec.name === name)!.exit;

it('a kernel that panics is told as that, by its panic device', async () => {
  await run('panics');
  await sandbox.pk(['exec', 'panics', '--', 'sh', '-c', 'echo c > /proc/sysrq-trigger']);
  const { signs } = await until('it is lost', async () => {
    const status = await healthOf('panics');
    return status.health === 'lost' && status.state === 'exited' ? status : undefined;
  });
  expect(signs[0]).toMatchObject({ sign: 'panic', seen: expect.stringContaining('sysrq') });
  expect(await lossesOf('panics')).toEqual([expect.stringContaining('sysrq triggered crash')]);
});

it('a program that writes of a panic to the console makes none, and one that dumps itself is not killed', async () => {
  await run('claims');
  // What the panic device says when a kernel that kdump has loaded takes over.
  await sandbox.ok('exec', 'claims', '--', 'sh', '-c', `printf '\\002' | dd of=/dev/port bs=1 seek=1285 2> /dev/null`);
  await until('it is told', async () =>
    (await lossesOf('claims')).some((message) => message.includes('writes its memory down')),
  );
  // It is heard again, and so was no such thing.
  await until('it is well', async () => (await healthOf('claims')).health === 'healthy');
  const claim = 'echo "Kernel panic - not syncing: not true" > /dev/console; echo o > /proc/sysrq-trigger';
  await sandbox.pk(['exec', 'claims', '--', 'sh', '-c', claim]);
  await until('it is off', async () => (await healthOf('claims')).state === 'exited');
  expect(await exitOf('claims')).toMatchObject({ message: expect.stringContaining('powered itself off') });
});

/** Nothing else runs for ten seconds of its CPU time: it is seen to hang for most of them. */
const SPELL = [
  'while read line < /proc/self/stat',
  'do set -- $line; shift 13',
  'test $(($1 + $2)) -lt 1000 || break',
  'done',
].join('; ');

it('one that hung for a spell, so that its watchdog ran out, lets it run out again when it hangs for good', async () => {
  await run('spells');
  await until('it is well', async () => (await healthOf('spells')).health === 'healthy');
  const spell = `(sleep 1; echo -1 > /proc/sys/kernel/sched_rt_runtime_us; chrt -f 99 sh -c '${SPELL}') > /dev/null 2>&1 &`;
  await sandbox.ok('exec', 'spells', '--', 'sh', '-c', spell);
  await until('it hangs', async () => (await healthOf('spells')).health === 'hung', 200_000);
  await until('it goes on', async () => (await healthOf('spells')).health === 'healthy', 200_000);
  await sandbox.ok('exec', 'spells', '--', 'sh', '-c', `(sleep 2; ${HANG}) > /dev/null 2>&1 &`);
  const { signs } = await until(
    'it hangs for good',
    async () => {
      const status = await healthOf('spells');
      return status.health === 'hung' || status.health === 'unhealthy' ? status : undefined;
    },
    200_000,
  );
  expect(signs.map(({ sign }) => sign)).toEqual(['silence', 'watchdog']);
  await sandbox.ok('rm', '-f', 'spells');
});

it('one that hangs lets its watchdog run out', async () => {
  await run('hangs');
  await until('it is well', async () => (await healthOf('hangs')).health === 'healthy');
  const hang = `(sleep 1; ${HANG}) > /dev/null 2>&1 &`;
  await sandbox.ok('exec', 'hangs', '--', 'sh', '-c', hang);
  // A host that leaves its vCPU no time has it starved, for as long, and not hung.
  const { signs } = await until(
    'it hangs',
    async () => {
      const status = await healthOf('hangs');
      return status.health === 'hung' ? status : undefined;
    },
    200_000,
  );
  expect(signs.map(({ sign }) => sign)).toEqual(expect.arrayContaining(['silence', 'watchdog']));
  await sandbox.ok('rm', '-f', 'hangs');
});
