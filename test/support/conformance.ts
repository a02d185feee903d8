/**
 * What every driver must do, run against each of them: models in the unit project, the product's on real kernels.
 * A driver passes or it is not a driver; differences are allowed only where Capabilities declare them.
 */

import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Driver, Kernel, KernelExit, LaunchSpec, SharedRegion } from '../../src/driver/index.ts';
import type { KernelImage, RootSource } from '../../src/image/contract.ts';
import { createRing, ringBytes, SharedMemory } from '../../src/ring/index.ts';
import { parseCpuList } from '../../src/sys/cpu-list.ts';
import { collect } from './collect.ts';
import { launchSpec } from './launch-spec.ts';
import { ownNetwork } from './own-network.ts';

export interface ConformanceTarget {
  /** A new manager process's view of the driver: re-attach must work through a second one. */
  createDriver(): Driver | Promise<Driver>;
  image(): Promise<KernelImage>;
  /** Host CPUs that kernels can be put on: one, or where the first cannot be left, three and the last of them free at each start. */
  cpus: readonly number[];
  /** What kernels have as their root; default the machine's own files. */
  root?: RootSource;
  /** Host processes that belong to a launch directory, for the leak check; empty where there are none. */
  processesOf(directory: string): Promise<number[]>;
  /** Whether the kernel of a launch directory is paused, as its VMM says; where kernels can be. */
  standsStill?(directory: string): boolean | Promise<boolean>;
}

function sharedRing(): SharedMemory {
  const memory = SharedMemory.anonymous('conformance', ringBytes(4096));
  createRing(memory);
  return memory;
}

async function contentOf(kernel: Kernel, path: string): Promise<string> {
  let text = '';
  for await (const chunk of await kernel.guest.readFile(path)) text += chunk;
  return text;
}

/** How many CPUs the guest's own programs see. */
async function onlineIn(kernel: Kernel): Promise<number> {
  return parseCpuList(await contentOf(kernel, '/sys/devices/system/cpu/online')).length;
}

