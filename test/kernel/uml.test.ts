/** The UML driver on real kernels: the conformance suite, and what only UML has. */

import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Kernel, LaunchSpec } from '../../src/driver/driver.ts';
import { askMonitor } from '../../src/driver/shim/shim.ts';
import { UmlDriver } from '../../src/driver/uml/driver.ts';
import { workersFirst } from '../../src/guest/index.ts';
import { ImageStore, type KernelImage } from '../../src/image/contract.ts';
import { allowedCpus, run, which } from '../../src/sys/process.ts';
import { collect } from '../support/collect.ts';
import { conformance } from '../support/conformance.ts';
import { hostProcesses } from '../support/host-processes.ts';
import { launchSpec } from '../support/launch-spec.ts';
import { nativeProgram } from '../support/native.ts';

async function umlImage(): Promise<KernelImage> {
  for (const name of ['pk-init', 'pk-shim', 'pk-jail'] as const) await nativeProgram(name);
  const store = new ImageStore();
  try {
    return await store.resolve('debian:uml');
  } catch {
    await store.pull('debian:uml');
    return await store.resolve('debian:uml');
  }
}

conformance('uml', {
  createDriver: () => new UmlDriver(),
  image: umlImage,
  cpus: allowedCpus(),
  processesOf: hostProcesses,
  standsStill: async (directory) => /Already stopped/.test(await askMonitor(directory, 'stop')),
});

