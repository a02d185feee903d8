/**
 * A modelled bus: functions as images that answer as hardware does, with a count and a price of each transaction. What writing
 * does is written here from the specification, apart from the product's own tables, against which it is held.
 */
import type { Access, Signal } from '../../src/pci/access.ts';
import type { FunctionFacts, Place } from '../../src/pci/place.ts';
import { Image, type Width } from '../../src/pci/source.ts';
import { expressBody, image } from './pci-images.ts';

/** Where things lie in the functions of this bus. */
export const AT = {
  pm: 0x40,
  msi: 0x48,
  express: 0x60,
  msix: 0x9c,
  vendor: 0xa8,
  vpd: 0xb8,
  aer: 0x100,
  sriov: 0x150,
  rebar: 0x190,
  doe: 0x1a0,
  /** Of a physical function, and of a virtual one. */
  ari: 0x1c4,
  virtualAri: 0x150,
};

const STANDARD = [
  // It tells of events, from all states.
  { id: 0x01, body: [3, 0xf8, 0, 0, 0, 0] },
  { id: 0x05, body: [0x80, 1, ...Array(20).fill(0)] },
  { id: 0x10, body: expressBody() },
  { id: 0x11, body: [7, 0, 0, 0x20, 0, 0, 0, 0x30, 0, 0] },
  { id: 0x09, body: [0x10, ...Array(13).fill(0x5a)] },
  { id: 0x03, body: [0, 0, 1, 2, 3, 4] },
];
const EXTENDED = [
  { id: 0x01, version: 2, body: Array(0x4c).fill(0) },
  {
    id: 0x10,
    body: [
      2,
      0,
      0,
      0,
      0x10,
      0,
      0,
      0,
      64,
      0,
      64,
      0,
      0,
      0,
      0,
      0,
      1,
      0,
      1,
      0,
      0,
      0,
      0x10,
      0,
      0x53,
      5,
      0,
      0,
      1,
      0,
      0,
      0,
      4,
      ...Array(27).fill(0),
    ],
  },
  { id: 0x15, body: [0xf0, 0xff, 0, 0, 0x20, 8, 0, 0, 0, 0, 0, 0] },
  { id: 0x2e, body: Array(0x14).fill(0) },
  { id: 0x03, body: [1, 2, 3, 4, 5, 6, 7, 8] },
  { id: 0x0e, body: [0, 0, 0, 0] },
];

/** Registers that can be written, with the bits that take what is written (all others are read-only). */
const WRITABLE: readonly (readonly [at: number, bytes: number, bits?: number])[] = [
  [0x04, 2],
  [0x0c, 1],
  [0x10, 24, 0xf0],
  [0x3c, 1],
  [AT.pm + 4, 1, 3],
  [AT.msi + 2, 1, 0x71],
  [AT.msi + 4, 10],
  [AT.msi + 0x10, 4],
  [AT.express + 8, 2, 0x7f],
  [AT.express + 0x10, 2],
  [AT.express + 0x28, 2],
  [AT.msix + 3, 1, 0xc0],
  [AT.aer + 8, 8],
  [AT.aer + 0x14, 4],
  [AT.sriov + 8, 2],
  [AT.sriov + 0x10, 2],
  [AT.sriov + 0x20, 4],
  [AT.sriov + 0x24, 24, 0xf0],
  [AT.rebar + 9, 1],
];

/** Bytes that a device changes by itself. */
const VOLATILE: readonly number[] = [
  ...[0x06, 0x07, 0x0f, AT.pm + 5, AT.msi + 0x14, AT.express + 0x0a, AT.express + 0x12, AT.vpd + 3, AT.vpd + 4],
  ...[AT.vendor + 4, AT.aer + 4, AT.aer + 0x10, AT.aer + 0x18, AT.aer + 0x1c, AT.doe + 0x0c, AT.doe + 0x14],
];

/** Of these, what virtual functions have a zero in place of: self test, events of power, the link (PCIe 7.5.1.1.8, 7.5.3.8). */
const PHYSICAL_ONLY: readonly number[] = [0x0f, AT.pm + 5, AT.express + 0x12];

/** What the model calls when a function is written or read: to let others in between. */
export interface Hooks {
  beforeWrite?(): void;
  beforeRead?(): void;
}

export class ModelFunction implements Access {
  readonly address: string;
  readonly size: number;
  readonly physicalFunction?: string;
  readonly parent?: string;
  readonly hooks: Hooks = {};
  /** Transactions. */
  reads = 0;
  writes = 0;
  present = true;
  /** Answers with all ones for so many reads: in reset. */
  deaf = 0;
  readonly #bus: ModelBus;
  readonly #initial: Uint8Array;
  readonly #image: Uint8Array;
  readonly #answers: Image;
  readonly #masks: Uint8Array;
  /** Earlier values of bytes, with the time until which they were there. */
  readonly #history = new Map<number, { value: number; until: number }[]>();
  #device = 1;
  #state = 'driver D0';
  #mayChange: ReadonlySet<number> | undefined;