export function conformance(name: string, target: ConformanceTarget): void {
  describe(`driver conformance: ${name}`, () => {
    let home: string;
    let driver: Driver;
    let image: KernelImage;
    const live = new Set<Kernel>();
    const launched: string[] = [];

    beforeAll(async () => {
      home = await mkdtemp(join(tmpdir(), 'pk-conf-'));
      driver = await target.createDriver();
      image = await target.image();
    });
    afterEach(async () => {
      await Promise.all([...live].map((kernel) => kernel.kill()));
      live.clear();
      for (const directory of launched.splice(0)) expect(await target.processesOf(directory)).toEqual([]);
    });
    afterAll(() => rm(home, { recursive: true, force: true }));

    async function spec(change: Partial<LaunchSpec> = {}): Promise<LaunchSpec> {
      const directory = join(home, randomBytes(4).toString('hex'));
      await mkdir(directory, { mode: 0o700 });
      launched.push(directory);
      const root = target.root ?? { kind: 'host' as const };
      const memoryBytes = Math.max(driver.capabilities().minMemoryBytes, 256 * 2 ** 20);
      return launchSpec({ name: 'conf', hostname: 'conf-host', directory, memoryBytes, image, root, ...change });
    }
    async function start(change: Partial<LaunchSpec> = {}): Promise<Kernel> {
      const kernel = await driver.start(await spec(change), new AbortController().signal);
      live.add(kernel);
      return kernel;
    }
    async function output(kernel: Kernel, ...command: string[]): Promise<string> {
      const result = await collect(kernel.guest.exec({ command, env: { PATH: '/usr/bin:/bin' }, cwd: '/', user: '0' }));
      expect(result.exit).toEqual({ kind: 'exit', value: 0, message: expect.anything() });
      return result.stdout;
    }

    it('is available and says why', async () => {
      const availability = await driver.probe();
      expect(availability).toMatchObject({ available: true });
      expect(availability.reason).not.toBe('');
    });

    it('starts a kernel that runs commands', async () => {
      const kernel = await start();
      expect(kernel.guest.hello?.bootId).toMatch(/^[0-9a-f-]{36}$/);
      expect(await output(kernel, 'echo', 'hello')).toBe('hello\n');
    });

    it('shows shared memory by name, at the start and later where it says so', async () => {
      using memory = sharedRing();
      const region = (name: string, slot: number, side: 'send' | 'recv'): SharedRegion => {
        const id = randomBytes(16).toString('hex');
        return { id, name, slot, path: `/proc/${process.pid}/fd/${memory.fd}`, bytes: memory.bytes, side };
      };
      const first = region('orders', 0, 'send');
      if (driver.capabilities().sharedMemory === 'none') {
        await expect(start({ regions: [first] })).rejects.toMatchObject({ code: 'unsupported', field: 'channels' });
        return;
      }
      const kernel = await start({ regions: [first, region('other', 1, 'recv')] });
      expect(await contentOf(kernel, '/run/pk/channels/orders')).toContain('send');
      await kernel.attachRegion(first);
      await kernel.detachRegion(first);
      await expect(contentOf(kernel, '/run/pk/channels/orders')).rejects.toMatchObject({ code: 'not-found' });
      const late = region('late', 2, 'recv');
      if (driver.capabilities().sharedMemory === 'boot') {
        await expect(kernel.attachRegion(late)).rejects.toMatchObject({ code: 'unsupported' });
        return;
      }
      await kernel.attachRegion(late);
      expect(await contentOf(kernel, '/run/pk/channels/late')).toContain('recv');
    });

    it('passes input, exit codes and signals', async () => {
      const kernel = await start();
      const cat = kernel.guest.exec({ command: ['cat'], env: { PATH: '/usr/bin:/bin' }, cwd: '/', user: '0' });
      cat.stdin.end('through the kernel');
      expect((await collect(cat)).stdout).toBe('through the kernel');
      const failing = kernel.guest.exec({
        command: ['sh', '-c', 'exit 42'],
        env: { PATH: '/usr/bin:/bin' },
        cwd: '/',
        user: '0',
      });
      expect((await collect(failing)).exit).toMatchObject({ kind: 'exit', value: 42 });
      const sleeping = kernel.guest.exec({
        command: ['sleep', '1000'],
        env: { PATH: '/usr/bin:/bin' },
        cwd: '/',
        user: '0',
      });
      await sleeping.started;
      sleeping.signal(15);
      expect((await collect(sleeping)).exit).toMatchObject({ kind: 'signal', value: 15 });
      const absent = kernel.guest.exec({
        command: ['no-such-program'],
        env: { PATH: '/usr/bin:/bin' },
        cwd: '/',
        user: '0',
      });
      expect((await collect(absent)).exit).toMatchObject({ kind: 'failed', value: 2 });
    });

    it('gives two kernels different identities', async () => {
      const [a, b] = await Promise.all([start({ hostname: 'one' }), start({ hostname: 'two' })]);
      expect(a.guest.hello?.bootId).not.toBe(b.guest.hello?.bootId);
    });

    it('stops on request, once and again', async () => {
      const kernel = await start();
      expect(await kernel.stop(10_000)).toMatchObject({ reason: 'stopped' });
      expect(await kernel.stop(10_000)).toMatchObject({ reason: 'stopped' });
      expect(await kernel.exited).toMatchObject({ reason: 'stopped' });
    });

    it('is killed at once', async () => {
      const kernel = await start();
      expect(await kernel.kill()).toMatchObject({ reason: 'stopped' });
    });

    it('reports a panic with its message', async () => {
      const kernel = await start();
      const crash = kernel.guest.exec({
        command: ['sh', '-c', 'echo c > /proc/sysrq-trigger'],
        env: { PATH: '/usr/bin:/bin' },
        cwd: '/',
        user: '0',
      });
      crash.exited.catch(() => {});
      const exit = await kernel.exited;
      expect(exit.reason).toBe('panic');
      expect(exit.message).toMatch(/panic/i);
    });

    it('pauses and resumes', async () => {
      if (!driver.capabilities().pause) return;
      const [kernel, other] = await Promise.all([start(), start()]);
      await kernel.pause();
      const echo = kernel.guest.exec({
        command: ['echo', 'late'],
        env: { PATH: '/usr/bin:/bin' },
        cwd: '/',
        user: '0',
      });
      let answered = false;
      void echo.exited.then(() => {
        answered = true;
      });
      // Others answer meanwhile.
      for (const word of ['one', 'two', 'three']) expect(await output(other, 'echo', word)).toBe(`${word}\n`);
      expect(answered).toBe(false);
      await kernel.resume();
      expect((await collect(echo)).stdout).toBe('late\n');
    });

    it('is taken over while it is paused, and goes on', async () => {
      if (!driver.capabilities().pause) return;
      const launch = await spec();
      const kernel = await driver.start(launch, new AbortController().signal);
      await kernel.pause();
      kernel.detach();
      const found = (await (await target.createDriver()).attach(launch)) as Kernel;
      live.add(found);
      expect(await output(found, 'echo', 'awake')).toBe('awake\n');
    });

    it('stands still again when it was paused and who takes it over goes away', async () => {
      if (!driver.capabilities().pause) return;
      const launch = await spec();
      const kernel = await driver.start(launch, new AbortController().signal);
      await kernel.pause();
      kernel.detach();
      const second = await target.createDriver();
      const leave = { signal: AbortSignal.abort(), paused: () => true };
      await expect(second.attach(launch, undefined, leave)).rejects.toBeDefined();
      expect(await target.standsStill!(launch.directory)).toBe(true);
      const found = (await second.attach(launch)) as Kernel;
      live.add(found);
      expect(await output(found, 'echo', 'awake')).toBe('awake\n');
    });

    it('runs on the CPUs it was given, moves to others while it runs, and says where it is', async () => {
      if (driver.capabilities().cpuMoves === 'not-first') return;
      const memory = [{ node: 0, bytes: 2 ** 28 }];
      const on = (...vcpuCpus: number[]) => ({ vcpuCpus, memory, hugePageBytes: null, weight: null, mostCpus: null });
      const kernel = await start({ placement: on(0), housekeepingCpus: [0] });
      expect(await kernel.placementNow()).toMatchObject({ vcpus: [[0]], others: [0] });
      const last = target.cpus.at(-1)!;
      await kernel.repin(on(last), [0]);
      expect(await kernel.placementNow()).toMatchObject({ vcpus: [[last]], others: [0] });
      // What is started from now on is there as well.
      expect(await output(kernel, 'sh', '-c', 'sleep 0; echo here')).toBe('here\n');
      expect(await kernel.placementNow()).toMatchObject({ vcpus: [[last]] });
      await kernel.repin(undefined, [0]);
      expect(await kernel.placementNow()).toMatchObject({ vcpus: [[0]], others: [0] });
      await expect(kernel.repin(on(0, last), [0])).rejects.toMatchObject({ code: 'invalid' });
      await kernel.kill();
      await expect(kernel.placementNow()).rejects.toMatchObject({ code: 'kernel-died' });
      await expect(kernel.repin(on(0), [0])).rejects.toMatchObject({ code: 'kernel-died' });
    });

    it('keeps the CPU on which it booted, where it has to, and exchanges the others', async () => {
      if (driver.capabilities().cpuMoves === 'all') return;
      const [first, second, third] = target.cpus as [number, number, number];
      const { memoryBytes: bytes } = await spec();
      const on = (...vcpuCpus: number[]) => ({
        vcpuCpus,
        memory: [{ node: 0, bytes }],
        hugePageBytes: null,
        weight: null,
        mostCpus: null,
      });
      const kernel = await start({ cpus: 2, placement: on(first, second) });
      expect(await kernel.placementNow()).toMatchObject({ vcpus: [[first], [second]], memory: [{ node: 0, bytes }] });
      await kernel.repin(on(first, third), undefined);
      expect(await kernel.placementNow()).toMatchObject({ vcpus: [[first], [third]] });
      expect(await output(kernel, 'sh', '-c', 'sleep 0; echo here')).toBe('here\n');
      await expect(kernel.repin(on(second, third), undefined)).rejects.toMatchObject({ code: 'unsupported' });
      await expect(kernel.repin(on(first), undefined)).rejects.toMatchObject({ code: 'invalid' });
      expect(await kernel.placementNow()).toMatchObject({ vcpus: [[first], [third]] });
      await kernel.kill();
      await expect(kernel.placementNow()).rejects.toMatchObject({ code: 'kernel-died' });
      await expect(kernel.repin(on(first, second), undefined)).rejects.toMatchObject({ code: 'kernel-died' });
    });

    it('changes its size while it runs, and says what it has', async () => {
      const { cpuResize, memoryResize, memoryStepBytes } = driver.capabilities();
      const { memoryBytes } = await spec();
      const whole = { cpus: cpuResize === 'none' ? 1 : 2, memoryBytes };
      const memoryChanges = memoryResize !== 'none';
      const step = Math.max(memoryStepBytes, 32 * 2 ** 20);
      const less = { cpus: 1, memoryBytes: memoryChanges ? memoryBytes - step : memoryBytes };
      const size = { ...less, memoryChanges, leastMemoryBytes: less.memoryBytes };
      const kernel = await start({ cpus: whole.cpus, size });
      expect(await kernel.size()).toEqual(less);
      for (const size of [whole, less, whole]) {
        await kernel.resize(size);
        expect(await kernel.size()).toEqual(size);
        if (cpuResize === 'online') expect(await onlineIn(kernel)).toBe(size.cpus);
      }
      await kernel.kill();
      await expect(kernel.resize(less)).rejects.toThrow();
    });

    it('says what the host has accounted to it, until it has ended', async () => {
      const kernel = await start();
      const before = kernel.usage()!;
      expect(before.vcpus).toHaveLength(1);
      await output(kernel, 'echo', 'work');
      const after = kernel.usage()!;
      for (const field of ['ranNs', 'waitedNs'] as const)
        expect(after.vcpus[0]![field]).toBeGreaterThanOrEqual(before.vcpus[0]![field]);
      expect(after.othersRanNs).toBeGreaterThanOrEqual(before.othersRanNs);
      await kernel.kill();
      expect(kernel.usage()).toBeUndefined();
    });

    it('shows on its console what is written there from now on', async () => {
      const kernel = await start();
      const console = await kernel.console();
      try {
        const seen = new Promise<void>((resolve) => {
          let text = '';
          console.on('data', (data) => {
            text += data;
            if (text.includes('said on the console')) resolve();
          });
        });
        await output(kernel, 'sh', '-c', 'echo said on the console > /dev/console');
        await seen;
      } finally {
        console.destroy();
      }
    });

    it('joins the network it is given, with its address and the names there are', async () => {
      const { networks, networkPort } = driver.capabilities();
      if (!networks.includes('private')) return;
      await using network = await ownNetwork(home, networkPort);
      const kernel = await start({ network: network.joined });
      expect(await contentOf(kernel, '/etc/hosts')).toBe(network.joined.hosts);
      expect(await contentOf(kernel, '/proc/net/fib_trie')).toContain(network.joined.port.address);
      await kernel.kill();
    });

    it('is made fast beforehand where it can be', async () => {
      const { image: wanted, cpus, memoryBytes, housekeepingCpus, identity } = await spec();
      const request = { image: wanted, cpus, memoryBytes, housekeepingCpus, identity };
      await driver.prewarm(request, new AbortController().signal);
      expect((await start()).cloned).toBe(driver.capabilities().templateClone);
    });

    it('is ended by who knows its directory alone, more than once, and where there is nothing', async () => {
      const launch = await spec();
      const kernel = await driver.start(launch, new AbortController().signal);
      live.add(kernel);
      const second = await target.createDriver();
      await second.destroy(launch.directory, launch.id);
      await kernel.exited;
      expect(await target.processesOf(launch.directory)).toEqual([]);
      await second.destroy(launch.directory);
      await second.destroy(join(home, 'nowhere'));
      const found = await second.attach(launch);
      expect(found === undefined || 'reason' in found).toBe(true);
    });

    it('is found again by a new manager, with its sessions', async () => {
      const first = await spec();
      const kernel = await driver.start(first, new AbortController().signal);
      const bootId = kernel.guest.hello?.bootId;
      const cat = kernel.guest.exec({ command: ['cat'], env: { PATH: '/usr/bin:/bin' }, cwd: '/', user: '0' });
      await cat.started;
      kernel.detach();
      const second = await target.createDriver();
      const found = await second.attach(first);
      if (found === undefined || !('guest' in found)) throw new Error(`not found again: ${JSON.stringify(found)}`);
      live.add(found);
      expect(found.guest.hello?.bootId).toBe(bootId);
      const adopted = found.guest.adopt(cat.session);
      adopted.stdin.end('still here');
      expect((await collect(adopted)).stdout).toBe('still here');
    });

    it('gives an ended kernel its exit when attached later', async () => {
      const first = await spec();
      const kernel = await driver.start(first, new AbortController().signal);
      kernel.detach();
      const second = await target.createDriver();
      const found = (await second.attach(first)) as Kernel;
      await found.kill();
      const third = await (await target.createDriver()).attach(first);
      expect(third === undefined || 'reason' in (third as KernelExit)).toBe(true);
    });

    it('starts again in a fresh directory after a stop', async () => {
      const kernel = await start();
      await kernel.stop(10_000);
      const again = await start();
      expect(again.guest.hello?.bootId).not.toBe(kernel.guest.hello?.bootId);
    });

    it('leaves nothing when start is aborted', async () => {
      const controller = new AbortController();
      const launch = await spec({ cold: true });
      const starting = driver.start(launch, controller.signal);
      controller.abort();
      await expect(starting).rejects.toThrow();
      expect(await target.processesOf(launch.directory)).toEqual([]);
    });

    it('says what is wrong when the guest never gets ready', async () => {
      const launch = await spec({ cold: true, readyTimeoutMs: 1 });
      await expect(driver.start(launch, new AbortController().signal)).rejects.toMatchObject({ code: 'not-ready' });
      expect(await target.processesOf(launch.directory)).toEqual([]);
    });
  });
}
