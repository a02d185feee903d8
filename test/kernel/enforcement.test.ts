/** What the ledger decided, made real on this host, and looked at from outside: /proc, /sys and the control groups. */
import { randomBytes } from 'node:crypto';
import { existsSync, utimesSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Driver, HostPlacement, Kernel, LaunchSpec } from '../../src/driver/index.ts';
import { QemuDriver } from '../../src/driver/qemu/driver.ts';
import { InstanceGroups } from '../../src/driver/shim/instance-groups.ts';
import { killShim } from '../../src/driver/shim/shim.ts';
import { UmlDriver } from '../../src/driver/uml/driver.ts';
import { ImageStore, type KernelImage } from '../../src/image/contract.ts';
import { misplacementOf } from '../../src/instance/placement.ts';
import { type HostAct, perform, planHostActs, readBack, undo } from '../../src/pool/acts.ts';
import { hostFiles } from '../../src/sys/host-files.ts';
import { lostGroups, removeLostGroups } from '../../src/sys/lost-groups.ts';
import { launchSpec } from '../support/launch-spec.ts';
import { until } from '../support/pk.ts';

const MIB = 2 ** 20;
const isRoot = process.getuid?.() === 0;
const host = hostFiles('/');
const read = (path: string) => readFile(path, 'latin1').then((text) => text.trim());

/** Threads of all processes below the one whose command line names `directory` as a shim's does. */
async function threadsOf(directory: string): Promise<{ name: string; cpus: string; pid: number }[]> {
  const processes = await Promise.all(
    (await readdir('/proc'))
      .filter((entry) => /^\d+$/.test(entry))
      .map(async (pid) => {
        const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
        const argv = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
        return { pid, parent: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1], argv: argv.split('\0') };
      }),
  );
  const found = processes.filter(({ argv }) => argv[1] === '--dir' && argv[2] === directory).map(({ pid }) => pid);
  for (const pid of found) found.push(...processes.filter(({ parent }) => parent === pid).map((each) => each.pid));
  const threads = await Promise.all(
    found.flatMap(async (pid) =>
      Promise.all(
        (await readdir(`/proc/${pid}/task`).catch(() => [])).map(async (tid) => {
          const status = await readFile(`/proc/${tid}/status`, 'latin1').catch(() => '');
          const field = (name: string) => new RegExp(`^${name}:\\s*(.+)$`, 'm').exec(status)?.[1] ?? '';
          return { name: field('Name'), cpus: field('Cpus_allowed_list'), pid: Number(pid) };
        }),
      ),
    ),
  );
  return threads.flat().filter(({ name }) => name !== '');
}

