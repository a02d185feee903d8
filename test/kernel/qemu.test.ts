/** The QEMU driver on real kernels: the conformance suite, and what only QEMU has: templates, several CPUs, images as roots. */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Kernel, type LaunchSpec, UnusableTemplate } from '../../src/driver/driver.ts';
import { QemuDriver } from '../../src/driver/qemu/driver.ts';
import { Monitor } from '../../src/driver/qemu/monitor.ts';
import { ImageStore, type KernelImage } from '../../src/image/contract.ts';
import { cacheDirectory } from '../../src/sys/paths.ts';
import { allowedCpus, processStartTime, run, which } from '../../src/sys/process.ts';
import { collect } from '../support/collect.ts';
import { conformance } from '../support/conformance.ts';
import { hostProcesses } from '../support/host-processes.ts';
import { TEST_RANGE, testIdentity } from '../support/identity.ts';
import { launchSpec } from '../support/launch-spec.ts';
import { nativeProgram } from '../support/native.ts';

const MIB = 2 ** 20;
const isRoot = process.getuid?.() === 0;

async function qemuImage(): Promise<KernelImage> {
  for (const name of ['pk-init', 'pk-shim', 'pk-jail', 'pk-ram.so'] as const) await nativeProgram(name);
  const store = new ImageStore();
  if (!(await store.list()).some((image) => image.name === 'debian:amd64')) await store.pull('debian:amd64');
  return await store.resolve('debian:amd64');
}

conformance('qemu', {
  createDriver: () => new QemuDriver(),
  image: qemuImage,
  cpus: allowedCpus(),
  processesOf: hostProcesses,
  standsStill: async (directory) => {
    const monitor = new Monitor(directory, () => {});
    const status = await monitor.use((qmp) => qmp.execute('query-status'));
    monitor.close();
    return (status as { status: string }).status === 'paused';
  },
});

