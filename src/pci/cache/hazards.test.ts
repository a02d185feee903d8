/** What goes wrong in caches of configuration spaces, each with what holds it off here. Each fails without its defence. */
import { describe, expect, it } from 'vitest';
import { AT, ModelBus, physicalImage } from '../../../test/support/pci-bus.ts';
import { expressBody, image } from '../../../test/support/pci-images.ts';
import { BOUND_MS, BRIDGE, machine, readsOf } from '../../../test/support/pci-machine.ts';
import { CachedBus } from './bus.ts';

describe('1: writes over bytes of which some may not be kept', () => {
  it('a dword over Device Control and Status drops the control', () => {
    const { pf } = machine();
    expect(pf.read(AT.express + 8, 2)).toBe(0x2910);
    pf.write(AT.express + 8, 4, 0x0001_0020);
    expect(pf.read(AT.express + 8, 2)).toBe(0x0020);
  });

  it('and so does a byte of it, and one that reaches into it', () => {
    const { pf, model } = machine();
    pf.read(AT.msi + 4, 4);
    pf.write(AT.msi + 5, 1, 0x77);
    expect(pf.read(AT.msi + 4, 4)).toBe(0x7700);
    pf.write(AT.msi + 4, 1, 0x11);
    expect([pf.read(AT.msi + 4, 4), model.pf.answer(AT.msi + 4, 4)]).toEqual([0x7711, 0x7711]);
  });
});

describe('2: readers in between', () => {
  it('who reads while a write is under way does not leave the old value', () => {
    const { pf, model } = machine();
    pf.read(AT.msi + 4, 4);
    model.pf.hooks.beforeWrite = () => pf.read(AT.msi + 4, 4);
    pf.write(AT.msi + 4, 4, 0x1234_5670);
    expect(pf.read(AT.msi + 4, 4)).toBe(0x1234_5670);
  });

  it('a read that was under way while another wrote is not kept', () => {
    const { pf, model } = machine();
    pf.layout();
    let once = true;
    const under = model.pf.read.bind(model.pf);
    model.pf.read = (offset, width) => {
      const value = under(offset, width);
      if (once && offset === AT.msi + 8) {
        once = false;
        pf.write(AT.msi + 8, 4, 7);
      }
      return value;
    };
    expect(pf.read(AT.msi + 8, 4)).toBe(0);
    expect(pf.read(AT.msi + 8, 4)).toBe(7);
  });
});

describe('3: what is written here shows there', () => {
  it('another number of virtual functions, or another hierarchy, moves them', () => {
    const { pf } = machine();
    expect([pf.read(AT.sriov + 0x14, 2), pf.read(AT.sriov + 0x16, 2)]).toEqual([1, 1]);
    pf.write(AT.sriov + 8, 2, 1);
    expect([pf.read(AT.sriov + 0x14, 2), pf.read(AT.sriov + 0x16, 2)]).toEqual([0x80, 2]);
    pf.write(AT.sriov + 0x10, 2, 3);
    expect([pf.read(AT.sriov + 0x14, 2), pf.read(AT.sriov + 0x16, 2)]).toEqual([0x80, 3]);
  });

  it('the size of pages changes the addresses of virtual functions, that of a BAR its bits', () => {
    const { pf } = machine();
    expect([pf.read(AT.sriov + 0x24, 4), pf.read(0x10, 4)]).toEqual([4, 0]);
    pf.write(AT.sriov + 0x20, 4, 0x10);
    expect(pf.read(AT.sriov + 0x24, 4)).toBe(0x10101010);
    pf.write(AT.rebar + 9, 1, 0x20);
    expect(pf.read(0x10, 4)).toBe(0x20202020);
  });

  it('a physical function that is reset has no virtual ones any more', () => {
    const { pf, vf } = machine();
    expect(vf.read(AT.msix, 1)).toBe(0x11);
    pf.write(AT.express + 8, 2, 0x8000);
    expect(vf.read(AT.msix, 1)).toBe(0xff);
  });

  it('nor has one that takes them away', () => {
    const { pf, vf } = machine();
    vf.read(AT.msix, 1);
    pf.write(AT.sriov + 8, 2, 0);
    expect(vf.read(AT.msix, 1)).toBe(0xff);
  });

  it('the number of interrupts of a virtual function is changed from the physical one', () => {
    const { vf, model } = machine();
    expect(vf.read(AT.msix + 2, 2)).toBe(7);
    model.vf.set(AT.msix + 2, 31);
    vf.note('vectors');
    expect(vf.read(AT.msix + 2, 2)).toBe(31);
  });

  it('the clock of the link changes its latencies, those that virtual functions show as well', () => {
    const { pf, vf, model } = machine();
    const at = AT.express + 0x0c;
    expect([pf.read(at, 4), vf.read(at, 4)]).toEqual([0, 0]);
    pf.write(AT.express + 0x10, 2, 0x40);
    for (const each of [model.pf, model.vf]) each.set(at + 1, 0x30);
    expect([pf.read(at, 4), vf.read(at, 4)]).toEqual([0x3000, 0x3000]);
    // Of a virtual function it is not its own: writing it does nothing.
    vf.write(AT.express + 0x10, 2, 0);
    expect(readsOf(model.vf, () => vf.read(at, 4))).toBe(0);
  });

  it.each([
    ['MSI', 0x05, [0, 0]],
    ['MSI-X', 0x11, [0, 0]],
  ])('how many messages %s may send changes the numbers of a port’s interrupts', (_, id, control) => {
    const bus = new ModelBus();
    const messages = { id, body: [...control, ...Array(8).fill(0)] };
    const express = { id: 0x10, body: expressBody(4) };
    const containment = { id: 0x1d, body: Array(12).fill(0) };
    const bytes = image({ type: 1, standard: [messages, express], extended: [containment] });
    const model = bus.add(BRIDGE, bytes);
    const cached = new CachedBus({ boundMs: BOUND_MS, now: () => bus.now }).add(model);
    cached.owned = true;
    const numbers = () => [cached.read(0x4e, 2), cached.read(0x104, 2)];
    expect(numbers()).toEqual([0x142, 0]);
    cached.write(0x42, 2, 0x8011);
    model.set(0x4f, 0x05);
    model.set(0x104, 2);
    expect(numbers()).toEqual([0x542, 2]);
    expect(readsOf(model, numbers)).toBe(0);
  });

  it('resetting the bus below a bridge resets what is there', () => {
    const { bridge, pf } = machine();
    pf.write(AT.msi + 4, 4, 0xaa);
    expect(pf.read(AT.msi + 4, 4)).toBe(0xaa);
    bridge.write(0x3e, 2, 0x40);
    bridge.write(0x3e, 2, 0);
    expect(pf.read(AT.msi + 4, 4)).not.toBe(0xaa);
  });
});