describe.runIf(availableParallelism() >= 2)('kernels', () => {
  const drivers: Record<string, Driver> = { uml: new UmlDriver(), qemu: new QemuDriver() };
  const images: Record<string, KernelImage> = {};
  let home: string;
  let acts: HostAct[] = [];
  const live: Kernel[] = [];

  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'pk-enf-'));
    const store = new ImageStore();
    for (const [driver, name] of Object.entries({ uml: 'debian:uml', qemu: 'debian:amd64' })) {
      images[driver] = await store.resolve(name);
    }
    acts = planHostActs(host, { poolCpus: [1], housekeeping: [0] }).acts;
    for (const act of acts) await perform(host, act);
  });
  afterEach(async () => {
    await Promise.all(live.splice(0).map((kernel) => kernel.kill()));
  });
  afterAll(async () => {
    for (const act of [...acts].reverse()) await undo(host, act);
    await rm(home, { recursive: true, force: true });
  });

  async function start(driver: string, placement: HostPlacement, change: Partial<LaunchSpec> = {}) {
    const directory = join(home, randomBytes(4).toString('hex'));
    await mkdir(directory, { mode: 0o700 });
    const spec = launchSpec({
      directory,
      cpus: placement.vcpuCpus.length,
      memoryBytes: 128 * MIB,
      image: images[driver]!,
      placement,
      housekeepingCpus: [0],
      hiddenPaths: [home],
      ...change,
    });
    const kernel = await drivers[driver]!.start(spec, new AbortController().signal);
    live.push(kernel);
    return { kernel, spec };
  }
  const placement = (vcpuCpus: number[], change: Partial<HostPlacement> = {}): HostPlacement => ({
    vcpuCpus,
    memory: [{ node: 0, bytes: 128 * MIB }],
    hugePageBytes: null,
    weight: null,
    mostCpus: null,
    ...change,
  });
  /** As when the manager is killed: nobody waits for the kernel any more. */
  const abandon = (kernel: Kernel) => {
    kernel.detach();
    live.splice(live.indexOf(kernel), 1);
  };
  const groupPaths = (id: string) => new InstanceGroups().read(id).map(({ path }) => path);

  it('UML runs wholly on its CPU, its shim and jail on the housekeeping CPUs', async () => {
    const { spec } = await start('uml', placement([1]));
    const threads = await threadsOf(spec.directory);
    const isOuter = ({ name }: { name: string }) => ['pk-shim', 'bwrap', 'pk-jail'].includes(name);
    const outer = threads.filter(isOuter);
    const inner = threads.filter((thread) => !isOuter(thread));
    expect(outer.length).toBeGreaterThan(0);
    expect(inner.length).toBeGreaterThan(0);
    expect(new Set(outer.map(({ cpus }) => cpus))).toEqual(new Set(['0']));
    expect(new Set(inner.map(({ cpus }) => cpus))).toEqual(new Set(['1']));
  });

  it("QEMU's vCPU threads are pinned one to one, all its others to the housekeeping CPUs", async () => {
    const { spec, kernel } = await start('qemu', placement([1, 0]));
    const threads = await threadsOf(spec.directory);
    const vcpus = threads.filter(({ name }) => /^CPU \d/.test(name)).sort((a, b) => a.name.localeCompare(b.name));
    expect(vcpus.map(({ cpus }) => cpus)).toEqual(['1', '0']);
    const others = threads.filter(({ name }) => !/^CPU \d/.test(name));
    expect(others.length).toBeGreaterThan(2);
    expect(new Set(others.map(({ cpus }) => cpus))).toEqual(new Set(['0']));
    await kernel.repin(placement([0, 1]), [0, 1]);
    const moved = (await threadsOf(spec.directory)).filter(({ name }) => /^CPU \d/.test(name));
    expect(moved.sort((a, b) => a.name.localeCompare(b.name)).map(({ cpus }) => cpus)).toEqual(['0', '1']);
  });

  it('QEMU is moved whole although its guest has unplugged one of its CPUs', async () => {
    const { spec, kernel } = await start('qemu', placement([1, 0]));
    // ACPI's registers for CPUs of this machine: which, and that it be ejected.
    const eject = [
      [0xaf00, '\\1'],
      [0xaf04, '\\10'],
    ].map(([at, byte]) => `printf '${byte}' | dd of=/dev/port bs=1 seek=${at} conv=notrunc`);
    // By the other CPU. The kernel that loses one without being asked may never end it.
    const command = ['taskset', '-c', '0', 'sh', '-c', eject.join('; ')];
    void kernel.guest.exec({ command, env: { PATH: '/usr/bin:/bin' }, cwd: '/', user: '0' }).started.catch(() => {});
    await until('its thread is gone', async () =>
      (await threadsOf(spec.directory)).every(({ name }) => !name.startsWith('CPU 1/')),
    );
    expect(misplacementOf([1, 0], await kernel.placementNow())).toBeNull();
    await kernel.repin(placement([0, 0]), [1]);
    const threads = await threadsOf(spec.directory);
    expect(new Set(threads.map(({ name, cpus }) => (/^CPU \d/.test(name) ? `vCPU ${cpus}` : cpus)))).toEqual(
      new Set(['vCPU 0', '1']),
    );
    expect(misplacementOf([0, 0], await kernel.placementNow())).toBeNull();
  });

  it.runIf(isRoot)('QEMU is moved whole although a thread in its groups is called otherwise', async () => {
    const { spec, kernel } = await start('qemu', placement([1]));
    const { pid } = (await threadsOf(spec.directory)).find(({ name }) => name.startsWith('CPU 0/'))!;
    for (const group of groupPaths(spec.id)) host.write(`${group}/cgroup.procs`, String(pid));
    await kernel.repin(placement([0]), [1]);
    const all = await threadsOf(spec.directory);
    expect(new Set(all.map((each) => (each.pid === pid ? `QEMU ${each.cpus}` : each.cpus)))).toEqual(
      new Set(['QEMU 0', '1']),
    );
    await kernel.repin(undefined, [1]);
    expect(new Set((await threadsOf(spec.directory)).map(({ cpus }) => cpus))).toEqual(new Set(['1']));
  });

  it.runIf(isRoot)('each has control groups with its CPUs and weight, which go with it', async () => {
    const both = await Promise.all([
      start('uml', placement([1], { weight: 200 })),
      start('qemu', placement([1], { weight: 50 })),
    ]);
    for (const { kernel, spec } of both) {
      const { groups } = await kernel.placementNow();
      const cpuset = groups.find(({ values }) => 'cpuset.cpus' in values);
      expect(cpuset?.values['cpuset.cpus']).toBe('1');
      const weights = groups.flatMap(({ values }) =>
        Object.entries(values).filter(([file]) => /weight|shares/.test(file)),
      );
      const weight = spec.placement!.weight!;
      expect(weights.map(([, value]) => Number(value))).toEqual([
        weights[0]![0] === 'cpu.weight' ? weight : weight * 10.24,
      ]);
      const joined = await Promise.all(
        groups.map(({ path }) => read(`${path}/${existsSync(`${path}/tasks`) ? 'tasks' : 'cgroup.threads'}`)),
      );
      for (const tasks of joined) expect(tasks).toMatch(/^\d/);
      await kernel.kill();
      expect(groupPaths(spec.id)).toEqual([]);
    }
  });

  it.runIf(isRoot)('a group that a killed manager left behind is swept', async () => {
    const { spec, kernel } = await start('uml', placement([1]));
    abandon(kernel);
    const abandoned = groupPaths(spec.id);
    expect(abandoned.length).toBeGreaterThan(0);
    const lost = () => lostGroups(Date.now() + 7_200_000).filter((path) => abandoned.includes(path));
    expect(lost()).toEqual([]);
    for (const { pid } of await threadsOf(spec.directory)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It died with its parent.
      }
    }
    await until('its processes are gone', async () => (await threadsOf(spec.directory)).length === 0);
    await until('its groups are lost', () => lost().length === abandoned.length);
    for (const path of abandoned) utimesSync(path, 1, 1);
    expect(removeLostGroups(Date.now())).toEqual(expect.arrayContaining(abandoned));
    expect(groupPaths(spec.id)).toEqual([]);
    expect(await new UmlDriver().attach(spec)).toMatchObject({ reason: 'died' });
  });

  it('is found on its CPUs by a new manager', async () => {
    const { spec, kernel } = await start('uml', placement([1]));
    abandon(kernel);
    const found = await new UmlDriver().attach(spec);
    expect(found !== undefined && 'guest' in found).toBe(true);
    live.push(found as Kernel);
    expect(await (found as Kernel).placementNow()).toMatchObject({ vcpus: [[1]], others: [0] });
  });

  it.each(['uml', 'qemu'])('%s gives its CPU back while it runs, and its control groups with it', async (driver) => {
    const { spec, kernel } = await start(driver, placement([1]));
    // Processes that come and go must not be able to stay, nor to keep us.
    const busy = kernel.guest.exec({
      command: ['sh', '-c', 'while :; do (:); done'],
      env: { PATH: '/usr/bin:/bin' },
      cwd: '/',
      user: '0',
    });
    await busy.started;
    await kernel.repin(undefined, [0]);
    expect(await kernel.placementNow()).toMatchObject({ vcpus: [[0]], others: [0], groups: [] });
    expect(groupPaths(spec.id)).toEqual([]);
    await kernel.repin(placement([1]), [0]);
    expect(await kernel.placementNow()).toMatchObject({ vcpus: [[1]], others: [0] });
    expect(new Set((await threadsOf(spec.directory)).map(({ cpus }) => cpus))).toEqual(new Set(['0', '1']));
    if (isRoot) expect(groupPaths(spec.id).length).toBeGreaterThan(0);
  });

  it.each(['uml', 'qemu'])('%s leaves no control group when it does not start', async (driver) => {
    const id = randomBytes(16).toString('hex');
    const failing = start(driver, placement([1]), { id, cold: true, readyTimeoutMs: 1 });
    await expect(failing).rejects.toMatchObject({ code: 'not-ready' });
    expect(groupPaths(id)).toEqual([]);
  });

  it('removes the control groups of a kernel that ended while nobody looked', async () => {
    const { spec, kernel } = await start('uml', placement([1]));
    abandon(kernel);
    await killShim(spec.directory);
    expect(await new UmlDriver().attach(spec)).toMatchObject({ reason: 'died' });
    expect(groupPaths(spec.id)).toEqual([]);
  });

  it('UML refuses huge pages', async () => {
    await expect(start('uml', placement([1], { hugePageBytes: 2 * MIB }))).rejects.toMatchObject({
      code: 'unsupported',
    });
  });

  it.runIf(isRoot && existsSync('/sys/kernel/mm/hugepages/hugepages-2048kB'))(
    'QEMU gets huge pages that were reserved for it, and they go back',
    async () => {
      const file = '/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages';
      const before = await read(file);
      const plan = planHostActs(host, {
        poolCpus: [],
        housekeeping: [0],
        hugePages: [{ node: 0, sizeBytes: 2 * MIB, count: 64 }],
      });
      const pages = plan.acts.filter(({ kind }) => kind === 'huge-pages');
      for (const act of pages) expect(await perform(host, act)).toMatchObject({ done: true });
      try {
        const { kernel } = await start('qemu', placement([1], { hugePageBytes: 2 * MIB }));
        expect(kernel.cloned).toBe(false);
        const real = await kernel.placementNow();
        expect(real.hugePageBytes).toBe(128 * MIB);
        await kernel.kill();
      } finally {
        for (const act of pages) await undo(host, act);
      }
      expect(await read(file)).toBe(before);
    },
  );
});

