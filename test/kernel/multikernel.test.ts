/**
 * The driver of kernels beside the host's, on a model of the host kernel's interface whose instances run User Mode Linux: the
 * conformance suite, with the model as its sources were read, and with all that was never seen the other way round.
 */
import { constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { encode } from '../../src/devicetree/index.ts';
import { baselineTree } from '../../src/devicetree/multikernel/index.ts';
import { type Kernel, type LaunchSpec, NotGone } from '../../src/driver/index.ts';
import { MultikernelDriver } from '../../src/driver/multikernel/driver.ts';
import { readShimProcess } from '../../src/driver/shim/process.ts';
import { collect } from '../support/collect.ts';
import { conformance } from '../support/conformance.ts';
import { hostProcesses } from '../support/host-processes.ts';
import { launchSpec } from '../support/launch-spec.ts';
import { Emulator } from '../support/multikernel/emulator.ts';
import { busyboxRoot, spawnImage, umlImage } from '../support/multikernel/images.ts';
import { AS_READ, OTHERWISE } from '../support/multikernel/switches.ts';
import { canServe } from '../support/silent-mount.ts';

/** In the pool from the beginning: for kernels that own nothing, and one to move to. */
const FREE = [6, 8, 10, 12];
const DEADLINE_MS = 120_000;
const LOGICAL = { first: 1, second: 2, free: 6 };

const home = mkdtempSync(join(tmpdir(), 'pk-mk-test-'));
const root = busyboxRoot();
afterAll(() => {
  for (const path of [home, root.path]) rmSync(path, { recursive: true, force: true });
});

const image = () => spawnImage(home);

/** A kernel of its own for one test, on a machine with `switches`. */
async function withKernel(
  emulator: Pick<Emulator, 'host'>,
  body: (kernel: Kernel, of: { spec: LaunchSpec; driver: MultikernelDriver }) => Promise<void>,
  more: Partial<LaunchSpec> = {},
): Promise<void> {
  const driver = new MultikernelDriver({ host: emulator.host, cache: home });
  const directory = mkdtempSync(join(home, 'launch-'));
  const spec = launchSpec({ directory, image: await image(), root, name: 'own', ...more });
  const kernel = await driver.start(spec, new AbortController().signal);
  try {
    await body(kernel, { spec, driver });
  } finally {
    await driver.destroy(directory, spec.id);
  }
}

const command = (...words: string[]) => ({ command: words, env: { PATH: '/bin' }, cwd: '/', user: '0' });

// The model of the kernel's interface is a file system of its own: without /dev/fuse, or the right to mount one, there is none.
describe.skipIf(!canServe())('a kernel beside the host’s', () => {
  let emulator: Emulator;
  beforeAll(async () => {
    emulator = await Emulator.start({ guests: { uml: (await umlImage()).kernel } });
    const memory = [{ bytes: 2 ** 31, node: 0 }];
    const blob = encode(baselineTree({ cpus: FREE, memory }));
    writeFileSync(join(emulator.host.root, 'device_tree'), blob, { flag: 'r+' });
  });
  afterAll(() => emulator.end());

  it('sends more than its console keeps, among what others write there, and nothing is lost', async () => {
    await withKernel(emulator, async (kernel) => {
      const talks = kernel.guest.exec(command('sh', '-c', 'while echo console talks > /dev/console; do sleep 0; done'));
      await talks.started;
      const bulk = kernel.guest.exec(command('sh', '-c', 'dd if=/dev/zero bs=1024 count=512 2>/dev/null; echo end'));
      const { stdout } = await collect(bulk);
      expect(stdout.length).toBe(512 * 1024 + 4);
      expect(stdout.endsWith('\0end\n')).toBe(true);
      talks.signal(9);
    });
  });

  it('keeps the CPU on which it booted, and gets none that came into the pool later', async () => {
    const { first, second } = LOGICAL;
    const placed = (vcpuCpus: number[]) => ({
      vcpuCpus,
      memory: [{ node: 0, bytes: 2 ** 28 }],
      ...{ hugePageBytes: null, weight: null, mostCpus: null },
    });
    await withKernel(
      emulator,
      async (kernel) => {
        const refused = (why: string) => ({
          ...{ code: 'unsupported', field: 'placement.vcpuCpus' },
          message: expect.stringContaining(why),
        });
        const elsewhere = kernel.repin(placed([second, first]), []);
        await expect(elsewhere).rejects.toMatchObject(refused('on which it booted'));
        const late = kernel.repin(placed([first, 7]), []);
        await expect(late).rejects.toMatchObject(refused('when it booted'));
        expect((await kernel.placementNow()).vcpus).toEqual([[first], [second]]);
      },
      { cpus: 2, placement: placed([first, second]) },
    );
  });

  it('has what was brought for it, whoever else gives back meanwhile what nobody uses', async () => {
    const { first, second } = LOGICAL;
    const other = new MultikernelDriver({ host: emulator.host, cache: home });
    let givesBack: Promise<void> | undefined;
    // Between the bringing and the giving: the host kernel leaves out its CPUs at first, and while it is waited for another looks round.
    const pause = async (milliseconds: number) => {
      if (givesBack !== undefined) return emulator.host.pause(milliseconds);
      await emulator.faults({});
      givesBack = other.destroy(mkdtempSync(join(home, 'launch-')), 'of-nothing');
      for (let look = 0; look < 200; look++) await emulator.state();
    };
    await emulator.faults({ reserve: 1 });
    const placement = {
      vcpuCpus: [first, second],
      memory: [{ node: 0, bytes: 2 ** 28 }],
      ...{ hugePageBytes: null, weight: null, mostCpus: null },
    };
    await withKernel(
      { host: { ...emulator.host, pause } },
      async (kernel) => expect((await kernel.placementNow()).vcpus).toEqual([[first], [second]]),
      { cpus: 2, placement },
    ).finally(() => emulator.faults({}));
    await givesBack;
    expect(givesBack).toBeDefined();
  });

  it('goes on once another program lets go of its console, which the one that opened it last has alone', async () => {
    const own = await Emulator.start({
      guests: { uml: (await umlImage()).kernel },
      switches: { ...AS_READ, vsock: 'none' },
    });
    const blob = encode(baselineTree({ cpus: FREE, memory: [{ bytes: 2 ** 31, node: 0 }] }));
    writeFileSync(join(own.host.root, 'device_tree'), blob, { flag: 'r+' });
    try {
      await withKernel(own, async (kernel) => {
        const [instance] = (await own.state()).instances;
        const other = await open(own.host.tty, constants.O_RDWR | constants.O_NONBLOCK);
        await other.write(String(instance!.id));
        const said = collect(kernel.guest.exec(command('echo', 'all of it')));
        await vi.waitFor(async () => expect((await other.read(Buffer.alloc(1))).bytesRead).toBe(1), 20_000);
        await other.close();
        expect((await said).stdout).toBe('all of it\n');
      });
    } finally {
      await own.end();
    }
  });

  it.each(['works', 'breaks', 'silent', 'none'] as const)(
    'has its control line on vsock where that works, and on its console where it does not: %s',
    async (vsock) => {
      const setup = { guests: { uml: (await umlImage()).kernel }, switches: { ...AS_READ, vsock } };
      const own = await Emulator.start(setup);
      const blob = encode(baselineTree({ cpus: FREE, memory: [{ bytes: 2 ** 31, node: 0 }] }));
      writeFileSync(join(own.host.root, 'device_tree'), blob, { flag: 'r+' });
      try {
        await withKernel(own, async (kernel) => {
          const bulk = kernel.guest.exec(command('sh', '-c', 'dd if=/dev/zero bs=1024 count=256 2>/dev/null; cat'));
          const said = collect(bulk);
          bulk.stdin.end('x'.repeat(64 * 1024));
          const { stdout } = await said;
          expect([stdout.length, stdout.endsWith('x'.repeat(64 * 1024))]).toEqual([320 * 1024, true]);
          const { byVsock } = await own.state();
          if (vsock === 'none') expect(byVsock).toBe(0);
          else if (vsock === 'works') expect(byVsock).toBeGreaterThan(320 * 1024);
          // The rest went by the console.
          else expect([byVsock > 60 * 1024, byVsock < 80 * 1024]).toEqual([true, true]);
        });
      } finally {
        await own.end();
      }
    },
  );

  it('that powers off by itself has stopped, and one that just goes has died', async () => {
    await withKernel(emulator, async (kernel) => {
      kernel.guest.exec(command('poweroff', '-f')).exited.catch(() => {});
      expect(await kernel.exited).toMatchObject({ reason: 'stopped', message: 'the guest powered itself off' });
    });
    await withKernel(emulator, async (kernel) => {
      const [instance] = (await emulator.state()).instances;
      await emulator.ends(instance!.id);
      const exit = await kernel.exited;
      expect(exit).toMatchObject({ reason: 'died', message: expect.stringContaining('does not say why') });
    });
    expect((await emulator.state()).instances).toEqual([]);
  });

  it('that hears nothing is ended by force, and by whoever finds its directory after a crash', async () => {
    await withKernel(emulator, async (kernel, { spec, driver }) => {
      await emulator.deafen(true);
      // As a crash that takes the shim along: the kernel itself runs on.
      process.kill(readShimProcess(spec.directory)!.pid, 'SIGKILL');
      kernel.detach();
      const found = await driver.attach(spec);
      expect(found).toMatchObject({ reason: 'died' });
      expect(await emulator.state()).toMatchObject({ instances: [], guests: [] });
      await emulator.deafen(false);
    });
  });

  it('that does not let go of what it has is not gone, and its start tells why it was to end', async () => {
    const deaf = { force: () => Promise.reject(Object.assign(new Error(), { errno: 'EINVAL' })) };
    const host = { ...emulator.host, calls: { ...emulator.host.calls, ...deaf } };
    const driver = new MultikernelDriver({ host, cache: home });
    const directory = mkdtempSync(join(home, 'launch-'));
    const spec = launchSpec({ directory, image: await image(), root, name: 'own', readyTimeoutMs: DEADLINE_MS });
    const stop = new AbortController();
    await emulator.deafen(true);
    onTestFinished(() => emulator.deafen(false));
    const start = driver.start(spec, stop.signal);
    await vi.waitUntil(async () => (await emulator.state()).guests.length > 0, { timeout: DEADLINE_MS });
    stop.abort(new Error('not any more'));
    const error: unknown = await start.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NotGone);
    expect(error).toMatchObject({ message: expect.stringContaining('by force'), cause: { message: 'not any more' } });
    expect((await emulator.state()).instances).toMatchObject([{ status: 'active' }]);
    // Whoever looks again comes to the same, until it can be stopped.
    await expect(driver.attach(spec)).rejects.toThrow(/by force/);
    await emulator.deafen(false);
    await new MultikernelDriver({ host: emulator.host, cache: home }).destroy(directory, spec.id);
    expect((await emulator.state()).instances).toEqual([]);
  });

  it('has not ended while the host kernel keeps what it had', async () => {
    await withKernel(emulator, async (kernel) => {
      const [instance] = (await emulator.state()).instances;
      await emulator.ends(instance!.id, 'failed');
      expect(await kernel.unproven).toContain('has failed');
      expect((await emulator.state()).instances).toHaveLength(1);
      for (let again = 0; again < 2; again++) await expect(kernel.kill()).rejects.toThrow(/has failed/);
      await emulator.ends(instance!.id, 'loaded');
      expect(await kernel.exited).toMatchObject({ reason: 'died' });
      expect((await emulator.state()).instances).toEqual([]);
    });
  });

  it('is refused what it cannot have, before anything is taken', async () => {
    const driver = new MultikernelDriver({ host: emulator.host, cache: home });
    const before = await emulator.state();
    const own = { image: await image(), root, name: 'own' };
    const refused: [Partial<LaunchSpec>, object][] = [
      [{ root: { kind: 'host' } }, { code: 'unsupported', field: 'root' }],
      [{ volumes: [{ source: '/', target: '/host', readOnly: true }] }, { code: 'unsupported', field: 'volumes' }],
      [{ image: { ...own.image, kernel: '/bin/true' } }, { code: 'invalid', field: 'image' }],
      [{ image: { ...own.image, version: '6.1.0' } }, { code: 'invalid', field: 'image' }],
      [{ append: ['panic=1'] }, { code: 'invalid', field: 'append' }],
    ];
    for (const [change, error] of refused) {
      const directory = mkdtempSync(join(home, 'launch-'));
      const spec = launchSpec({ ...own, directory, ...change });
      await expect(driver.start(spec, new AbortController().signal)).rejects.toMatchObject(error);
    }
    expect(await emulator.state()).toEqual(before);
  });
});

for (const [name, switches] of Object.entries({ 'as its sources were read': AS_READ, otherwise: OTHERWISE })) {
  // For the reason above.
  describe.skipIf(!canServe())(name, () => {
    let emulator: Emulator;
    const cache = join(home, name);
    beforeAll(async () => {
      mkdirSync(cache);
      emulator = await Emulator.start({ guests: { uml: (await umlImage()).kernel }, switches });
      // As a daemon does: what is in the pool by then has no number.
      await new MultikernelDriver({ host: emulator.host, cache }).probe();
      const memory = [{ bytes: 2 ** 31, node: 0 }];
      writeFileSync(join(emulator.host.root, 'device_tree'), encode(baselineTree({ cpus: FREE, memory })), {
        flag: 'r+',
      });
    });
    afterAll(() => emulator.end());

    conformance(`multikernel, ${name}`, {
      createDriver: () => new MultikernelDriver({ host: emulator.host, cache }),
      image,
      root,
      cpus: [LOGICAL.first, LOGICAL.second, LOGICAL.free],
      processesOf: async (directory) => [
        ...(await hostProcesses(directory)),
        ...((await emulator.state()).instances.length > 0 ? (await emulator.state()).guests : []),
      ],
    });
  });
}