describe('4: all ones', () => {
  it('are no value: the next read asks again', () => {
    const { pf, model } = machine();
    pf.layout();
    model.pf.deaf = 1;
    expect(pf.read(AT.msi + 4, 4)).toBe(0xffffffff);
    expect(pf.read(AT.msi + 4, 4)).toBe(0);
  });

  it('nor is a layout made of them, nor a device that is not ready yet', () => {
    const { pf, model } = machine();
    model.pf.deaf = 1;
    expect(pf.layout()).toBeUndefined();
    expect(pf.layout()?.capabilities.length).toBeGreaterThan(5);
    pf.forgetAll();
    const under = model.pf.read.bind(model.pf);
    model.pf.read = (offset, width) => (offset === 0 ? 0xffff0001 : under(offset, width));
    pf.read(0, 4);
    model.pf.read = under;
    expect(pf.read(0, 4)).toBe(0x15218086);
  });

  it('but they are the ids of a virtual function, which needs no hardware for them', () => {
    const { vf, model } = machine();
    vf.layout();
    expect(readsOf(model.vf, () => expect(vf.read(0, 4)).toBe(0xffffffff))).toBe(0);
  });
});

describe('5: resets and power', () => {
  it('after a reset nothing that was written is known: who restores it writes it', () => {
    const { pf, model } = machine();
    pf.write(AT.msi + 4, 4, 0x55);
    expect(pf.read(AT.msi + 4, 4)).toBe(0x55);
    model.pf.reset();
    pf.note('reset');
    expect(pf.read(AT.msi + 4, 4)).toBe(0);
  });

  it('what is constant is served again only once the function is proved to be the same', () => {
    const { pf, model } = machine();
    pf.read(AT.msix + 4, 4);
    pf.note('reset');
    model.pf.deaf = 1;
    // In reset: not from memory.
    expect(pf.read(AT.msix + 4, 4)).toBe(0x2000);
    expect(readsOf(model.pf, () => pf.read(AT.msix + 4, 4))).toBeGreaterThan(0);
    expect(readsOf(model.pf, () => pf.read(AT.msix + 4, 4))).toBe(0);
  });

  it('of another device nothing is', () => {
    const { pf, model } = machine();
    pf.read(AT.msix + 4, 4);
    const other = physicalImage();
    other.set([0x22], 2);
    other.set([0x40], AT.msix + 5);
    model.pf.replace(other);
    pf.note('reset');
    expect(pf.read(AT.msix + 4, 4)).toBe(0x4000);
  });

  it('a function that leaves D3hot without No_Soft_Reset was reset', () => {
    const { pf } = machine();
    pf.write(AT.msi + 4, 4, 0x55);
    pf.write(AT.pm + 4, 2, 3);
    expect(pf.read(AT.msi + 4, 4)).toBe(0x55);
    pf.write(AT.pm + 4, 2, 0);
    for (let tries = 0; tries < 4; tries++) pf.read(0, 4);
    expect(pf.read(AT.msi + 4, 4)).toBe(0);
  });
});

