import { describe, expect, it } from 'vitest';
import { expressBody, image, rowImages } from '../../test/support/pci-images.ts';
import { decode } from './decode.ts';
import { CLASS_N, CLASS_S, CLASS_W, readLayout } from './layout.ts';
import { EXTENDED, STANDARD } from './rules/index.ts';
import { Image, type Source } from './source.ts';

const layoutOf = (bytes: Uint8Array) => readLayout(new Image(bytes))!;
const POWER = { id: 0x01, body: [3, 0, 0, 0, 0, 0] };
const EXPRESS = { id: 0x10, body: expressBody() };

/** Counts the dwords that are asked for. */
function counted(bytes: Uint8Array): { source: Source; asked: Set<number>; reads: () => number } {
  const under = new Image(bytes);
  const asked = new Set<number>();
  let reads = 0;
  const read: Source['read'] = (offset, width) => {
    reads += 1;
    asked.add(offset & ~3);
    return under.read(offset, width);
  };
  return { source: { size: under.size, read }, asked, reads: () => reads };
}

describe('broken chains', () => {
  it('a loop ends where it began', () => {
    const layout = layoutOf(image({ standard: [POWER, POWER], bytes: [[0x49, 0x40]] }));
    expect(layout.capabilities.map(({ offset }) => offset)).toEqual([0x40, 0x48]);
    expect(layout.problems).toEqual(['the list of capabilities loops at 0x40']);
  });

  it('a chain into the header, or to where nobody answers, ends there', () => {
    expect(layoutOf(image({ standard: [POWER], bytes: [[0x41, 0x10]] })).problems).toEqual([
      'a capability is said to lie in the header, at 0x10',
    ]);
    const silent = [0xc0, 0xc1].map((at) => [at, 0xff] as const);
    expect(layoutOf(image({ standard: [POWER], bytes: [[0x41, 0xc0], ...silent] })).problems).toEqual([
      'nothing answers at 0xc0',
    ]);
  });

  it('the low bits of pointers do not count (PCIe 7.5.1.1.11)', () => {
    const layout = layoutOf(
      image({
        standard: [POWER, EXPRESS],
        bytes: [
          [0x34, 0x43],
          [0x41, 0x4b],
        ],
      }),
    );
    expect(layout.capabilities.map(({ offset }) => offset)).toEqual([0x40, 0x48]);
    expect(layout.problems).toEqual([]);
  });

  it('extended ones loop, point into the first 256 bytes, or to nothing', () => {
    const chain = (next: number) =>
      layoutOf(
        image({
          standard: [EXPRESS],
          extended: [{ id: 3, body: Array(8).fill(1) }],
          bytes: [
            [0x102, 1 | ((next & 0xf) << 4)],
            [0x103, next >> 4],
          ],
        }),
      );
    expect(chain(0x100).problems).toEqual(['the list of extended capabilities loops at 0x100']);
    expect(chain(0x40).problems).toEqual(['an extended capability is said to lie at 0x40']);
    expect(chain(0x800).problems).toEqual(['no extended capability is where one should be, at 0x800']);
    expect(chain(0x800).capabilities).toHaveLength(2);
  });

  it('without bit 4 of Status there is no list', () => {
    expect(layoutOf(image({ standard: [POWER], bytes: [[0x06, 0]] })).capabilities).toEqual([]);
  });

  it('64 bytes, as without rights, are decoded, and it is said that there may be more', () => {
    const decoded = decode(new Image(image({ size: 256, standard: [POWER] }).subarray(0, 64)))!;
    expect(decoded.capabilities).toEqual([]);
    expect(decoded.problems.join()).toContain('without CAP_SYS_ADMIN');
  });

  it('a function that answers nothing has no layout', () => {
    expect(readLayout(new Image(new Uint8Array(256).fill(0xff)))).toBeUndefined();
  });
});