describe('qemu', () => {
  const driver = new QemuDriver();
  let image: KernelImage;
  let home: string;
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'pk-qemu-'));
    image = await qemuImage();
  });
  afterAll(() => rm(home, { recursive: true }));

  async function makeSpec(change: Partial<LaunchSpec>): Promise<LaunchSpec> {
    const directory = join(home, randomBytes(4).toString('hex'));
    await mkdir(directory, { mode: 0o700 });
    return launchSpec({ hostname: 'guest', directory, image, ...change });
  }

  /** Starts a kernel, lets `body` use it, and sees that nothing of it is left. */
  async function withKernel<T>(
    change: Partial<LaunchSpec>,
    body: (kernel: Kernel, spec: LaunchSpec, phases: string[]) => Promise<T>,
    by = driver,
  ): Promise<T> {
    const spec = await makeSpec(change);
    const phases: string[] = [];
    const kernel = await by.start(spec, new AbortController().signal, (phase) => phases.push(phase));
    try {
      return await body(kernel, spec, phases);
    } finally {
      await kernel.kill();
      expect(await hostProcesses(spec.directory)).toEqual([]);
    }
  }

  const launch = (kernel: Kernel, ...command: string[]) =>
    kernel.guest.exec({ command, env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, cwd: '/', user: '0' });
  const sh = async (kernel: Kernel, script: string) =>
    (await collect(launch(kernel, 'sh', '-c', script))).stdout.trim();

  it('boots cold and clones a template, and says which', async () => {
    await driver.prewarm(
      { image, cpus: 1, memoryBytes: 256 * MIB, housekeepingCpus: undefined, identity: testIdentity },
      new AbortController().signal,
    );
    await withKernel({ cold: true }, async (kernel, _, phases) => {
      expect(kernel.cloned).toBe(false);
      expect(phases).toContain('booting kernel');
      expect(await sh(kernel, 'uname -r')).toBe(image.version);
    });
    await withKernel({}, async (kernel, _, phases) => {
      expect(kernel.cloned).toBe(true);
      expect(phases).toEqual(['cloning template', 'setting up files']);
      expect(await sh(kernel, 'uname -r')).toBe(image.version);
    });
  });

  it('gives each clone its own identity, entropy and clock', async () => {
    const tell = async (kernel: Kernel, spec: LaunchSpec) => {
      const script =
        'cat /proc/sys/kernel/random/boot_id /etc/machine-id; hostname; cat /etc/hostname; head -c 16 /dev/urandom | od -An -tx1; date +%s%N';
      const [bootId, machineId, hostname, file, random, time] = (await sh(kernel, script)).split('\n');
      expect(bootId).toBe(kernel.guest.hello?.bootId);
      expect([machineId, hostname, file]).toEqual([spec.id, spec.hostname, spec.hostname]);
      expect(Math.abs(Number(time) / 1e6 - Date.now())).toBeLessThan(2000);
      return [bootId, machineId, hostname, random];
    };
    const [one, two] = await Promise.all([
      withKernel({ hostname: 'one' }, tell),
      withKernel({ hostname: 'two' }, tell),
    ]);
    for (const [index, value] of one!.entries()) expect(value).not.toBe(two![index]);
  });

  it('runs several CPUs', async () => {
    await withKernel({ cpus: 2 }, async (kernel) => {
      expect(await sh(kernel, 'nproc')).toBe('2');
      expect(kernel.cloned).toBe(true);
    });
  });

  it('ends within a second of a panic', async () => {
    await withKernel({}, async (kernel) => {
      // What the guest prints comes before the end of its CPU: from then on the clock runs.
      const started = launch(kernel, 'sh', '-c', 'echo now; read x; echo c > /proc/sysrq-trigger');
      await new Promise((resolve) => started.stdout.once('data', resolve));
      started.stdin.end('\n');
      const began = performance.now();
      expect(await kernel.exited).toMatchObject({
        reason: 'panic',
        message: expect.stringContaining('sysrq triggered crash'),
      });
      expect(performance.now() - began).toBeLessThan(1000);
    });
  });

  it('mounts a squashfs image and an ext4 image as root', async () => {
    const tree = join(home, 'tree');
    await mkdir(join(tree, 'bin'), { recursive: true });
    await mkdir(join(tree, 'etc'));
    await run(['cp', which('busybox')!, join(tree, 'bin/busybox')]);
    await run(['ln', '-s', 'busybox', join(tree, 'bin/sh')]);
    await writeFile(join(tree, 'etc/marker'), 'from the image');
    const squashfs = join(home, 'root.squashfs');
    const ext4 = join(home, 'root.ext4');
    expect(await run([which('mksquashfs')!, tree, squashfs, '-quiet'])).toMatchObject({ code: 0 });
    expect(await run([which('mkfs.ext4')!, '-q', '-d', tree, ext4, '16M'])).toMatchObject({ code: 0 });
    for (const cold of [false, true]) {
      for (const root of [{ kind: 'squashfs', path: squashfs } as const, { kind: 'ext4', path: ext4 } as const]) {
        await withKernel({ root, cold }, async (kernel) => {
          const script = 'busybox cat /etc/marker; echo changed > /etc/marker; busybox cat /etc/marker';
          expect(await sh(kernel, script)).toBe('from the imagechanged');
        });
      }
    }
  });

  it('shows volumes, writable or not, and both sides see each other', async () => {
    const [shared, fixed] = [join(home, 'shared'), join(home, 'fixed')];
    await Promise.all([mkdir(shared), mkdir(fixed)]);
    await writeFile(join(fixed, 'file'), 'fixed');
    const volumes = [
      { source: shared, target: '/mnt/shared', readOnly: false },
      { source: fixed, target: '/mnt/fixed', readOnly: true },
    ];
    await withKernel({ volumes }, async (kernel) => {
      expect(await sh(kernel, 'cat /mnt/fixed/file; echo out > /mnt/shared/guest')).toBe('fixed');
      expect(await readFile(join(shared, 'guest'), 'utf8')).toBe('out\n');
      expect(await sh(kernel, 'cat /mnt/shared/host 2>/dev/null')).toBe('');
      await writeFile(join(shared, 'host'), 'in');
      expect(await sh(kernel, 'cat /mnt/shared/host')).toBe('in');
      expect(
        await sh(
          kernel,
          'echo x > /mnt/fixed/new && echo written; mount -o remount,rw /mnt/fixed; echo x > /mnt/fixed/new && echo written',
        ),
      ).toBe('');
      expect(await readdir(fixed)).toEqual(['file']);
    });
  });

  it('runs QEMU without any rights, and no clone can write its template', async () => {
    const uid = isRoot ? TEST_RANGE.start : process.getuid!();
    const gid = isRoot ? TEST_RANGE.start : process.getgid!();
    await withKernel({}, async (kernel, spec) => {
      const qemu = await qemuProcess(spec.directory);
      const status = await readFile(`/proc/${qemu}/status`, 'utf8');
      const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1];
      expect(field('Uid')).toBe(Array(4).fill(uid).join('\t'));
      expect(field('Gid')).toBe(Array(4).fill(gid).join('\t'));
      expect(field('NoNewPrivs')).toBe('1');
      expect(field('Seccomp')).toBe('2');
      // Over its own ids: CHOWN, DAC_OVERRIDE and FOWNER.
      for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapAmb', 'CapBnd']) expect(field(set)).toBe('000000000000000b');
      const mapping = (await readFile(`/proc/${qemu}/maps`, 'utf8'))
        .split('\n')
        .find((line) => line.endsWith('/vmm/ram'));
      expect(mapping).toMatch(/ rw-p /);
      const mounts = await readFile(`/proc/${qemu}/mountinfo`, 'utf8');
      expect(mounts.split('\n').find((line) => / \/vmm\/ram /.test(line))).toMatch(/ \/vmm\/ram ro[, ]/);
      expect(await sh(kernel, 'cat /etc/shadow')).toBe(isRoot ? '' : expect.anything());
    });
  });

  it('pins QEMU to the CPUs it is given', async () => {
    await withKernel({ housekeepingCpus: [1], cpus: 1 }, async (_, spec) => {
      const tasks = await readdir(`/proc/${await qemuProcess(spec.directory)}/task`);
      for (const task of tasks) {
        const status = await readFile(`/proc/${task}/status`, 'utf8').catch(() => 'Cpus_allowed_list:\t1\n');
        expect(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1]).toBe('1');
      }
    });
  });

  it('notices that QEMU was killed, and leaves nothing', async () => {
    await withKernel({}, async (kernel, spec) => {
      process.kill(await qemuProcess(spec.directory), 'SIGKILL');
      expect(await kernel.exited).toMatchObject({ reason: 'died', signal: 'SIGKILL' });
    });
  });

  /** Starts a kernel, lets `body` use and detach it, and hands what a new manager finds to `after`. */
  async function reattached(body: (kernel: Kernel) => Promise<void>, after: (kernel: Kernel) => Promise<void>) {
    const spec = await makeSpec({});
    const kernel = await driver.start(spec, new AbortController().signal);
    await body(kernel).catch(async (error) => {
      await kernel.kill();
      throw error;
    });
    kernel.detach();
    const again = (await new QemuDriver().attach(spec)) as Kernel;
    await after(again).finally(() => again.kill());
    expect(await hostProcesses(spec.directory)).toEqual([]);
  }

  it('is re-attached while paused', async () => {
    await reattached(
      async (kernel) => {
        await kernel.pause();
        await kernel.pause();
      },
      async (again) => {
        expect(again.cloned).toBe(true);
        expect(again.guest.hello?.bootId).toBeDefined();
        expect(await sh(again, 'echo alive')).toBe('alive');
      },
    );
  });

  it('survives a control line that nobody reads', async () => {
    await reattached(
      async (kernel) => {
        const flood = launch(kernel, 'sh', '-c', 'while :; do echo flood; done');
        await flood.started;
        kernel.guest.watch(['/proc/interrupts', '/proc/meminfo'], 10, () => {});
        const began = performance.now();
        kernel.guest.detach();
        await expect.poll(() => performance.now() - began, { timeout: 5000 }).toBeGreaterThan(1500);
      },
      async (again) => expect(await sh(again, 'echo alive')).toBe('alive'),
    );
  });

  it('makes a template once for all who ask, and again when it is damaged; says where it is of no use', async () => {
    const cache = join(home, 'cache');
    const templates = join(cache, 'templates');
    await mkdir(cache);
    const known = await readFile(join(cacheDirectory(), 'kvm-probe.json')).catch(() => undefined);
    if (known !== undefined) await writeFile(join(cache, 'kvm-probe.json'), known);
    const own = new QemuDriver({ cache });
    const look = async (kernel: Kernel, spec: LaunchSpec, phases: string[]) => ({
      key: await readFile(join(spec.directory, 'template'), 'utf8').catch(() => undefined),
      cloned: kernel.cloned,
      phases: phases.map((phase) => phase.replace(/ \(.*/, '')),
    });
    const both = await Promise.all([withKernel({}, look, own), withKernel({}, look, own)]);
    const key = both[0].key!;
    expect(key).toMatch(/^[0-9a-f]{64}$/);
    expect(both.map((each) => each.key)).toEqual([key, key]);
    expect(both.filter(({ phases }) => phases.includes('building template'))).toHaveLength(1);

    const [state, meta] = [join(templates, key, 'state'), join(templates, key, 'meta.json')];
    const written = await readFile(state);
    await replace(state, Buffer.from(written).fill(0, 1000, 1064));
    expect(await withKernel({}, look, own)).toMatchObject({
      cloned: true,
      phases: ['building template', 'cloning template', 'setting up files'],
    });

    const useless = randomBytes(1000);
    await replace(state, useless);
    const facts = JSON.parse(await readFile(meta, 'utf8'));
    await replace(
      meta,
      Buffer.from(JSON.stringify({ ...facts, stateSha256: createHash('sha256').update(useless).digest('hex') })),
    );
    // Whoever has it started prepares another start, and has it booted (src/instance/start-kernel.ts).
    await expect(withKernel({}, look, own)).rejects.toBeInstanceOf(UnusableTemplate);
    expect(await readdir(templates)).toEqual(['locks']);
  });

  it('ends the kernel of a template whose builder was killed', async () => {
    const cache = join(home, 'killed');
    await mkdir(cache);
    const known = await readFile(join(cacheDirectory(), 'kvm-probe.json')).catch(() => undefined);
    if (known !== undefined) await writeFile(join(cache, 'kvm-probe.json'), known);
    const driverModule = join(import.meta.dirname, '../../src/driver/qemu/driver.ts');
    const script = `
      import { QemuDriver } from ${JSON.stringify(driverModule)};
      const driver = new QemuDriver({ cache: ${JSON.stringify(cache)} });
      const spec = { image: ${JSON.stringify(image)}, cpus: 1, memoryBytes: ${256 * MIB}, identity: ${JSON.stringify(testIdentity)} };
      await driver.prewarm(spec, new AbortController().signal);`;
    const builder = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' });
    const templates = join(cache, 'templates');
    const shims = async () => (await hostProcesses(templates)).filter((pid) => pid !== builder.pid);
    await expect.poll(shims, { timeout: 20_000 }).not.toEqual([]);
    builder.kill('SIGKILL');
    await new Promise((resolve) => builder.once('exit', resolve));
    await new QemuDriver({ cache }).probe();
    await expect.poll(shims, { timeout: 5000 }).toEqual([]);
    expect(await readdir(templates)).toEqual(['locks']);
  });

  async function replace(path: string, bytes: Buffer): Promise<void> {
    await rm(path);
    await writeFile(path, bytes);
  }

  /** The QEMU of a launch: the process whose parents lead to the jail that names the directory. */
  async function qemuProcess(directory: string): Promise<number> {
    const above = new Set(await hostProcesses(directory));
    const parents = new Map<number, { parent: number; name: string }>();
    for (const entry of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const stat = await readFile(`/proc/${entry}/stat`, 'latin1').catch(() => '');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      parents.set(Number(entry), { parent, name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')) });
    }
    const isBelow = (pid: number): boolean =>
      above.has(pid) || (parents.has(pid) && pid > 1 && isBelow(parents.get(pid)!.parent));
    const found = [...parents].filter(([pid, { name }]) => name.startsWith('qemu-system') && isBelow(pid));
    const pid = found[0]?.[0];
    if (pid === undefined || processStartTime(pid) === undefined) throw new Error(`no QEMU below ${directory}`);
    return pid;
  }
});