  constructor(
    bus: ModelBus,
    address: string,
    bytes: Uint8Array,
    relations: { physicalFunction?: string; parent?: string } = {},
  ) {
    this.#bus = bus;
    this.address = address;
    this.size = bytes.length;
    this.physicalFunction = relations.physicalFunction;
    this.parent = relations.parent;
    this.#initial = Uint8Array.from(bytes);
    this.#image = Uint8Array.from(bytes);
    this.#answers = new Image(this.#image);
    this.#masks = new Uint8Array(bytes.length);
    if (bytes[0x0e] === 1) {
      this.#masks.fill(0xff, 0x3e, 0x40);
      return;
    }
    for (const [at, length, bits = 0xff] of WRITABLE)
      if (!physicalOnly(at) || relations.physicalFunction === undefined) this.#masks.fill(bits, at, at + length);
  }

  read(offset: number, width: Width): number | undefined {
    this.hooks.beforeRead?.();
    this.#bus.spend();
    this.reads += 1;
    return this.answer(offset, width, true);
  }

  /** What reading would give, without a transaction. */
  answer(offset: number, width: Width, counts = false): number | undefined {
    if (!this.present) return 2 ** (8 * width) - 1;
    if (this.deaf > 0) {
      if (counts) this.deaf -= 1;
      return 2 ** (8 * width) - 1;
    }
    return this.#answers.read(offset, width);
  }

  write(offset: number, width: Width, value: number): void {
    this.hooks.beforeWrite?.();
    this.#bus.spend();
    this.writes += 1;
    if (!this.present || this.deaf > 0) return;
    for (let index = 0; index < width; index++)
      this.#writeByte(offset + index, Math.floor(value / 2 ** (8 * index)) & 0xff);
    this.#consequences(offset, width, value);
  }

