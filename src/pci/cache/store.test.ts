import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AT, ModelBus, physicalImage } from '../../../test/support/pci-bus.ts';
import { expressBody, image } from '../../../test/support/pci-images.ts';
import { openConfigSpace } from '../open.ts';
import type { CachedFunction } from './function.ts';
import { decodeStore, encodeStore, readStore, STORE_VERSION } from './store.ts';

let directory: string;
let store: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-pci-'));
  store = join(directory, 'pci-cache');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const PF = '0000:01:00.0';

function machine() {
  const bus = new ModelBus();
  const model = bus.addPhysical(PF);
  bus.addVirtual('0000:01:00.1', PF);
  /** A process that makes an inventory, and what that cost. */
  const look = (boot = 'boot 1') => {
    const before = bus.reads;
    const space = openConfigSpace({ place: bus.place(), store, boot, now: () => bus.now });
    const texts = space
      .addresses()
      .map((address) => JSON.stringify(space.function(address).decode({ registers: true })));
    const { constantReads, restored } = space.statistics();
    space.close();
    return { texts, reads: bus.reads - before, constantReads, restored };
  };
  return { bus, model, look };
}

describe('a second process', () => {
  it('asks for nothing that is constant, and says the same', () => {
    const { look } = machine();
    const first = look();
    const second = look();
    expect(second.texts).toEqual(first.texts);
    expect([second.restored, second.constantReads - first.constantReads]).toEqual([2, 0]);
    // What can be written, and what the device changes, is asked for again.
    expect(second.reads).toBeLessThan(0.7 * first.reads);
  });

  it.each([
    ['in another boot', ({ look }: ReturnType<typeof machine>) => look('boot 2')],
    [
      'of another driver',
      ({ look, bus }: ReturnType<typeof machine>) => {
        for (const model of bus.functions.values()) model.setState('vfio-pci D0');
        return look();
      },
    ],
  ])('asks for all %s', (_, then) => {
    const here = machine();
    const first = here.look();
    expect(then(here).reads).toBe(first.reads);
  });

  it('sees another device in the place of the first', () => {
    const { look, model } = machine();
    look();
    const other = physicalImage();
    other.set([0x40], AT.msix + 5);
    model.replace(other);
    expect(look().texts[0]).toContain('"offset":"00004000"');
  });
});

describe('a third process', () => {
  /** A process that does `act` to each function, with the file of the others. */
  const visit = (bus: ModelBus, act: (each: CachedFunction) => unknown) => {
    const space = openConfigSpace({ place: bus.place(), store, boot: 'boot 1', now: () => bus.now });
    const before = space.statistics().constantReads;
    const said = space.addresses().map((address) => JSON.stringify(act(space.function(address))));
    const constantReads = space.statistics().constantReads - before;
    space.close();
    return { said, constantReads };
  };
  const whole = (each: CachedFunction) => each.decode({ registers: true });

  it('has what the second found beside what the first had', () => {
    const { bus } = machine();
    visit(bus, (each) => each.layout()?.headerType);
    const second = visit(bus, whole);
    expect(second.constantReads).toBeGreaterThan(0);
    expect(visit(bus, whole)).toEqual({ said: second.said, constantReads: 0 });
  });

  it('has nothing of what a reset changed under the second', () => {
    const { bus, model } = machine();
    visit(bus, whole);
    const other = physicalImage();
    other.set([0x40], AT.msix + 5);
    const second = visit(bus, (each) => {
      each.decode();
      if (each.address === PF) model.replace(other);
      each.note('removed');
      return whole(each);
    });
    expect(second.said[0]).toContain('"offset":"00004000"');
    expect(visit(bus, whole).said).toEqual(second.said);
  });

  it('is told of twins once: what is constant is there once, and their layout is found out once', () => {
    const bus = new ModelBus();
    const msix = { id: 0x11, body: [0, 0, 0, 0x20, 0, 0, 0, 0x30, 0, 0] };
    for (let index = 0; index < 6; index++)
      bus.add(
        `0000:01:00.${index}`,
        image({ standard: [msix, { id: 0x10, body: expressBody() }], extended: [{ id: 0x0e, body: [0, 2, 0, 0] }] }),
      );
    const first = visit(bus, whole);
    const { functions } = readStore(store, 'boot 1');
    expect(new Set([...functions.values()].map(({ constants }) => constants)).size).toBe(1);
    const before = bus.reads;
    const layouts = new Set<unknown>();
    visit(bus, (each) => void layouts.add(each.layout()));
    expect([bus.reads - before, layouts.size]).toEqual([0, 1]);
    expect(visit(bus, whole).said).toEqual(first.said);
  });
});

