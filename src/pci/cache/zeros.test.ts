/** What is known by the specification, and kept for as long as the function keeps to it. Each fails without its defence. */
import { describe, expect, it } from 'vitest';
import { AT } from '../../../test/support/pci-bus.ts';
import { BOUND_MS, machine, readsOf } from '../../../test/support/pci-machine.ts';
import { CLASS_S } from '../layout.ts';

describe('zero by the specification', () => {
  it('BARs of a virtual function, and what an endpoint has no use for, take no transaction, also after a reset', () => {
    const { vf, model } = machine();
    vf.layout();
    const reads = () => [
      vf.read(0x10, 4),
      vf.read(0x30, 4),
      vf.read(AT.express + 0x14, 4),
      vf.read(AT.express + 0x20, 4),
    ];
    expect(readsOf(model.vf, () => expect(reads()).toEqual([0, 0, 0, 0]))).toBe(0);
    vf.write(AT.express + 8, 2, 0x8000);
    model.vf.deaf = 0;
    vf.layout();
    expect(readsOf(model.vf, reads)).toBe(0);
  });

  it('control registers of a virtual function stay known over its reset', () => {
    const { vf, model } = machine();
    expect(vf.read(AT.express + 8, 2)).toBe(0);
    vf.write(AT.express + 8, 2, 0x8000);
    model.vf.deaf = 0;
    vf.layout();
    expect(readsOf(model.vf, () => vf.read(AT.express + 8, 2))).toBe(0);
  });

  it('of a function that has something there all the same, it is never kept', () => {
    const { vf, model } = machine();
    model.vf.set(AT.express + 8, 0x10);
    expect(vf.read(AT.express + 8, 2)).toBe(0x10);
    model.vf.set(AT.express + 8, 0x20);
    expect(vf.read(AT.express + 8, 2)).toBe(0x20);
    // Nor is it known any more once another value was written: the function may have taken it.
    model.vf.set(AT.express + 8, 0);
    vf.read(AT.express + 8, 2);
    vf.write(AT.express + 8, 2, 0x30);
    model.vf.set(AT.express + 8, 0x30);
    expect(vf.read(AT.express + 8, 2)).toBe(0x30);
  });
});

describe('the link of a virtual function, which is the physical one’s', () => {
  const [STATUS, STATUS_2] = [AT.express + 0x12, AT.express + 0x32];

  it('shows nothing, and takes no transaction', () => {
    const { vf, model } = machine();
    vf.decode({ registers: true });
    const reads = () => [vf.read(STATUS, 2), vf.read(AT.express + 0x2a, 2), vf.read(STATUS_2, 2)];
    expect(readsOf(model.vf, () => expect(reads()).toEqual([0, 0, 0]))).toBe(0);
  });

  it('is never kept of one that shows it all the same, nor is the equalization of that link', () => {
    const { vf, model } = machine();
    model.vf.set(STATUS, 0x11);
    expect([vf.read(STATUS, 2), vf.read(STATUS_2, 2)]).toEqual([0x11, 0]);
    model.vf.set(STATUS, 0x12);
    model.vf.set(STATUS_2, 0x1e);
    expect([vf.read(STATUS, 2), vf.read(STATUS_2, 2)]).toEqual([0x12, 0x1e]);
  });

  it('half a register that is zero says nothing of the other half', () => {
    const { vf, model } = machine();
    model.vf.set(STATUS, 0x81);
    expect(vf.read(STATUS + 1, 1)).toBe(0);
    model.vf.set(STATUS + 1, 1);
    expect(vf.read(STATUS + 1, 1)).toBe(1);
  });

  it('is known no more once it was seen to be something else', () => {
    const { vf, model } = machine();
    expect(vf.read(STATUS, 2)).toBe(0);
    model.vf.set(STATUS, 0x11);
    vf.read(STATUS, 2, true);
    model.vf.set(STATUS, 0x12);
    expect(vf.read(STATUS, 2)).toBe(0x12);
  });
});

describe('the group of a virtual function', () => {
  const CONTROL = AT.virtualAri + 6;

  it('is zero for ever where function 0 is known to have none', () => {
    const { pf, vf, model } = machine(false);
    pf.decode({ registers: true });
    expect(vf.read(CONTROL, 2)).toBe(0);
    expect(vf.stateOf(CONTROL).class).toBe(CLASS_S);
    expect(readsOf(model.vf, () => vf.read(CONTROL, 2))).toBe(0);
  });

  it.each([
    [
      'it has some',
      ({ pf, model }: ReturnType<typeof machine>) => {
        model.pf.set(AT.ari + 4, 2);
        pf.decode({ registers: true });
      },
    ],
    ['nobody has asked it', () => undefined],
    [
      'it is gone',
      ({ model }: ReturnType<typeof machine>) => {
        model.pf.deaf = 100;
      },
    ],
  ])('is what was written last where %s', (_, act) => {
    const here = machine(false);
    act(here);
    expect(here.vf.read(CONTROL, 2)).toBe(0);
    here.model.vf.set(CONTROL, 0x10);
    here.bus.now += BOUND_MS + 1;
    expect(here.vf.read(CONTROL, 2)).toBe(0x10);
  });
});

describe('the state of power of a function that tells of no events', () => {
  it('is kept, but not for as long as the device may show the former one', () => {
    const { bus, vf, model } = machine();
    const [at, before] = [AT.pm + 4, 8];
    expect(vf.read(at, 2)).toBe(before);
    expect(readsOf(model.vf, () => vf.read(at, 2))).toBe(0);
    vf.write(at, 2, 3);
    const after = model.vf.answer(at, 2)!;
    // It still shows what it was.
    model.vf.set(at, before);
    expect(vf.read(at, 2)).toBe(before);
    model.vf.set(at, after);
    expect(vf.read(at, 2)).toBe(after);
    bus.now += 10;
    vf.read(at, 2);
    expect(readsOf(model.vf, () => vf.read(at, 2))).toBe(0);
  });
});
