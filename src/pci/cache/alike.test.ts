/** What is said of functions that are alike is what would be said of each alone. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AT, ModelBus, type ModelFunction } from '../../../test/support/pci-bus.ts';
import { addressOf, randomOf, rowImages } from '../../../test/support/pci-images.ts';
import { type Decoded, decode } from '../decode.ts';
import { readLayout } from '../layout.ts';
import { openConfigSpace } from '../open.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-pci-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Of each function of a bus, by a process that starts with what others left. */
function said(bus: ModelBus, registers = true): (Decoded | undefined)[] {
  const options = { place: bus.place(), store: join(directory, 'store'), boot: 'boot 1', now: () => bus.now };
  using space = openConfigSpace(options);
  return space.addresses().map((address) => space.function(address).decode({ registers }));
}

/** Without a cache. */
const alone = (bus: ModelBus, registers = true) =>
  [...bus.functions.values()].map((model) =>
    decode({ size: model.size, read: (offset, width) => model.answer(offset, width) }, { registers }),
  );

/** Bytes that may differ, but for heads of capabilities, and for the bit of Status that says that there are any. */
function stateOf(model: ModelFunction): number[] {
  const { header, capabilities } = readLayout({ size: model.size, read: (at, width) => model.answer(at, width) })!;
  const heads = capabilities.flatMap(({ offset }) => [0, 1, 2, 3].map((index) => offset + index));
  return [{ offset: 0, registers: header }, ...capabilities].flatMap(({ offset, registers }) =>
    registers
      .filter((register) => register.class !== 'S')
      .flatMap(({ at, bytes }) => Array.from({ length: bytes }, (_, index) => offset + at + index))
      .filter((at) => at !== 0x06 && !heads.includes(at)),
  );
}

it('of each row of the table, in whatever state', () => {
  const random = randomOf(19);
  const bus = new ModelBus();
  // Two of each: the second is told what the first was, where they are in the same state.
  const images = rowImages(5).flatMap(({ bytes }) => [bytes, bytes]);
  for (const [index, bytes] of images.entries()) bus.add(addressOf(index), bytes);
  expect(said(bus)).toEqual(alone(bus));
  for (let round = 0; round < 2; round++) {
    for (const model of bus.functions.values())
      for (const at of stateOf(model)) if (random() < 0.3) model.set(at, Math.floor(random() * 256));
    expect(said(bus)).toEqual(alone(bus));
    expect(said(bus, false)).toEqual(alone(bus, false));
  }
});

it('of virtual functions in one state it is one for all, which nobody can change', () => {
  const bus = new ModelBus();
  bus.addPhysical(addressOf(0));
  for (let index = 1; index <= 4; index++) bus.addVirtual(addressOf(index), addressOf(0));
  // One shows what it should not, and one has another state.
  bus.functions.get(addressOf(3))!.set(AT.express + 0x12, 0x11);
  bus.functions.get(addressOf(4))!.set(AT.express + 0x0a, 4);
  said(bus);
  const [, ...virtual] = said(bus);
  expect([...new Set(virtual)]).toHaveLength(3);
  expect(virtual[0]).toBe(virtual[1]);
  for (const each of virtual) expect(Object.isFrozen(each)).toBe(true);
  expect(() => ((virtual[0] as { headerType: number }).headerType = 1)).toThrow(TypeError);
  expect(said(bus)).toEqual(alone(bus));
});

it('a constant that changed all the same is seen where it stands beside what is asked for', () => {
  const bus = new ModelBus();
  for (let index = 0; index < 2; index++) bus.addPhysical(addressOf(index));
  said(bus);
  // In the dword of a control register: what is asked for is shown whole.
  bus.functions.get(addressOf(1))!.set(AT.ari + 5, 7);
  expect(said(bus)).toEqual(alone(bus));
  expect(JSON.stringify(said(bus)[1])).toContain('"Next Function":7');
});
