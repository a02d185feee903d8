/**
 * What the driver takes of a machine and gives back, on the model of the host kernel's interface (test/support/multikernel), without
 * kernels that run: each hazard of the interface, and operations by chance with faults at each interaction. More of these with
 * POLYKERNEL_OPERATIONS=1000.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { encode } from '../../src/devicetree/index.ts';
import { baselineTree, overlays } from '../../src/devicetree/multikernel/index.ts';
import { MultikernelDriver } from '../../src/driver/multikernel/driver.ts';
import { KernelFiles } from '../../src/driver/multikernel/interface.ts';
import { MachinePart } from '../../src/driver/multikernel/machine.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { Emulator } from '../support/multikernel/emulator.ts';
import { spawnKernel } from '../support/multikernel/images.ts';
import type { ModelState } from '../support/multikernel/main.ts';
import {
  AS_READ,
  type Faults,
  MACHINE,
  type ModelMachine,
  OTHERWISE,
  type Switches,
} from '../support/multikernel/switches.ts';
import { canServe } from '../support/silent-mount.ts';

const MIB = 2 ** 20;
const OPERATIONS = Number(process.env.POLYKERNEL_OPERATIONS ?? 50);
const never = new AbortController().signal;

let home: string;
let emulator: Emulator;
/** As the driver keeps them. */
let files: KernelFiles;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pk-mk-unit-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** One for all tests of a `describe`, each of which leaves it as it was. */
function onMachine(switches: Partial<Switches>, machine: Partial<ModelMachine> = {}): void {
  beforeAll(async () => {
    emulator = await Emulator.start({ guests: 'none', switches, machine: { ...MACHINE, ...machine } });
    emulator.hurry();
    files = new KernelFiles(emulator.host.root);
  });
  beforeEach(() => {
    new MachinePart(emulator.host, 'look', home).cpus.read();
  });
  afterEach(async () => expect(await emulator.state()).toMatchObject(WHOLE));
  afterAll(() => emulator.end());
}

function part(name: string): { part: MachinePart; directory: string } {
  const directory = join(home, name);
  mkdirSync(directory, { recursive: true });
  return { part: new MachinePart(emulator.host, name, home, files), directory };
}

const launch = (directory: string, vcpuCpus: number[], memoryBytes = 256 * MIB) => ({
  directory,
  cpus: vcpuCpus.length,
  memoryBytes,
  placement: { vcpuCpus, memory: [{ node: 0, bytes: memoryBytes }], hugePageBytes: null, weight: null, mostCpus: null },
});

function image() {
  const kernel = join(home, 'vmlinux');
  writeFileSync(kernel, spawnKernel());
  return { kernel, initramfs: kernel, commandLine: 'quiet' };
}

const BLOCKS = { block: 128 * MIB, node: 0 };

/** What kernels use that is not booked for them, or is somebody else's. */
function agree({ instances, chunks }: ModelState): string[] {
  const meet = (a: { base: number; bytes: number }, b: typeof a) =>
    a.base < b.base + b.bytes && b.base < a.base + a.bytes;
  const inside = (a: { base: number; bytes: number }, b: typeof a) =>
    a.base >= b.base && a.base + a.bytes <= b.base + b.bytes;
  return instances
    .filter(({ status }) => status === 'active')
    .flatMap(({ name, used, regions }) =>
      used.flatMap((range) => [
        ...(regions.some((region) => inside(range, region)) ? [] : [`${name} uses what is not booked`]),
        ...(chunks.some((chunk) => inside(range, chunk)) ? [] : [`none of the pool has what ${name} uses`]),
        ...instances
          .filter((other) => other.name !== name && other.regions.some((region) => meet(region, range)))
          .map((other) => `${other.name} has what ${name} uses`),
      ]),
    );
}

/** As the machine is before anything is taken of it. */
// Nobody has undone a transaction by rmdir, which may take what others have.
const WHOLE = { poolCpus: [], poolFunctions: [], chunks: [], instances: [], rolledBack: 0 };