describe('what may be kept', () => {
  it('every row says what it is, and every id is there once', () => {
    for (const rows of [STANDARD, EXTENDED]) {
      expect(rows.map(({ id }) => id)).toEqual([...new Set(rows.map(({ id }) => id))].sort((a, b) => a - b));
      for (const { name, source } of rows) expect(Math.min(name.length, source.length), name).toBeGreaterThan(2);
    }
  });

  it.each(rowImages(7))(
    'header of $name is constant, what is beyond its registers is not kept',
    ({ bytes, extended }) => {
      const { classes, capabilities } = layoutOf(bytes);
      const { offset, registers } = capabilities.at(-1)!;
      const header = extended ? 4 : 2;
      expect([...classes.subarray(offset, offset + header)]).toEqual(Array(header).fill(CLASS_S));
      const end = Math.max(header, ...registers.map(({ at, bytes: length }) => at + length));
      expect(classes.subarray(offset + end).every((kind) => kind === CLASS_N)).toBe(true);
    },
  );

  it('bytes that two capabilities lay claim to are not', () => {
    // MSI of 24 bytes at 0x40, and power management said to lie within it.
    const layout = layoutOf(
      image({
        standard: [{ id: 5, body: [0x80, 1, ...Array(20).fill(0)] }],
        bytes: [
          [0x41, 0x48],
          [0x48, 1],
          [0x49, 0],
        ],
      }),
    );
    expect(layout.capabilities.map(({ id }) => id)).toEqual([5, 1]);
    for (let at = 0x48; at < 0x50; at++) expect(layout.classes[at]).toBe(CLASS_N);
    expect(layout.classes[0x44]).toBe(CLASS_W);
  });

  it('what one function may have kept another of the same registers need not', () => {
    const state = (events: number) =>
      layoutOf(image({ standard: [{ id: 1, body: [3, events, 0, 0, 0, 0] }] })).classes[0x44];
    const slot = (type: number) =>
      layoutOf(image({ standard: [{ id: 0x10, body: expressBody(type) }] })).classes[0x40 + 0x1a];
    // One that tells of power events has a status beside its state; what an endpoint has no use for is zero, of others it may be there.
    expect([state(0), state(0xf8), slot(0), slot(1)]).toEqual([CLASS_W, CLASS_N, CLASS_S, CLASS_N]);
  });

  it('PCI Express of version 1 ends with what its type has (PCIe 1.1, 7.8)', () => {
    const end = (type: number, slot: number) =>
      layoutOf(
        image({
          type: type === 0 ? 0 : 1,
          standard: [{ id: 0x10, body: [1 | (type << 4), slot, ...Array(56).fill(0)] }],
        }),
      ).capabilities[0]!.bytes;
    expect([end(0, 0), end(6, 0), end(6, 1), end(4, 1)]).toEqual([0x14, 0x14, 0x1c, 0x24]);
  });

  it('the mask of MSI lies where its shape says, the pending bits are never kept', () => {
    const at = (control: number[], offset: number) =>
      layoutOf(image({ standard: [{ id: 5, body: [...control, ...Array(20).fill(0)] }] })).classes[0x40 + offset];
    expect([at([0x00, 1], 0x0c), at([0x00, 1], 0x10), at([0x80, 1], 0x10), at([0x80, 1], 0x14)]).toEqual([
      CLASS_W,
      CLASS_N,
      CLASS_W,
      CLASS_N,
    ]);
  });
});

describe('reads', () => {
  it('only of dwords that are needed, each once', () => {
    const all = { standard: [POWER, EXPRESS], extended: [{ id: 3, body: Array(8).fill(1) }] };
    const list = counted(image(all));
    decode(list.source);
    expect(list.reads()).toBe(list.asked.size);
    // The header without CIS and reserved bytes, three headers, and the type of the port.
    expect([...list.asked].filter((at) => at >= 0x40)).toEqual([0x40, 0x48, 0x100]);
    const full = counted(image(all));
    decode(full.source, { registers: true });
    expect(full.reads()).toBe(full.asked.size);
    expect(full.reads()).toBeLessThan(16 + 2 + 15 + 3);
  });
});
