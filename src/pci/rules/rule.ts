/** What is known of one kind of capability: a row of the tables beside this file. */
import type { Register } from '../register.ts';

/** A capability as its rule sees it while its shape is found out: offsets count from its header. */
export interface Look {
  /** Version of an extended capability, 0 for others. */
  readonly version: number;
  /** A virtual function of a physical one. */
  readonly virtual: boolean;
  /** Whether function 0 of its device is known to have no groups of functions (PCIe 7.8.8.2). */
  ungrouped(): boolean;
  /** Header type 1. */
  readonly bridge: boolean;
  /** A root port or an event collector: errors of others are reported to it. */
  readonly root: boolean;
  u8(at: number): number;
  u16(at: number): number;
  u32(at: number): number;
}

export interface Shape {
  /** Bytes with its header, as the device itself says where it does. */
  readonly bytes: number;
  readonly registers: readonly Register[];
}

export interface CapabilityRule {
  readonly id: number;
  readonly name: string;
  /** Section of the specification that the row follows. PCIe = PCI Express Base Specification 6.0, PCI = Local Bus 3.0. */
  readonly source: string;
  /** Absent: only the header is known. Bodies of unknown layout are never kept. */
  readonly shape?: (look: Look) => Shape;
  /** Why its body is never kept although it is known. */
  readonly why?: string;
}

/** A row whose shape is always the same. */
export const fixed = (
  id: number,
  name: string,
  source: string,
  length: number,
  registers: readonly Register[],
): CapabilityRule => ({ id, name, source, shape: () => ({ bytes: length, registers }) });

/** A row of which only the header is kept. */
export const opaque = (id: number, name: string, source: string, why: string): CapabilityRule => ({
  id,
  name,
  source,
  why,
});
