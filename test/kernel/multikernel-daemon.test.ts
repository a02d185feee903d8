/**
 * Kernels beside the host's as users have them: a whole daemon with its pool and ledger, on the model of the host kernel's interface. What the
 * ledger says and what the model has agree at every step.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MultikernelDriver } from '../../src/driver/multikernel/driver.ts';
import { prepareRoot } from '../../src/image/contract.ts';
import type { CreateRequest } from '../../src/instance/contract.ts';
import { untilState } from '../support/harness.ts';
import { HOST, modelDaemon, type TestDaemon } from '../support/model-daemon.ts';
import { modelHost } from '../support/model-host.ts';
import { Emulator } from '../support/multikernel/emulator.ts';
import { busyboxRoot, spawnImage, umlImage } from '../support/multikernel/images.ts';
import { WHOLE } from '../support/multikernel/on-machine.ts';
import { MACHINE } from '../support/multikernel/switches.ts';
import { canServe } from '../support/silent-mount.ts';

const MIB = 2 ** 20;
const root = busyboxRoot();
const cache = mkdtempSync(join(tmpdir(), 'pk-mk-daemon-'));
afterAll(() => {
  for (const path of [root.path, cache]) rmSync(path, { recursive: true, force: true });
});

// For the reason of multikernel.test.ts.
describe.skipIf(!canServe())('kernels beside the host’s, through the daemon', () => {
  let emulator: Emulator;
  let test: TestDaemon;
  let end: () => Promise<void>;

  beforeAll(async () => {
    emulator = await Emulator.start({ guests: { uml: (await umlImage()).kernel } });
    const image = await spawnImage(cache);
    ({ test, end } = await modelDaemon({
      drivers: [new MultikernelDriver({ host: emulator.host, cache })],
      prepareRoot,
      host: {
        ...HOST,
        readTopology: () => modelHost({ coresPerL3: 6, l3PerNode: 2, threads: 1, memoryBytesPerNode: 16 * 2 ** 30 }),
      },
      images: {
        list: async () => [],
        pull: async () => Promise.reject(new Error('nothing is pulled here')),
        import: async () => Promise.reject(new Error('nothing is imported here')),
        remove: async () => {},
        resolve: async () => image,
      },
    }));
    const cpus = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    await test.client.initPool({ cpus, sharedCpus: [], memory: { kind: 'size', bytes: 8 * 2 ** 30 }, devices: [] });
  });
  afterAll(async () => {
    await end();
    await emulator.end();
  });

  async function run(name: string, request: Partial<CreateRequest>): Promise<void> {
    const command = ['sleep', '100000'];
    await test.client.create({ name, driver: 'multikernel', root: root.path, command, ...request });
    await untilState(test, name, 'running');
  }
  const partition = (cpus: NonNullable<CreateRequest['partition']>['cpus'], bytes: number) => ({
    partition: {
      cpus,
      memory: { kind: 'size' as const, bytes, node: null, hugePageBytes: null },
      devices: [],
    },
  });
  const elastic = (cpus: number) => ({
    ...partition({ kind: 'count', count: cpus, numa: null, smt: 'whole-core', cache: 'any', near: null }, 512 * MIB),
    elastic: { cpus: { min: 1, max: 3 }, memoryBytes: { min: 256 * MIB, max: 1024 * MIB } },
  });
  const move = (resource: 'cpu' | 'memory', from: string, to: string, amount: number) =>
    test.client.move({ resource, from, to, amount });

  /** CPUs by the host's numbers and MiB of each, as the ledger has them; the model has the same. */
  async function owned(): Promise<Record<string, [number[], number]>> {
    const { instances } = await emulator.state();
    const { partitions } = await test.client.pool();
    const books = Object.entries(partitions).map(([name, { cpus, memory }]) => [
      name,
      [cpus, memory.reduce((sum, { bytes }) => sum + bytes, 0) / MIB],
    ]);
    const found = await Promise.all(
      Object.keys(partitions).map(async (name) => {
        const { id } = await test.client.inspect(name);
        const { cpus, regions } = instances.find((each) => each.name === `pk-${id.slice(0, 12)}`)!;
        const numbers = cpus.map((apic) => MACHINE.cpus.findIndex((cpu) => cpu.apic === apic)).sort((a, b) => a - b);
        return [name, [numbers, regions.reduce((sum, { bytes }) => sum + bytes, 0) / MIB]];
      }),
    );
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(books));
    return Object.fromEntries(books);
  }

  it('owns the CPUs that were named, and leaves the machine whole', async () => {
    await run('named', partition({ kind: 'exact', cpus: [4, 5, 8] }, 256 * MIB));
    expect(await owned()).toEqual({ named: [[4, 5, 8], 256] });
    await test.client.remove('named', { force: true });
    expect(await emulator.state()).toMatchObject(WHOLE);
  });

  it('gives and gets CPUs and memory while it runs, but for the CPU on which it booted; a new daemon goes on from there', async () => {
    await run('one', elastic(2));
    await run('two', elastic(2));
    expect(await owned()).toEqual({ one: [[2, 3], 512], two: [[4, 5], 512] });
    // CPU 4 is nearer to those of the other kernel, and stays.
    await move('cpu', 'two', 'one', 1);
    expect(await owned()).toEqual({ one: [[2, 3, 5], 512], two: [[4], 512] });
    await move('memory', 'one', 'two', 128 * MIB);
    expect(await owned()).toEqual({ one: [[2, 3, 5], 384], two: [[4], 640] });
    await test.crashAndRestart();
    await move('cpu', 'one', 'two', 2);
    expect(await owned()).toEqual({ one: [[2], 384], two: [[3, 4, 5], 640] });
    // What nobody had when it booted was there for that moment, and was the host's until now.
    expect((await emulator.state()).poolCpus).toHaveLength(4);
    await test.client.resize('one', { cpus: 3 });
    expect(await owned()).toEqual({ one: [[2, 6, 7], 384], two: [[3, 4, 5], 640] });
    await expect(test.client.resize('one', { cpus: 4 })).rejects.toMatchObject({ code: 'invalid' });
    await test.client.resize('two', { cpus: 1 });
    expect(await owned()).toEqual({ one: [[2, 6, 7], 384], two: [[4], 640] });
    for (const name of ['one', 'two']) await test.client.remove(name, { force: true });
    expect(await emulator.state()).toMatchObject(WHOLE);
  });
});
