/** One machine, divided: pool, plan, apply and destroy on real kernels, as a user does it. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceDetails } from '../../src/instance/contract.ts';
import type { PoolReport } from '../../src/pool/contract.ts';
import type { Plan } from '../../src/stack/contract.ts';
import { finished, Sandbox, until } from '../support/pk.ts';

const EXAMPLE = join(import.meta.dirname, '../../examples/three-kernels');

/** What a pool may change in the host kernel. */
async function hostState(): Promise<Record<string, string>> {
  const state: Record<string, string> = {};
  const keep = async (path: string) => {
    state[path] = await readFile(path, 'latin1').catch(() => 'unreadable');
  };
  for (const irq of await readdir('/proc/irq')) {
    await keep(irq === 'default_smp_affinity' ? `/proc/irq/${irq}` : `/proc/irq/${irq}/smp_affinity_list`);
  }
  for (const group of ['/sys/fs/cgroup', '/sys/fs/cgroup/cpuset', '/sys/fs/cgroup/cpu', '/sys/fs/cgroup/memory']) {
    const entries = await readdir(group).catch(() => []);
    state[`groups in ${group}`] = entries.filter((name) => name.startsWith('polykernel')).join();
  }
  return state;
}

describe.runIf(availableParallelism() >= 2)('a stack of three kernels', () => {
  let sandbox: Sandbox;
  let directory: string;
  let file: string;
  let before: Record<string, string>;
  const inspect = (name: string) => sandbox.json<InstanceDetails>('inspect', name);
  const bootIds = async () =>
    Object.fromEntries(
      await Promise.all(['web', 'db', 'worker'].map(async (name) => [name, (await inspect(name)).bootId])),
    );
  const edit = async (from: string, to: string) => {
    const text = await readFile(file, 'utf8');
    expect(text).toContain(from);
    await writeFile(file, text.replace(from, to));
  };

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    directory = await mkdtemp(join(tmpdir(), 'pk-stack-'));
    await cp(EXAMPLE, directory, { recursive: true });
    file = join(directory, 'polykernel.yaml');
    before = await hostState();
  });
  afterAll(async () => {
    await sandbox[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  it('is planned without a trace, and the same every time', async () => {
    const first = await sandbox.ok('plan', '-f', file);
    expect(await sandbox.ok('plan', '-f', file)).toBe(first);
    expect(first).toMatch(/\+ web: create/);
    expect(first).toMatch(/Steps:/);
    expect(await hostState()).toEqual(before);
    expect(await sandbox.json('ps', '-a')).toEqual([]);
  });

  it('boots on the drivers at hand, each where the ledger says', async () => {
    await sandbox.ok('apply', '-f', file);
    const { pool, partitions } = await sandbox.json<PoolReport>('pool', 'show');
    expect(Object.keys(partitions).sort()).toEqual(['db', 'web', 'worker']);
    for (const name of ['web', 'db', 'worker']) {
      const { state, placement, real, pid } = await inspect(name);
      expect(state).toBe('running');
      expect(real?.vcpus).toEqual(placement!.vcpuCpus.map((cpu) => [cpu]));
      expect(pool.cpus).toEqual(expect.arrayContaining([...placement!.vcpuCpus]));
      expect(pid).toBeGreaterThan(0);
    }
    expect(new Set((await sandbox.json<InstanceDetails[]>('ps')).map(({ spec }) => spec.driver))).toEqual(
      new Set(['uml', 'qemu']),
    );
    expect(await sandbox.ok('map')).toMatch(/web/);
  });

  it('has nothing to do when applied again', async () => {
    expect(await sandbox.ok('apply', '-f', file)).toMatch(/^Nothing to do: 3 kernels as described/);
    expect((await sandbox.pk(['diff', '-f', file])).code).toBe(0);
  });

  it('changes only the instance that was edited: live where it can', async () => {
    const ids = await bootIds();
    await edit('restart: always', 'restart: on-failure');
    expect((await sandbox.pk(['diff', '-f', file])).code).toBe(1);
    await sandbox.ok('apply', '-f', file);
    expect(await bootIds()).toEqual(ids);
    await edit('MODE: production', 'MODE: edited');
    const plan = await sandbox.json<Plan>('apply', '-f', file);
    const changed = plan.kernels.filter(({ action }) => action !== 'keep').map(({ name }) => name);
    expect(changed).toHaveLength(1);
    const now = await bootIds();
    expect(Object.keys(now).filter((name) => now[name] !== ids[name])).toEqual(changed);
  });

  it('repairs drift: a kernel ended from outside, and one moved to other CPUs', async () => {
    const { pid, placement } = await inspect('web');
    await sandbox.ok('stop', 'db');
    const other = placement!.vcpuCpus[0] === 0 ? 1 : 0;
    const moved = await finished(
      (await import('node:child_process')).spawn('taskset', ['-acp', String(other), String(pid)]),
    );
    expect(moved.code).toBe(0);
    const diff = await sandbox.pk(['diff', '-f', file]);
    expect(diff).toMatchObject({ code: 1, stdout: expect.stringMatching(/! db: start[\s\S]*|! web: put back/) });
    await sandbox.ok('apply', '-f', file);
    expect((await inspect('web')).real?.vcpus).toEqual([[placement!.vcpuCpus[0]]]);
    expect((await inspect('db')).state).toBe('running');
  });

  it('is found again, with what it owns, after SIGKILL of the daemon', async () => {
    const ids = await bootIds();
    const { pool } = await sandbox.json<PoolReport>('pool', 'show');
    const { pid } = await sandbox.json<{ daemon: { pid: number } }>('version').then(({ daemon }) => daemon);
    process.kill(pid, 'SIGKILL');
    await until('the daemon is gone', async () => !(await sandbox.processes()).includes(pid));
    expect((await sandbox.json<PoolReport>('pool', 'show')).pool).toEqual(pool);
    expect(await bootIds()).toEqual(ids);
    expect(await sandbox.ok('apply', '-f', file)).toMatch(/Nothing to do/);
  });

  it('refuses to release the pool or to shrink it under an instance, by name', async () => {
    const release = await sandbox.pk(['pool', 'release']);
    expect(release).toMatchObject({ code: 125, stderr: expect.stringMatching(/in use by db, web, worker/) });
    const shrink = await sandbox.pk(['pool', 'shrink', '--memory', '900M']);
    expect(shrink).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/the pool cannot shrink: .*(db|web|worker)/),
    });
  });

  it('leaves no trace once destroyed and released', async () => {
    await sandbox.ok('destroy', '-f', file);
    expect(await sandbox.json('ps', '-a')).toEqual([]);
    await sandbox.ok('pool', 'release');
    expect(await hostState()).toEqual(before);
    expect((await sandbox.pk(['pool', 'show'])).code).toBe(125);
  });
});