describe('5b: power without a reset, and writes that change nothing', () => {
  it('what was written is known after D3hot with No_Soft_Reset, and a write of the same is no change', () => {
    const { vf, model } = machine();
    vf.write(AT.msi + 4, 4, 0x55);
    vf.read(AT.msi + 4, 4);
    vf.write(AT.pm + 4, 2, 3);
    vf.write(AT.pm + 4, 2, 0);
    vf.write(AT.msi + 4, 4, 0x55);
    expect(readsOf(model.vf, () => expect(vf.read(AT.msi + 4, 4)).toBe(0x55))).toBe(0);
    // Of bytes that differ each is forgotten, and no other.
    vf.write(AT.msi + 4, 4, 0x7755);
    expect(readsOf(model.vf, () => expect(vf.read(AT.msi + 4, 1)).toBe(0x55))).toBe(0);
    expect(readsOf(model.vf, () => expect(vf.read(AT.msi + 4, 4)).toBe(0x7755))).toBe(1);
  });

  it('but not if it was without power in D3, or leaves a state in which others have put it', () => {
    const { vf, model } = machine();
    vf.write(AT.msi + 4, 4, 0x55);
    vf.read(AT.msi + 4, 4);
    vf.write(AT.pm + 4, 2, 3);
    model.vf.reset();
    vf.write(AT.pm + 4, 2, 0);
    expect(vf.read(AT.msi + 4, 4)).toBe(0);
    vf.write(AT.msi + 4, 4, 0x66);
    vf.read(AT.msi + 4, 4);
    model.vf.reset();
    model.vf.writeBehind(AT.pm + 4, 3);
    vf.write(AT.pm + 4, 2, 0);
    expect(vf.read(AT.msi + 4, 4)).toBe(0);
  });

  it('a write of what only was so before a reset is asked for anew', () => {
    const { vf, model } = machine();
    vf.write(AT.msi + 4, 4, 0x55);
    vf.read(AT.msi + 4, 4);
    vf.write(AT.express + 9, 1, 0x80);
    vf.write(AT.msi + 4, 4, 0x55);
    for (let tries = 0; tries < 4; tries++) vf.read(0x2c, 4);
    expect(vf.read(AT.msi + 4, 4)).toBe(model.vf.answer(AT.msi + 4, 4));
  });
});

describe('6: what is not there yet, and bridges', () => {
  it('all that is known is known from the first read: finding out what there is is cached itself', () => {
    const { pf, model } = machine();
    const first = readsOf(model.pf, () => pf.decode({ registers: true }));
    const dwords = new Set<number>();
    const under = model.pf.read.bind(model.pf);
    model.pf.read = (offset, width) => {
      dwords.add(offset & ~3);
      return under(offset, width);
    };
    pf.forgetAll();
    pf.decode({ registers: true });
    // Status is asked for twice: one bit of it says that there is a list.
    expect(first).toBe(dwords.size + 1);
  });

  it('a bridge has a cache like all others', () => {
    const { bridge, model } = machine();
    bridge.read(AT.express + 4, 4);
    expect(readsOf(model.bridge, () => bridge.read(AT.express + 4, 4))).toBe(0);
  });
});

describe('7: others write as well', () => {
  it('what they may have written is at most as old as the bound', () => {
    const { pf, model, bus } = machine(false);
    pf.read(AT.msi + 4, 4);
    model.pf.writeBehind(AT.msi + 4, 0x40);
    bus.now += BOUND_MS;
    expect(pf.read(AT.msi + 4, 4)).toBe(0x40);
  });

  it('and what was known before somebody owned it is not believed after', () => {
    const { pf, model } = machine(false);
    pf.read(AT.msi + 4, 4);
    model.pf.writeBehind(AT.msi + 4, 0x40);
    pf.owned = true;
    expect(pf.read(AT.msi + 4, 4)).toBe(0x40);
  });

  it('another driver, or another device in its place, shows without a word', () => {
    const { pf, model, bus } = machine();
    pf.read(AT.msi + 4, 4);
    model.pf.writeBehind(AT.msi + 4, 0x40);
    model.pf.setState('vfio-pci D0');
    bus.now += BOUND_MS;
    expect(pf.read(AT.msi + 4, 4)).toBe(0x40);
    pf.read(AT.msix + 4, 4);
    const other = physicalImage();
    other.set([0x40], AT.msix + 5);
    model.pf.replace(other);
    bus.now += BOUND_MS;
    expect(pf.read(AT.msix + 4, 4)).toBe(0x4000);
  });
});

describe('never kept', () => {
  it.each([
    ['status', 0x06, 2],
    ['BIST', 0x0f, 1],
    ['the state of power', AT.pm + 4, 2],
    ['the address of VPD, which the device flips', AT.vpd + 2, 2],
    ['data of VPD', AT.vpd + 4, 4],
    ['pending bits of MSI', AT.msi + 0x14, 4],
    ['what a vendor has', AT.vendor + 4, 4],
    ['device status', AT.express + 0x0a, 2],
    ['link status', AT.express + 0x12, 2],
    ['status of errors', AT.aer + 4, 4],
    ['their log', AT.aer + 0x1c, 4],
    ['status of DOE', AT.doe + 0x0c, 4],
    ['the mailbox of DOE', AT.doe + 0x14, 4],
  ] as const)('%s', (_, offset, width) => {
    const { pf, model } = machine();
    pf.read(offset, width);
    model.pf.set(offset, 0x3c);
    expect(pf.read(offset, width)! & 0xff).toBe(0x3c);
  });
});