// The model of the kernel's interface is a file system of its own: without /dev/fuse, or the right to mount one, there is none.
describe.skipIf(!canServe())('on the model', () => {
  onMachine(AS_READ);

  it('takes a part of the machine, and leaves it as it was', async () => {
    const { part: web, directory } = part('web');
    const record = await web.take(launch(directory, [1, 2]), never);
    // APIC ids, which run differently, and memory with room for what the kernel keeps in it.
    const taken = await emulator.state();
    expect(taken).toMatchObject({ poolCpus: [2, 4], freeCpus: [], instances: [{ id: 1, cpus: [2, 4] }] });
    expect(taken.chunks[0]!.bytes).toBeGreaterThan(256 * MIB);
    await web.instance.load(record.id!, image());
    await web.instance.boot(record.id!);
    expect(web.instance.status).toBe('active');
    // Numbers of CPUs that have vanished are known all the same.
    expect(web.cpus.logical(web.instance.cpus())).toEqual([1, 2]);
    await web.giveBack(directory);
    expect(await emulator.state()).toMatchObject(WHOLE);
    await web.giveBack(directory);
  });

  it('gives nothing of a kernel to others that cannot be stopped, and everything once it can', async () => {
    const { part: web, directory } = part('web');
    const { id } = await web.take(launch(directory, [1, 2]), never);
    await web.instance.load(id!, image());
    await web.instance.boot(id!);
    const deaf = {
      ...emulator.host.calls,
      force: () => Promise.reject(Object.assign(new Error(), { errno: 'EINVAL' })),
    };
    const host = { ...emulator.host, calls: deaf };
    await expect(new MachinePart(host, 'web', home).giveBack(directory)).rejects.toThrow(/by force/);
    expect(await emulator.state()).toMatchObject({ poolCpus: [2, 4], instances: [{ status: 'active' }] });
    await web.giveBack(directory);
    expect(await emulator.state()).toMatchObject(WHOLE);
  });

  it('asks a kernel to stop, and stops it by force when it does not', async () => {
    const { part: web, directory } = part('web');
    const { id } = await web.take(launch(directory, [1]), never);
    await web.instance.load(id!, image());
    for (const deaf of [false, true, false]) {
      await emulator.deafen(deaf);
      // Until its CPUs have parked it cannot be booted: the driver has seen to that.
      await web.instance.boot(id!);
      await web.instance.halt(id!, 1000);
      expect(web.instance.status).toBe('loaded');
    }
    await web.giveBack(directory);
  });

  it('sees through an `applied` that lacks CPUs', async () => {
    const { part: web, directory } = part('web');
    await emulator.faults({ reserve: 5 }, 2);
    await web.take(launch(directory, [1, 2, 3, 4]), never);
    // In their order: the first boots.
    expect(web.instance.cpus()).toEqual([2, 4, 6, 8]);
    await emulator.faults({});
    await web.giveBack(directory);
  });

  it('undoes a move that does not come off', async () => {
    const { part: web, directory } = part('web');
    await web.take(launch(directory, [1, 2]), never);
    await expect(web.instance.setCpus([2, 99])).rejects.toThrow(/moving CPUs/);
    expect(web.instance.cpus()).toEqual([2, 4]);
    await web.giveBack(directory);
  });

  it('has its memory changed where it is booked, by two transactions and a look between them', async () => {
    const { part: web, directory } = part('web');
    const { id } = await web.take(launch(directory, [1]), never);
    await web.instance.load(id!, image());
    await web.instance.boot(id!);
    for (const blocks of [1, 4, 2, 3, 0, 5]) {
      await web.memory.resize((256 + blocks * 128) * MIB, BLOCKS);
      expect(web.memory.bytes()).toBe((256 + blocks * 128) * MIB);
      expect(agree(await emulator.state())).toEqual([]);
    }
    await expect(web.memory.resize(300 * MIB, BLOCKS)).rejects.toMatchObject({ code: 'invalid', field: 'memoryBytes' });
    await expect(web.memory.resize(128 * MIB, BLOCKS)).rejects.toMatchObject({ code: 'invalid', value: 128 * MIB });
    await web.giveBack(directory);
  });

  it('keeps memory that its kernel does not let go of, and says so', async () => {
    const { part: web, directory } = part('web');
    const { id } = await web.take(launch(directory, [1]), never);
    await web.instance.load(id!, image());
    await web.instance.boot(id!);
    await web.memory.resize(512 * MIB, BLOCKS);
    await emulator.faults({ offline: 1 });
    await expect(web.memory.resize(256 * MIB, BLOCKS)).rejects.toMatchObject({ code: 'not-ready' });
    expect(web.memory.bytes()).toBe(512 * MIB);
    await emulator.faults({});
    await web.giveBack(directory);
  });

  it('keeps from everybody what is booked elsewhere than a kernel has it, until that ends', async () => {
    const { part: web, directory } = part('web');
    const { id } = await web.take(launch(directory, [1]), never);
    await web.instance.load(id!, image());
    await web.instance.boot(id!);
    // The pool's next place is another than it was a moment ago.
    await emulator.faults({ elsewhere: 1 });
    await expect(web.memory.resize(384 * MIB, BLOCKS)).rejects.toThrow(/has booked/);
    await emulator.faults({});
    await expect(web.memory.resize(1024 * MIB, BLOCKS)).rejects.toThrow(/stays as it is/);
    // Nobody else gets it meanwhile, and the chunk that it is in does not go back to the host.
    const { part: other, directory: others } = part('other');
    await other.take(launch(others, [2]), never).catch(() => {});
    expect(agree(await emulator.state()).filter((line) => !line.startsWith('web'))).toEqual([]);
    await other.giveBack(others);
    await web.giveBack(directory);
    expect(await emulator.state()).toMatchObject(WHOLE);
  });

  it('has PCI functions given by a transaction of their own, and back to the host at its end', async () => {
    const { part: web, directory } = part('web');
    const function_ = (address: string) => ({ address, group: null, name: null });
    const devices = ['0000:09:00.1', '0000:09:00.3'].map(function_);
    await web.take({ ...launch(directory, [1]), devices }, never);
    expect(await emulator.state()).toMatchObject({
      poolFunctions: ['0000:09:00.1', '0000:09:00.3'],
      instances: [{ functions: ['0000:09:00.1', '0000:09:00.3'] }],
    });
    // What another has is nobody else's, and what the machine lacks is none.
    for (const address of ['0000:09:00.3', '0000:0a:00.0']) {
      const { part: other, directory: others } = part('other');
      const wanted = { ...launch(others, [2]), devices: [function_(address)] };
      await expect(other.take(wanted, never)).rejects.toThrow(/PCI functions/);
      await other.giveBack(others);
    }
    await web.giveBack(directory);
    expect(await emulator.state()).toMatchObject(WHOLE);
  });

  it('leaves what others have brought', async () => {
    const memory = [{ bytes: 1024 * MIB, node: 0 }];
    await files.baseline({ cpus: [6, 8], memory });
    await files.apply([{ target: 'create', name: 'theirs', cpus: [6], memoryBytes: 512 * MIB }]);
    const { part: web, directory } = part('web');
    await expect(web.take(launch(directory, [3]), never)).rejects.toMatchObject({ code: 'unavailable' });
    // What is free is there for who asks for nothing in particular.
    const free = { directory, cpus: 1, memoryBytes: 128 * MIB, placement: undefined };
    expect((await web.take(free, never)).cpus).toEqual([8]);
    await expect(part('more').part.take({ ...free, directory: part('more').directory }, never)).rejects.toThrow(
      /0 free CPUs/,
    );
    await web.giveBack(directory);
    const large = { ...free, memoryBytes: 900 * MIB };
    await expect(web.take(large, never)).rejects.toMatchObject({
      message: expect.stringContaining('in one piece'),
      hint: expect.stringContaining('two kernels of 8 GiB do not fit 16 GiB'),
    });
    const left = await emulator.state();
    expect(left).toMatchObject({ poolCpus: [6, 8], instances: [{ name: 'theirs' }] });
    await files.apply([
      { target: 'remove', name: 'theirs' },
      { target: 'pool', removeCpus: [6, 8], removeMemory: left.chunks },
    ]);
  });

  it('is never unloaded while it runs', async () => {
    const { part: web, directory } = part('web');
    const { id } = await web.take(launch(directory, [1]), never);
    await web.instance.load(id!, image());
    await web.instance.boot(id!);
    await web.instance.unload(id!);
    expect(await emulator.state()).toMatchObject({
      instances: [{ status: 'active', image: { commandLine: 'quiet' } }],
    });
    await web.giveBack(directory);
  });

  it('keeps what it has once the host kernel says that it failed', async () => {
    const { part: web, directory } = part('web');
    const { id } = await web.take(launch(directory, [1]), never);
    await web.instance.load(id!, image());
    await web.instance.boot(id!);
    await emulator.ends(id!, 'failed');
    await expect(web.giveBack(directory)).rejects.toMatchObject({ message: expect.stringContaining('has failed') });
    expect(await emulator.state()).toMatchObject({ poolCpus: [2], instances: [{ cpus: [2], status: 'failed' }] });
    await emulator.ends(id!, 'loaded');
    await web.giveBack(directory);
  });

  it('is told to be signed where the machine loads nothing else', async () => {
    const { part: web, directory } = part('web');
    const { id } = await web.take(launch(directory, [1]), never);
    const load = () => Promise.reject(Object.assign(new Error(), { errno: 'EKEYREJECTED' }));
    const strict = { ...emulator.host, calls: { ...emulator.host.calls, load } };
    await expect(new MachinePart(strict, 'web', home).instance.load(id!, image())).rejects.toMatchObject({
      code: 'unavailable',
      hint: expect.stringContaining('pk image sign'),
    });
    await web.giveBack(directory);
  });

  it('holds up nothing else while the kernel takes its time', async () => {
    await files.baseline({ cpus: [2], memory: [{ bytes: 64 * MIB, node: 0 }] });
    await files.apply([{ target: 'pool', removeCpus: [2] }]);
    const removeMemory = files.pool().chunks;
    emulator.freeze(true);
    let ended = false;
    const change = files.apply([{ target: 'pool', removeMemory }]).finally(() => {
      ended = true;
    });
    // Who waits for it here hangs until this lets it go on, and sees that it has ended.
    const guard = spawn('sh', ['-c', 'sleep 20; kill -CONT "$0"', String(emulator.pid)]);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    guard.kill();
    expect(ended).toBe(false);
    emulator.freeze(false);
    await change;
    expect(files.pool().exists).toBe(false);
  });

  it('is not taken for more than the kernel can give', async () => {
    const { part: web, directory } = part('web');
    // The CPU that boots the machine stays, and it has no such memory.
    await expect(web.take(launch(directory, [0]), never)).rejects.toMatchObject({ code: 'unavailable' });
    await web.giveBack(directory);
    await expect(web.take(launch(directory, [1], 64 * 1024 * MIB), never)).rejects.toMatchObject({
      code: 'unavailable',
    });
    await web.giveBack(directory);
    await expect(web.take(launch(directory, [77]), never)).rejects.toMatchObject({ code: 'invalid', value: 77 });
    expect(await emulator.state()).toMatchObject(WHOLE);
  });

  it('hands over more than a page in several transactions', async () => {
    const blob = encode(baselineTree({ cpus: [2], memory: [{ bytes: 64 * MIB, node: 0 }] }));
    writeFileSync(join(emulator.host.root, 'device_tree'), blob, { flag: 'r+' });
    const removals = Array.from({ length: 100 }, (_, index) => ({ target: 'remove', name: `x${index}` }) as const);
    expect(overlays(removals).length).toBeGreaterThan(1);
    // The first is refused, as there is no such instance: none after it is written.
    const before = readdirSync(join(emulator.host.root, 'overlays')).length;
    await expect(files.apply(removals)).rejects.toThrow(/transaction \d+ is failed/);
    expect(readdirSync(join(emulator.host.root, 'overlays'))).toHaveLength(before + 1);
    await files.apply([{ target: 'pool', removeCpus: [2], removeMemory: files.pool().chunks }]);
  });
});