describe('the file', () => {
  it('is the owner’s, and is not believed when others can write it, or when it is a link', () => {
    machine().look();
    expect(statSync(store).mode & 0o777).toBe(0o600);
    expect(readStore(store, 'boot 1').functions.size).toBe(2);
    chmodSync(store, 0o622);
    expect(readStore(store, 'boot 1').functions.size).toBe(0);
    chmodSync(store, 0o600);
    symlinkSync(store, `${store}.link`);
    expect(readStore(directory, 'boot 1').functions.size).toBe(0);
  });

  it('is dropped when any byte of it is another one, or some are missing', () => {
    machine().look();
    const bytes = readFileSync(store);
    for (let at = 0; at < bytes.length; at += 37) {
      const wrong = Buffer.from(bytes);
      wrong[at]! ^= 1;
      expect(decodeStore(wrong.toString('utf8'), 'boot 1'), `byte ${at}`).toBeUndefined();
    }
    writeFileSync(store, bytes.subarray(0, bytes.length / 2));
    expect(readStore(store, 'boot 1').functions.size).toBe(0);
  });

  it('is dropped when it is of another form, though whole', () => {
    machine().look();
    const stored = readStore(store, 'boot 1');
    expect(decodeStore(encodeStore(stored, 'boot 1'), 'boot 1')).toEqual(stored);
    const row = [...stored.functions][0]!;
    const { signal, constants } = row[1];
    const made = (changed: object) =>
      encodeStore(
        { ...stored, functions: new Map([[row[0], { signal, constants: { ...constants, ...changed }, ...changed }]]) },
        'boot 1',
      );
    const runs = [{ offset: 4090, bytes: new Uint8Array(8) }];
    const backwards = [8, 4].map((offset) => ({ offset, bytes: new Uint8Array(4) }));
    for (const wrong of [{ runs }, { runs: backwards }, { hasList: 1 }, { signal: { device: 1, state: '' } }])
      expect(decodeStore(made(wrong), 'boot 1')).toBeUndefined();
    // Where its constants stand is a number of theirs, and nothing else that a list has.
    const whole = encodeStore(stored, 'boot 1').split('\n')[1]!;
    const decoded = (body: string) => {
      const digest = createHash('sha256').update(body).digest('hex');
      return decodeStore(`${STORE_VERSION} ${digest}\n${body}`, 'boot 1');
    };
    expect(decoded(whole)).toEqual(stored);
    for (const place of ['"length"', '"map"', '9', '-1', '0.5', 'null']) {
      const body = whole.replace(/(D0",)\d+,/, `$1${place},`);
      expect(body).toContain(`D0",${place},`);
      expect(decoded(body), place).toBeUndefined();
    }
    // Functions are named once each, with what they are.
    const [named] = /\["0000[^\]]*\]/.exec(whole)!;
    for (const other of [
      '"0000:01:00.0"',
      named.replace(']', ',"0000:01:00.5"]'),
      named.replace(']', `,${named.slice(1)}`),
    ])
      expect(decoded(whole.replace(named, other)), other).toBeUndefined();
  });
});

it('verify finds what is not true any more, and forgets it', () => {
  const bus = new ModelBus();
  const model = bus.addPhysical(PF);
  const space = openConfigSpace({ place: bus.place(), now: () => bus.now });
  space.function(PF).decode({ registers: true });
  expect(space.verify(1)).toMatchObject({ wrong: [] });
  // A constant that changes behind everybody's back, as firmware of some devices does.
  model.set(AT.msix + 5, 0x40);
  const { compared, wrong } = space.verify(1);
  expect(compared).toBeGreaterThan(20);
  expect(wrong).toEqual([{ address: PF, offset: AT.msix + 4, known: 0x2000, seen: 0x4000 }]);
  expect(space.function(PF).read(AT.msix + 4, 4)).toBe(0x4000);
});
