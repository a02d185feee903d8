/**
 * The acts on cgroup v2, on a real kernel that has it: most machines of today do, and the one that tests may not. The
 * kernel is a guest of ours with two CPUs, in which Node runs our own code.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { QemuDriver } from '../../src/driver/qemu/index.ts';
import { ImageStore } from '../../src/image/index.ts';
import { collect } from '../collect.ts';
import { testIdentity } from '../identity.ts';

const FIXTURE = join(import.meta.dirname, '../fixtures/cgroup-v2.ts');

it('takes a CPU away from all other groups, puts a process there, and gives it back', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'pk-v2-'));
  const kernel = await new QemuDriver().start(
    {
      id: randomBytes(16).toString('hex'),
      name: 'cgroup-v2',
      hostname: 'cgroup-v2',
      directory,
      cpus: 2,
      memoryBytes: 768 * 2 ** 20,
      image: await new ImageStore().resolve('debian:amd64'),
      root: { kind: 'host' },
      volumes: [],
      identity: testIdentity,
      placement: undefined,
      housekeepingCpus: undefined,
      cold: false,
      readyTimeoutMs: 120_000,
      regions: [],
      network: null,
      hiddenPaths: [],
      shownPaths: [],
    },
    new AbortController().signal,
  );
  try {
    const script = `mount -t cgroup2 none /sys/fs/cgroup && exec ${process.execPath} ${FIXTURE}`;
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
    const ran = await collect(kernel.guest.exec({ command: ['sh', '-c', script], env, cwd: '/', uid: 0, gid: 0 }));
    expect(ran.exit, ran.stderr).toMatchObject({ value: 0 });
    const seen = JSON.parse(ran.stdout);
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
    await kernel.kill();
    await rm(directory, { recursive: true, force: true });
  }
});
