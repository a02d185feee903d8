import { chmod, copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { QemuDriver } from '../../src/driver/qemu/driver.ts';
import { ImageStore } from '../../src/image/contract.ts';
import { nativeBinary } from '../../src/sys/paths.ts';
import { run } from '../../src/sys/process.ts';
import { collect } from '../support/collect.ts';
import { launchSpec } from '../support/launch-spec.ts';

/** Where a guest finds this checkout and Node: under paths any user may enter, which those of the host may not be. */
const VOLUMES = [
  { source: join(import.meta.dirname, '../..'), target: '/checkout', readOnly: true },
  { source: dirname(process.execPath), target: '/node', readOnly: true },
];

/**
 * On one CPU: of 105 starts of Node with two CPUs that QEMU 7.2 emulates at once, 4 ended by SIGSEGV; of some 220 with one,
 * none did.
 */
const NODE = 'taskset -c 0 /node/node';

/** Runs `script` in a guest whose /sys/fs/cgroup is version 2, with `directory` at /fixture, and gives what it printed. */
async function inGuest(directory: string, script: string): Promise<string> {
  const kernel = await new QemuDriver().start(
    launchSpec({
      name: 'cgroup-v2',
      hostname: 'cgroup-v2',
      directory: await mkdtemp(join(directory, 'launch-')),
      cpus: 2,
      memoryBytes: 768 * 2 ** 20,
      image: await new ImageStore().resolve('debian:amd64'),
      root: { kind: 'host', mapped: true },
      volumes: [{ source: directory, target: '/fixture', readOnly: true }, ...VOLUMES],
    }),
    new AbortController().signal,
  );
  try {
    const command = ['sh', '-c', script];
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
    const ran = await collect(kernel.guest.exec({ command, env, cwd: '/', user: '0' }));
    expect(ran.exit, ran.stderr).toMatchObject({ value: 0 });
    return ran.stdout;
  } finally {
    await kernel.kill();
  }
}

it('takes a CPU away from all other groups, puts a process there, and gives it back', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'pk-v2-'));
  try {
    const seen = JSON.parse(await inGuest(directory, `exec ${NODE} /checkout/test/fixtures/cgroup-v2.ts`));
    expect(seen.notes).toEqual([]);
    // The timer and the cascade of the interrupt controller: nobody can move these.
    for (const { kind, note } of seen.refused) {
      expect(kind).toBe('irq');
      expect(note).toMatch(/the host kernel manages it itself$/);
    }
    expect(seen.rows.length).toBeGreaterThan(3);
    for (const row of seen.rows) expect(row).toMatchObject({ holds: true });
    expect(seen.outside).toEqual({ group: '0::/elsewhere', cpus: '0' });
    expect(seen.inside).toMatchObject({
      group: '0::/polykernel/kernel',
      cpus: '1',
      values: [{ values: { 'cpuset.cpus': '1', 'cpuset.mems': '0', 'cpu.weight': '50' } }],
    });
    expect(seen.busy).toMatchObject({ done: false, note: expect.stringContaining('it is in use') });
    expect(seen.replanned).toContain('controllers');
    expect(seen.left).toEqual([]);
    expect(seen.after).toEqual(seen.before);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

it('bounds processes and memory of a kernel, as root and where a group is delegated to an ordinary user', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'pk-v2-'));
  try {
    await chmod(directory, 0o755);
    const source = join(import.meta.dirname, '../fixtures/greedy.c');
    expect(await run(['musl-gcc', '-static', '-Os', '-o', join(directory, 'greedy'), source])).toMatchObject({
      code: 0,
    });
    await mkdir(join(directory, 'native'));
    for (const name of ['pk-shim', 'pk-cell', 'pk-jail'] as const)
      await copyFile(nativeBinary(name), join(directory, 'native', name));
    const fixture = `${NODE} /checkout/test/fixtures/limits-v2.ts`;
    const script = [
      fixture,
      // As systemd delegates a group to user@UID.service, whose processes are in groups below it.
      'cd /sys/fs/cgroup && mkdir user && chown 1000 user user/cgroup.procs user/cgroup.subtree_control',
      'mkdir user/daemon && chown 1000 user/daemon user/daemon/cgroup.procs && echo $$ >user/daemon/cgroup.procs',
      `setpriv --reuid 1000 --regid 1000 --clear-groups ${fixture}`,
      'mkdir user/mine && chown 0 user && chmod 755 user',
      `setpriv --reuid 1000 --regid 1000 --clear-groups ${fixture}`,
    ].join(' && ');
    const [root, user, nobody] = (await inGuest(directory, script))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    for (const [seen, parent] of [
      [root, '/sys/fs/cgroup'],
      [user, '/sys/fs/cgroup/user'],
    ]) {
      expect(seen.groups).toEqual([{ version: 2, path: `${parent}/polykernel-k`, controllers: ['memory', 'pids'] }]);
      expect(seen.values[0].values).toMatchObject({
        'memory.max': String(48 * 2 ** 20),
        'memory.swap.max': String(48 * 2 ** 20),
        'pids.max': '20',
      });
      expect(seen.forked).toBe('forked 19 Resource temporarily unavailable');
      expect(seen.killed).toBe('SIGKILL');
      expect(seen.kills).toBeGreaterThan(0);
      expect(seen.left).toEqual([]);
      expect(seen.confined.values).toEqual([
        expect.objectContaining({ 'memory.max': String(64 * 2 ** 20), 'pids.max': '16', 'pids.current': '1' }),
      ]);
      expect(seen.confined.left).toEqual([]);
    }
    // Threads in a cpuset partition are in no group that bounds memory: the pool wins, until it is left.
    expect(root.pool).toEqual(['0::/polykernel-k', '0::/polykernel/k', '0::/polykernel-k']);
    expect(nobody.groups).toEqual([]);
    expect(nobody.notes).toEqual([
      expect.stringContaining('no control group for memory and pids is delegated to this user'),
    ]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
