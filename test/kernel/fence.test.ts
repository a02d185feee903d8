/** A VMM that a control group of version 1 has frozen does not die of SIGKILL: nothing of its instance is started beside it. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { HealStatus } from '../../src/heal/contract.ts';
import type { HealthStatus } from '../../src/health/contract.ts';
import type { InstanceDetails } from '../../src/instance/contract.ts';
import { Sandbox, until } from '../support/pk.ts';

const FREEZER = '/sys/fs/cgroup/freezer';
const group = `${FREEZER}/pk-fence-${process.pid}`;
const isPossible = process.getuid?.() === 0 && existsSync(`${FREEZER}/tasks`);
const freeze = (state: 'FROZEN' | 'THAWED') => writeFileSync(`${group}/freezer.state`, state);

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
  if (isPossible) mkdirSync(group);
});
afterAll(async () => {
  if (isPossible) freeze('THAWED');
  await sandbox[Symbol.asyncDispose]();
  if (isPossible)
    await until('the group is empty', async () => {
      try {
        rmdirSync(group);
        return true;
      } catch {
        return undefined;
      }
    });
});

const children = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
/** What runs below a process and is no process of the jail's own. */
const below = (pid: number): number[] => children(pid).flatMap((child) => [child, ...below(child)]);
const inspect = (name: string) => sandbox.json<InstanceDetails>('inspect', name);
const untilState = (name: string, state: string) =>
  until(`${name} is ${state}`, async () => ((await inspect(name)).state === state ? true : undefined));

it.runIf(isPossible)('a successor starts when the old kernel is proven to be gone, and not before', async () => {
  await sandbox.ok(
    ...['run', '-d', '--name', 'web', '--driver', 'uml', '--memory', '64M', '--heal', 'lost', '--', 'sleep', '100000'],
  );
  const { pid, bootId } = await inspect('web');
  // All but the jail's own: its outer process, and the first one within.
  for (const vmm of below(pid!).slice(1)) writeFileSync(`${group}/cgroup.procs`, String(vmm));
  freeze('FROZEN');
  await until('it is frozen', async () =>
    readFileSync(`${group}/freezer.state`, 'latin1').startsWith('FROZEN') ? true : undefined,
  );
  process.kill(pid!, 'SIGKILL');
  await untilState('web', 'stuck');
  expect(await sandbox.json<HealthStatus>('health', 'show', 'web')).toMatchObject({
    health: 'lost',
    signs: [{ sign: 'unproven', seen: expect.stringContaining('does not die') }],
  });
  const refused = await sandbox.pk(['start', 'web']);
  expect([refused.code, refused.stderr]).toEqual([
    expect.any(Number),
    expect.stringContaining('not proven to be gone'),
  ]);
  expect(refused.code).not.toBe(0);
  freeze('THAWED');
  await untilState('web', 'running');
  const after = await inspect('web');
  expect(after.bootId).not.toBe(bootId);
  expect((await sandbox.json<HealStatus[]>('heal', 'ls'))[0]?.last).toMatchObject({ cause: 'died', outcome: 'healed' });
});

it.runIf(isPossible)('a jail whose first process is stopped is ended all the same', async () => {
  await sandbox.ok(...['run', '-d', '--name', 'halted', '--driver', 'uml', '--memory', '64M', '--', 'sleep', '100000']);
  const { pid } = await inspect('halted');
  const [first] = below(pid!);
  process.kill(first!, 'SIGSTOP');
  await sandbox.ok('rm', '-f', 'halted');
  // Of one that nobody has waited for yet a name is left.
  expect(existsSync(`/proc/${first}/exe`)).toBe(false);
});
