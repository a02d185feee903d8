/** Faults in one kernel beside another, on real kernels. Nothing here depends on how fast the machine is. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TrialReport } from '../../src/containment/contract.ts';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import { finished, Sandbox, until } from '../support/pk.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
});
afterAll(() => sandbox[Symbol.asyncDispose]());

describe.each([
  ['uml', '64M'],
  ['qemu', '128M'],
])('%s', (driver, memory) => {
  const [web, db] = [`web-${driver}`, `db-${driver}`];
  beforeAll(async () => {
    for (const name of [web, db])
      await sandbox.ok('run', '-d', '--name', name, '--driver', driver, '--memory', memory, '--', 'sleep', '100000');
  });

  it.each(['panic', 'oom', 'fork-bomb'])('%s is contained and healed, and its clones are gone', async (fault) => {
    const boots = async () =>
      (await sandbox.json<InstanceStatus[]>('ps', '-a')).map(({ spec, bootId }) => [spec.name, bootId]);
    const before = await boots();
    const ran = await sandbox.pk([
      ...['prove', 'containment', '--victim', web, '--neighbours', db],
      ...['--fault', fault, '--window', '500ms', '--json'],
    ]);
    const { verdict, healed, findings, kernels }: TrialReport = JSON.parse(ran.stdout || '{}');
    expect([verdict, healed, ran.code], JSON.stringify([findings, ran.stderr])).toEqual(['contained', true, 0]);
    const [victim, neighbour] = kernels;
    expect(neighbour!.bootIdAfter).toBe(neighbour!.bootIdBefore);
    expect(victim!.bootIdAfter).not.toBe(victim!.bootIdBefore);
    for (const part of ['during', 'after'] as const) {
      expect(neighbour![part].requests).toBeGreaterThan(0);
      expect(neighbour![part].errors).toBe(0);
    }
    expect(await boots()).toEqual(before);
  });
});

it('clones are gone after Ctrl-C, and after SIGKILL of the daemon', async () => {
  const [web, db] = ['web-uml', 'db-uml'];
  const names = async () => (await sandbox.json<InstanceStatus[]>('ps', '-a')).map(({ spec }) => spec.name);
  const before = await names();
  const begin = async () => {
    const child = sandbox.start('prove', 'containment', '--victim', web, '--neighbours', db, '--window', '10m');
    const ended = finished(child);
    await until('clones run', async () => (await sandbox.ok('ps')).match(/^trial-\S+ +running/gm)?.length === 2);
    return { child, ended };
  };
  const interrupted = await begin();
  interrupted.child.kill('SIGINT');
  expect((await interrupted.ended).code).toBe(130);
  await until('they are gone', async () => (await names()).length === before.length);
  const left = await begin();
  const { daemon } = await sandbox.json<{ daemon: { pid: number } }>('version');
  process.kill(daemon.pid, 'SIGKILL');
  expect((await left.ended).code).toBe(125);
  await until('they are gone', async () => (await names()).length === before.length);
  expect(await names()).toEqual(before);
});