describe('uml', () => {
  const driver = new UmlDriver();
  let image: KernelImage;
  let home: string;
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'pk-uml-'));
    image = await umlImage();
  });
  afterAll(() => rm(home, { recursive: true }));

  async function withKernel(change: Partial<LaunchSpec>, body: (kernel: Kernel, spec: LaunchSpec) => Promise<void>) {
    const directory = join(home, randomBytes(4).toString('hex'));
    await mkdir(directory, { mode: 0o700 });
    const spec = launchSpec({
      hostname: 'test-host',
      directory,
      memoryBytes: 64 * 2 ** 20,
      image,
      hiddenPaths: [home],
      ...change,
    });
    const kernel = await driver.start(spec, new AbortController().signal);
    try {
      await body(kernel, spec);
    } finally {
      await kernel.kill();
    }
    expect(await hostProcesses(directory)).toEqual([]);
  }
  async function sh(kernel: Kernel, script: string): Promise<string> {
    const request = {
      command: ['sh', '-c', script],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      cwd: '/',
      user: '0',
    };
    const { stdout, stderr } = await collect(kernel.guest.exec(request));
    return stdout + stderr;
  }

  it('gives the guest its name and machine id, and hides what it is told to', async () => {
    await withKernel({}, async (kernel, spec) => {
      expect(await sh(kernel, 'hostname; cat /etc/hostname /etc/machine-id')).toBe(
        `test-host\ntest-host\n${spec.id}\n`,
      );
      expect(await sh(kernel, `ls -A ${home} 2>/dev/null`)).toBe('');
    });
  });

  it.runIf(process.getuid?.() === 0)('reads nothing that its identity may not read', async () => {
    await withKernel({}, async (kernel) => {
      expect(await sh(kernel, 'cat /etc/shadow')).toMatch(/Permission denied/);
    });
  });

  it('cannot reach more of the host by mounting hostfs', async () => {
    await withKernel({}, async (kernel) => {
      const script =
        // From Linux 6.10 on the option has a name.
        'mkdir -p /tmp/h && { mount -t hostfs none /tmp/h -o / 2> /dev/null || mount -t hostfs none /tmp/h -o hostfs=/; } && ls /tmp/h && ls -A /tmp/h/export/root/proc /tmp/h/export/root/run && touch /tmp/h/export/root/tmp/mine';
      const said = await sh(kernel, script);
      expect(said.split('\n').slice(0, 4)).toEqual(expect.arrayContaining(['dev', 'export']));
      expect(said).toMatch(/Read-only file system|Permission denied/);
    });
  });

  it('shares volumes', async () => {
    const volume = join(home, 'volume');
    await mkdir(volume, { mode: 0o777 });
    await run(['chmod', '777', volume]);
    const volumes = [
      { source: volume, target: '/data', readOnly: false },
      { source: volume, target: '/mnt/frozen', readOnly: true },
    ];
    await withKernel({ volumes }, async (kernel) => {
      expect(await sh(kernel, 'echo kept > /data/file; cat /mnt/frozen/file; echo no > /mnt/frozen/file')).toMatch(
        /^kept\n.*Read-only/s,
      );
    });
  });

  it.runIf(which('mkfs.ext4') !== undefined && which('busybox') !== undefined)('boots an ext4 file', async () => {
    const tree = join(home, 'tree');
    await run([
      'sh',
      '-c',
      'mkdir -p "$0/bin" && cp "$(command -v busybox)" "$0/bin/sh" && echo mine > "$0/file"',
      tree,
    ]);
    const path = join(home, 'root.ext4');
    expect((await run(['mkfs.ext4', '-q', '-d', tree, path, '16M'])).code).toBe(0);
    await withKernel({ root: { kind: 'ext4', path } }, async (kernel) => {
      const request = {
        command: ['sh', '-c', 'read x < /file; echo $x'],
        env: { PATH: '/bin' },
        cwd: '/',
        user: '0',
      };
      expect((await collect(kernel.guest.exec(request))).stdout).toBe('mine\n');
    });
  });

  it('survives a guest that floods console and control line', async () => {
    await withKernel({}, async (kernel, spec) => {
      const flood = kernel.guest.exec({
        command: ['sh', '-c', 'while :; do cat /etc/services; done > /dev/console'],
        env: { PATH: '/bin:/usr/bin' },
        cwd: '/',
        user: '0',
      });
      await flood.started;
      expect(await sh(kernel, 'echo alive')).toBe('alive\n');
      const sizes = await run(['du', '-sb', spec.directory]);
      expect(Number.parseInt(sizes.stdout, 10)).toBeLessThan(3 * 2 ** 20);
    });
  });

  it('does what it is given after a pause before who has computed less', async () => {
    await withKernel({}, async (kernel) => {
      const asked: string[] = [];
      const { guest } = kernel;
      const configure = guest.configure.bind(guest);
      guest.configure = (ops, signal) => {
        asked.push(...ops.map(([key]) => key));
        return configure(ops, signal);
      };
      await kernel.pause();
      await kernel.resume();
      expect(asked).toEqual(['workers-first']);

      // Name and real-time priority of the threads that serve a CPU, and what such threads may take.
      const workers = () =>
        sh(
          kernel,
          "sed -En 's|.*\\((kworker/[0-9]+:[0-9]+)([^H)][^)]*)?\\) .*|&|p' /proc/[0-9]*/stat | awk '{print $40}' | sort -u; cat /proc/sys/kernel/sched_rt_runtime_us",
        );
      await guest.configure([workersFirst(3_600_000)]);
      expect(await workers()).toBe('1\n-1\n');
      await guest.configure([workersFirst(0)]);
      await expect.poll(workers, { timeout: 20_000 }).toBe('0\n950000\n');
    });
  });

  it('ends, and does not boot again, when its guest resets itself', async () => {
    await withKernel({}, async (kernel) => {
      sh(kernel, 'echo b > /proc/sysrq-trigger').catch(() => {});
      expect(await kernel.exited).toMatchObject({ reason: 'died', message: expect.stringContaining('reset itself') });
    });
  });

  it('ends a paused kernel', async () => {
    await withKernel({}, async (kernel) => {
      await kernel.pause();
      expect(await kernel.stop(5000)).toMatchObject({ reason: 'stopped' });
    });
  });

  it.each([
    ['an image of another kind', { image: { kind: 'x86_64' } as KernelImage }, 'image'],
    ['two CPUs', { cpus: 2 }, 'cpus'],
    ['too little memory', { memoryBytes: 2 ** 20 }, 'memoryBytes'],
  ])('refuses %s', async (_, change, field) => {
    await expect(withKernel(change, async () => {})).rejects.toMatchObject({ field });
  });

  it('says that a kernel which is none did not start', async () => {
    const broken = { ...image, kernel: '/bin/false', digest: 'broken' };
    await expect(withKernel({ image: broken }, async () => {})).rejects.toMatchObject({ code: 'kernel-died' });
  });
});