  /** Changes a byte as the device itself, or another writer, does. */
  set(at: number, value: number): void {
    const before = this.#image[at]!;
    if (before === value) return;
    const history = this.#history.get(at) ?? [];
    history.push({ value: before, until: this.#bus.now });
    if (history.length > 64) history.shift();
    this.#history.set(at, history);
    this.#image[at] = value;
  }

  /** Whether a byte had this value at some time since `since`. */
  had(at: number, value: number, since: number): boolean {
    if (this.#image[at] === value) return true;
    return (this.#history.get(at) ?? []).some((each) => each.value === value && each.until >= since);
  }

  /** Another writer, such as a driver: only writable bits take it. */
  writeBehind(at: number, value: number): void {
    this.#writeByte(at, value);
  }

  get writable(): readonly number[] {
    return [...this.#masks.keys()].filter((at) => this.#masks[at] !== 0);
  }

  /** All that can be written, and what the device changed, is as it was in the beginning. @param deaf reads until it answers again */
  reset(deaf = 0): void {
    for (const [at, value] of this.#initial.entries()) this.set(at, value);
    this.deaf = deaf;
  }

  /** Another device takes its place. */
  replace(bytes: Uint8Array): void {
    this.#device += 1;
    this.#initial.set(bytes);
    for (const [at, value] of bytes.entries()) this.set(at, value);
  }

  setState(state: string): void {
    this.#state = state;
  }

  signal(): Signal | undefined {
    return this.present ? { device: String(this.#device), state: this.#state } : undefined;
  }

  close(): void {}

  #writeByte(at: number, value: number): void {
    const mask = this.#masks[at] ?? 0;
    this.set(at, (this.#image[at]! & ~mask) | (value & mask));
  }

  /** Bytes that may change otherwise than by themselves: those that can be written, and those that show something else then. */
  get mayChange(): ReadonlySet<number> {
    this.#mayChange ??= new Set([...this.writable, ...[0x14, 0x15, 0x16, 0x17].map((at) => AT.sriov + at)]);
    return this.#mayChange;
  }

  get volatile(): readonly number[] {
    return this.physicalFunction === undefined ? VOLATILE : VOLATILE.filter((at) => !PHYSICAL_ONLY.includes(at));
  }

  get isBridge(): boolean {
    return this.#image[0x0e] === 1;
  }

  #word(at: number): number {
    return this.#image[at]! | (this.#image[at + 1]! << 8);
  }

  #consequences(offset: number, width: Width, value: number): void {
    const touches = (at: number, length: number) => offset < at + length && at < offset + width;
    const byte = (at: number) =>
      offset <= at && at < offset + width ? Math.floor(value / 2 ** (8 * (at - offset))) & 0xff : 0;
    const isPhysical = this.physicalFunction === undefined;
    // Secondary Bus Reset: all below are reset.
    if (this.isBridge) {
      if ((byte(0x3e) & 0x40) !== 0) for (const each of this.#bus.below(this.address)) each.reset(2);
      return;
    }
    if ((byte(AT.express + 9) & 0x80) !== 0) {
      this.reset(3);
      if (isPhysical) for (const vf of this.#bus.virtualOf(this.address)) vf.present = false;
      return;
    }
    // From D3hot to D0 without No_Soft_Reset.
    if (touches(AT.pm + 4, 1) && (this.#image[AT.pm + 4]! & 0xb) === 0) this.reset(2);
    if (!isPhysical || this.size <= AT.sriov) return;
    if (touches(AT.sriov + 8, 2) || touches(AT.sriov + 0x10, 2)) {
      // Another number of functions, or another hierarchy, has them elsewhere.
      const isAri = (this.#image[AT.sriov + 8]! & 0x10) !== 0;
      this.set(AT.sriov + 0x14, isAri ? 1 : 0x80);
      this.set(AT.sriov + 0x16, isAri ? 1 : 2 + (this.#word(AT.sriov + 0x10) & 1));
      const isEnabled = (this.#image[AT.sriov + 8]! & 1) !== 0;
      for (const vf of this.#bus.virtualOf(this.address)) vf.appear(isEnabled);
    }
    // Its virtual functions' addresses are multiples of the page.
    if (touches(AT.sriov + 0x20, 4))
      for (let at = AT.sriov + 0x24; at < AT.sriov + 0x3c; at++) this.set(at, this.#image[AT.sriov + 0x20]! & 0xf0);
    if (touches(AT.rebar + 8, 4)) for (let at = 0x10; at < 0x28; at++) this.set(at, this.#image[AT.rebar + 9]! & 0xf0);
  }

  /** A virtual function that comes into being is new; one that is there stays. */
  appear(isThere: boolean): void {
    if (isThere && !this.present) {
      this.#device += 1;
      this.reset();
    }
    this.present = isThere;
  }
}

/** Of virtual functions these bits of the header are zero for ever, and of device and link control they are reserved (PCIe 9.3.4.1, 9.3.5). */
const physicalOnly = (at: number): boolean =>
  (at >= 0x0c && at < 0x40) ||
  at >= AT.sriov ||
  [0x08, 0x10, 0x28].some((control) => at >= AT.express + control && at < AT.express + control + 2);

export class ModelBus {
  readonly functions = new Map<string, ModelFunction>();
  /** In milliseconds; grows with each transaction. */
  now = 0;
  readonly #latencyMs: number;

  constructor(latencyMs = 0.001) {
    this.#latencyMs = latencyMs;
  }

  spend(): void {
    this.now += this.#latencyMs;
  }

  /** A physical function with all that this bus knows. */
  addPhysical(address: string, parent?: string): ModelFunction {
    return this.add(address, physicalImage(), { parent });
  }

  addVirtual(address: string, physicalFunction: string, parent?: string): ModelFunction {
    return this.add(address, virtualImage(), { physicalFunction, parent });
  }

  add(
    address: string,
    bytes: Uint8Array,
    relations: { physicalFunction?: string; parent?: string } = {},
  ): ModelFunction {
    const made = new ModelFunction(this, address, bytes, relations);
    this.functions.set(address, made);
    return made;
  }

  virtualOf(address: string): ModelFunction[] {
    return [...this.functions.values()].filter(({ physicalFunction }) => physicalFunction === address);
  }

  below(bridge: string): ModelFunction[] {
    return [...this.functions.values()].filter(({ parent }) => parent === bridge);
  }

  addBridge(address: string): ModelFunction {
    return this.add(address, image({ type: 1, standard: STANDARD.slice(0, 3) }));
  }

  get reads(): number {
    return [...this.functions.values()].reduce((sum, { reads }) => sum + reads, 0);
  }

  /** For openConfigSpace(). */
  place(): Place {
    return {
      addresses: () => [...this.functions.keys()],
      open: (address) => this.functions.get(address)!,
      facts: (address) => factsOf(this.functions.get(address)!),
    };
  }
}

export const physicalImage = (): Uint8Array => image({ standard: STANDARD, extended: EXTENDED });

/** Vendor and device all ones, no BARs and no SR-IOV (PCIe 9.3.4). */
export function virtualImage(): Uint8Array {
  const bytes = image({ standard: STANDARD, extended: [EXTENDED[0]!, EXTENDED.at(-1)!] });
  bytes.fill(0xff, 0, 4);
  bytes.fill(0, 0x3c, 0x40);
  for (const control of [0x08, 0x10, 0x28]) bytes.fill(0, AT.express + control, AT.express + control + 2);
  // No_Soft_Reset (PCIe 7.5.2.2), and no events.
  bytes[AT.pm + 3] = 0;
  bytes[AT.pm + 4] = 8;
  return bytes;
}

function factsOf({ address, physicalFunction, parent }: ModelFunction): FunctionFacts {
  return {
    ...{ address, vendor: 0x8086, device: 0x1521, class: 0x020000, revision: 1 },
    ...{
      subsystemVendor: 0x8086,
      subsystemDevice: 1,
      driver: null,
      node: null,
      iommuGroup: null,
      virtualFunctions: null,
    },
    physicalFunction: physicalFunction ?? null,
    parent: parent ?? null,
  };
}
