/**
 * What writing a register changes elsewhere: in the same function, in its virtual functions, below a bridge. A table; bytes
 * that are written are dropped anyway. Values are not trusted to change nothing: where a bit matters, a one is enough.
 */
import type { Layout } from '../layout.ts';
import { EXTENDED_ID, ID } from '../rules/index.ts';
import { find } from '../walk.ts';
import { zeroAt } from './constants.ts';

/** To the function itself: `reset` may have changed all that is not constant, `power` has where its context is not kept. */
export type Consequence = 'reset' | 'power' | 'vfs-reset' | 'vfs-gone' | 'below-reset' | 'below-gone';

interface Part {
  /** A capability's id, or the header. */
  readonly of: number | 'header';
  readonly extended?: true;
  readonly at: number;
  readonly bytes: number;
}

interface Effect {
  readonly source: string;
  readonly when: Part & {
    /** Only if the byte at `at` is written with one of these bits set. */
    readonly bits?: number;
    readonly headerType?: 1;
  };
  /** Other bytes of the function that show something else then. */
  readonly drops?: readonly Part[];
  readonly does?: readonly Consequence[];
}

const express = (at: number, bytes: number): Part => ({ of: ID.express, at, bytes });
const sriov = (at: number, bytes: number): Part => ({ of: EXTENDED_ID.sriov, extended: true, at, bytes });
const OFFSET_AND_STRIDE = sriov(0x14, 4);
const VF_BARS = sriov(0x24, 24);

/** Where numbers of interrupts are shown, which follow those of MSI and MSI-X. */
const INTERRUPTS = [express(0x02, 2), { of: EXTENDED_ID.dpc, extended: true, at: 4, bytes: 2 } as const];

const EFFECTS: readonly Effect[] = [
  { source: 'PCIe 7.5.3.2', when: { of: ID.msi, at: 2, bytes: 2 }, drops: INTERRUPTS },
  { source: 'PCIe 7.5.3.2', when: { of: ID.msix, at: 2, bytes: 2 }, drops: INTERRUPTS },
  // A common clock has other latencies, which virtual functions show as well.
  { source: 'PCIe 7.5.3.6', when: express(0x10, 1), drops: [express(0x0c, 4)], does: ['vfs-gone'] },
  // The byte with bit 15, Initiate Function Level Reset. Resetting a physical function disables its virtual ones (PCIe 9.2.2.3).
  { source: 'PCIe 6.6.2', when: { ...express(0x09, 1), bits: 0x80 }, does: ['reset', 'vfs-gone'] },
  { source: 'PCI ECN Advanced Capabilities', when: { of: ID.af, at: 4, bytes: 1, bits: 1 }, does: ['reset'] },
  // Leaving D3hot without No_Soft_Reset resets (PCIe 5.3.1.4.1, 7.5.2.2); in D3 nothing below a bridge answers.
  { source: 'PCIe 5.3.1.4', when: { of: ID.power, at: 4, bytes: 1 }, does: ['power', 'vfs-reset', 'below-reset'] },
  {
    source: 'PCIe 9.3.3.3',
    when: sriov(0x08, 2),
    drops: [OFFSET_AND_STRIDE, sriov(0x0c, 6)],
    does: ['vfs-gone'],
  },
  { source: 'PCIe 9.3.3.9, 9.3.3.10', when: sriov(0x10, 2), drops: [OFFSET_AND_STRIDE], does: ['vfs-gone'] },
  { source: 'PCIe 9.3.3.13', when: sriov(0x20, 4), drops: [VF_BARS] },
  {
    source: 'PCIe 7.8.6.3',
    when: { of: EXTENDED_ID.rebar, extended: true, at: 4, bytes: 48 },
    drops: [{ of: 'header', at: 0x10, bytes: 24 }],
  },
  { source: 'PCIe 7.8.7.3', when: { of: EXTENDED_ID.vfRebar, extended: true, at: 4, bytes: 48 }, drops: [VF_BARS] },
  // Secondary Bus Reset is bit 6: set and cleared by writes.
  { source: 'PCIe 7.5.1.3.13', when: { of: 'header', at: 0x3e, bytes: 1, headerType: 1 }, does: ['below-reset'] },
  // Bus numbers: other functions answer below.
  { source: 'PCIe 7.5.1.3.2', when: { of: 'header', at: 0x18, bytes: 3, headerType: 1 }, does: ['below-gone'] },
  // Link Disable, slot power, containment by software, ARI forwarding.
  { source: 'PCIe 7.5.3.7', when: { ...express(0x10, 1), headerType: 1 }, does: ['below-reset'] },
  { source: 'PCIe 7.5.3.10', when: { ...express(0x18, 2), headerType: 1 }, does: ['below-reset'] },
  { source: 'PCIe 7.5.3.16', when: { ...express(0x28, 1), headerType: 1 }, does: ['below-gone'] },
  { source: 'PCIe 7.9.14.3', when: { of: EXTENDED_ID.dpc, extended: true, at: 6, bytes: 2 }, does: ['below-reset'] },
];

export interface Effects {
  /** Bytes in the configuration space, as offset and length. */
  readonly drops: readonly (readonly [number, number])[];
  readonly does: Set<Consequence>;
}

/** What writing `width` bytes of `value` at `offset` does beyond them. */
export function effectsOf(layout: Layout, offset: number, width: number, value: number): Effects {
  const drops: [number, number][] = [];
  const does = new Set<Consequence>();
  for (const { when, drops: parts = [], does: consequences = [] } of EFFECTS) {
    if (when.headerType !== undefined && when.headerType !== layout.headerType) continue;
    const start = startOf(layout, when);
    if (start === undefined || offset >= start + when.bytes || offset + width <= start) continue;
    // What is reserved does nothing.
    if (zeroAt(layout, start)?.but === 0) continue;
    if (when.bits !== undefined && (Math.floor(value / 2 ** (8 * (start - offset))) & when.bits) === 0) continue;
    for (const part of parts) {
      const at = startOf(layout, part);
      if (at !== undefined) drops.push([at, part.bytes]);
    }
    for (const consequence of consequences) does.add(consequence);
  }
  return { drops, does };
}

function startOf(layout: Layout, part: Part): number | undefined {
  if (part.of === 'header') return part.at;
  const capability = find(layout.capabilities, part.of, part.extended);
  return capability === undefined ? undefined : capability.offset + part.at;
}
