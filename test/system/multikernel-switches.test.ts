/**
 * The driver on the model of the host kernel's interface, either way where nobody has seen it run (test/support/multikernel/switches.ts), and
 * operations by chance with faults at each interaction. More of these with POLYKERNEL_OPERATIONS=1000.
 */
import { describe, expect, it } from 'vitest';
import { PolykernelError } from '../../src/sys/errors.ts';
import {
  agree,
  BLOCKS,
  emulator,
  files,
  image,
  launch,
  MIB,
  never,
  onMachine,
  part,
} from '../support/multikernel/on-machine.ts';
import { AS_READ, type Faults, MACHINE, OTHERWISE } from '../support/multikernel/switches.ts';
import { canServe } from '../support/silent-mount.ts';

const OPERATIONS = Number(process.env.POLYKERNEL_OPERATIONS ?? 50);

// The model is a file system of its own: without /dev/fuse, or the right to mount one, there is none.
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
      // Of nobody, and for whom they come to.
      const spare = [7, 8];
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
            const record = await slot.part.take(wanted, never);
            slot.id = record.id!;
            await slot.part.instance.load(slot.id, loaded);
            await slot.part.boot(slot.directory, record, spare);
            slot.running = true;
          } else {
            const what = pick(['halt', 'ends', 'move', 'memory', 'give back', 'forget']);
            if (what === 'halt') await slot.part.instance.halt(slot.id, 1000);
            if (what === 'ends') await emulator.ends(slot.id);
            if (what === 'move') {
              const taken = (await emulator.state()).instances.filter(({ name }) => name !== slot.name);
              const [first, ...rest] = slot.part.cpus.physical([...slot.cpus, ...spare]);
              const free = rest.filter((cpu) => !taken.some(({ cpus }) => cpus.includes(cpu)) && random() % 2 === 0);
              await slot.part.setCpus([first!, ...free]);
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
          for (const cpu of cpus) expect(slot.part.cpus.physical([...slot.cpus, ...spare])).toContain(cpu);
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