// For the reason above, here and below.
describe.skipIf(!canServe())('on the model of one whose trees look like later ones', () => {
  onMachine(OTHERWISE, { format: 'first' });

  it('takes nothing of it', async () => {
    expect(await new MultikernelDriver({ host: emulator.host, cache: home }).probe()).toMatchObject({
      available: true,
    });
    const { part: web, directory } = part('web');
    await expect(web.take(launch(directory, [1]), never)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('ENODEV'),
    });
    await web.giveBack(directory);
  });
});

describe.skipIf(!canServe())('on the model of one that has given out its ids', () => {
  onMachine(AS_READ, { firstId: 2048 });

  it('makes no instance that cannot be loaded', async () => {
    const { part: web, directory } = part('web');
    await expect(web.take(launch(directory, [1]), never)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('2048'),
    });
    expect((await emulator.state()).instances).toEqual([]);
    await web.giveBack(directory);
  });
});

describe.skipIf(!canServe())('on the model of a kernel before August 2026', () => {
  onMachine(AS_READ, { format: 'first' });

  it('says that it needs a later one', async () => {
    const driver = new MultikernelDriver({ host: emulator.host, cache: home });
    expect(await driver.probe()).toMatchObject({ available: false, reason: expect.stringContaining('August 2026') });
  });
});