describe.runIf(isRoot && availableParallelism() >= 2)('the host', () => {
  it('keeps interrupts off the pool and gets back exactly what it had', async () => {
    const paths = ['/proc/irq/default_smp_affinity'];
    for (const irq of await readdir('/proc/irq'))
      if (/^\d+$/.test(irq)) paths.push(`/proc/irq/${irq}/smp_affinity_list`);
    const all = () => Promise.all(paths.map((path) => read(path).catch(() => 'unreadable')));
    const before = await all();
    const { acts } = planHostActs(host, { poolCpus: [1], housekeeping: [0] });
    try {
      const outcomes = [];
      for (const act of acts) outcomes.push({ act, ...(await perform(host, act)) });
      const done = outcomes.filter((outcome) => outcome.done).map(({ act }) => act);
      for (const row of readBack(host, done)) expect(row).toMatchObject({ holds: true });
      const steered = done.filter(({ kind }) => kind === 'irq').length;
      expect((await all()).filter((value, index) => value !== before[index]).length).toBe(steered);
      expect(steered).toBeGreaterThan(0);
    } finally {
      for (const act of [...acts].reverse()) await undo(host, act);
    }
    expect(await all()).toEqual(before);
    expect(existsSync('/sys/fs/cgroup/cpuset/polykernel')).toBe(false);
  });
});