describe.skipIf(!canServe()).each([
  ['as its sources were read', AS_READ],
  ['otherwise', OTHERWISE],
])('with the kernel %s', (_, switches) => {
  onMachine(switches);

  it('knows its own transactions among those of others, and what became of them', async () => {
    await files.baseline({ cpus: [2, 4], memory: [{ bytes: 256 * MIB, node: 0 }] });
    await emulator.faults({ foreign: 1 });
    await files.apply([{ target: 'create', name: 'web', cpus: [2], memoryBytes: 64 * MIB }]);
    // That of somebody else after it was applied.
    const reason = switches.reasonFile
      ? /^transaction \d+ is failed: ENOENT$/
      : /is failed; the kernel log has the reason$/;
    await expect(files.apply([{ target: 'remove', name: 'nobody' }])).rejects.toThrow(reason);
    await emulator.faults({});
    const { chunks } = files.pool();
    await files.apply([
      { target: 'remove', name: 'web' },
      { target: 'pool', removeCpus: [2, 4], removeMemory: chunks },
    ]);
  });

  it('reads trees until they are whole', async () => {
    await emulator.faults({ tear: 2 });
    for (let read = 0; read < 30; read++) expect(files.pool().cpus).toHaveLength(MACHINE.cpus.length);
    await emulator.faults({ tear: 1 });
    expect(() => files.pool()).toThrow(/cannot be read/);
    await emulator.faults({});
  });

  it('can be loaded anew after a load that failed', async () => {
    const { part: web, directory } = part('web');
    await emulator.faults({ load: 1 });
    const { id } = await web.take(launch(directory, [1]), never);
    await expect(web.instance.load(id!, image())).rejects.toMatchObject({ code: 'internal' });
    await emulator.faults({});
    // Whatever it has left, it is gone with its instance.
    await web.giveBack(directory);
    const again = await web.take(launch(directory, [1]), never);
    await web.instance.load(again.id!, image());
    expect(web.instance.status).toBe('loaded');
    await web.giveBack(directory);
  });

  it('gets over a change that is done in part', async () => {
    const { part: web, directory } = part('web');
    await emulator.faults({ item: 2, write: 4 }, 7);
    await web.take(launch(directory, [1, 2]), never);
    await web.instance.setCpus([2]);
    await emulator.faults({});
    expect(web.instance.cpus()).toEqual([2]);
    await web.giveBack(directory);
  });

  it(
    `${OPERATIONS} operations by chance with faults end with books and kernel agreeing`,
    async () => {
      const random = numbers(20_261_128);
      const pick = <Item>(items: readonly Item[]): Item => items[random() % items.length]!;
      const slots = [
        { name: 'a', cpus: [1, 2] },
        { name: 'b', cpus: [3, 4, 5] },
        { name: 'c', cpus: [6] },
      ].map((slot) => ({ ...slot, ...part(slot.name), id: undefined as number | undefined, running: false }));
      const loaded = image();
      const faults: Faults = {
        write: 30,
        item: 12,
        reserve: 10,
        load: 8,
        unload: 6,
        boot: 6,
        halt: 3,
        tear: 10,
        offline: 4,
        elsewhere: 9,
      };
      await emulator.faults(faults, 1);
      for (let operation = 0; operation < OPERATIONS; operation++) {
        const slot = pick(slots);
        try {
          if (slot.id === undefined) {
            const devices = [{ address: `0000:09:00.${1 + (random() % 3)}`, group: null, name: null }];
            const wanted = { ...launch(slot.directory, slot.cpus), ...(random() % 2 === 0 && { devices }) };
            slot.id = (await slot.part.take(wanted, never)).id!;
            await slot.part.instance.load(slot.id, loaded);
            await slot.part.instance.boot(slot.id);
            slot.running = true;
          } else {
            const what = pick(['halt', 'ends', 'move', 'memory', 'give back', 'forget']);
            if (what === 'halt') await slot.part.instance.halt(slot.id, 1000);
            if (what === 'ends') await emulator.ends(slot.id);
            if (what === 'move') {
              const [first, ...rest] = slot.part.cpus.physical(slot.cpus);
              await slot.part.instance.setCpus([first!, ...rest.slice(0, random() % (rest.length + 1))]);
            }
            if (what === 'memory') await slot.part.memory.resize((256 + 128 * (random() % 4)) * MIB, BLOCKS);
            // Another process takes over what it finds.
            if (what === 'forget') Object.assign(slot, part(slot.name));
            if (what === 'give back') {
              await slot.part.giveBack(slot.directory);
              Object.assign(slot, { id: undefined, running: false });
            }
          }
        } catch (error) {
          // Whatever was refused says so, and can be given back, now or later.
          expect(error).toBeInstanceOf(PolykernelError);
          await slot.part.giveBack(slot.directory).then(
            () => Object.assign(slot, { id: undefined, running: false }),
            () => {},
          );
        }
        const now = await emulator.state();
        const owners = now.instances.flatMap(({ cpus }) => cpus);
        expect(new Set(owners).size).toBe(owners.length);
        const functions = now.instances.flatMap((each) => each.functions);
        expect(new Set(functions).size).toBe(functions.length);
        expect(agree(now).filter((line) => !/not booked/.test(line))).toEqual([]);
        for (const { name, cpus } of now.instances) {
          const slot = slots.find((each) => each.name === name)!;
          for (const cpu of cpus) expect(slot.part.cpus.physical(slot.cpus)).toContain(cpu);
        }
      }
      await emulator.faults({});
      for (const { part: each, directory } of slots) await each.giveBack(directory);
      // Most faults are got over; what never comes off is refused, of which there is always some.
      await emulator.faults({ load: 1 });
      await expect(slots[0]!.part.take(launch(slots[0]!.directory, [1]), never)).resolves.toMatchObject({ id: 1 });
      await expect(slots[0]!.part.instance.load(1, loaded)).rejects.toMatchObject({ code: 'internal' });
      await emulator.faults({});
      await slots[0]!.part.giveBack(slots[0]!.directory);
    },
    60_000 + 1000 * OPERATIONS,
  );
});

/** Of a linear congruence: the same each time. */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 8;
  };
}
