/** A configuration space in words and numbers: what `pk pci show` prints, and its JSON. */
import { type Capability, type Layout, readLayout } from './layout.ts';
import { type Field, fieldOf, type Register } from './register.ts';
import { numberAt, Reading, type Source, type Width } from './source.ts';

export interface DecodedRegister {
  readonly name: string;
  /** In the configuration space. */
  readonly offset: number;
  readonly bytes: number;
  readonly value: number;
  /** By name: single bits as booleans, others as their meaning or number. Null where nothing finer is known. */
  readonly fields: Readonly<Record<string, boolean | number | string>> | null;
}

export interface DecodedCapability {
  readonly id: number;
  readonly extended: boolean;
  readonly version: number;
  readonly offset: number;
  readonly name: string;
  /** The section of the specification its rule follows. */
  readonly source: string;
  /** Empty when not asked for. */
  readonly registers: readonly DecodedRegister[];
}

export interface Region {
  readonly index: number;
  readonly kind: 'io' | 'memory' | 'rom';
  /** In hexadecimal, as it may have 64 bits. */
  readonly address: string;
  readonly bits: 16 | 32 | 64;
  readonly prefetchable: boolean;
  readonly enabled: boolean;
}

/** Functions that are alike may have one for all. */
export interface Decoded {
  readonly headerType: number;
  readonly header: readonly DecodedRegister[];
  readonly regions: readonly Region[];
  readonly capabilities: readonly DecodedCapability[];
  readonly problems: readonly string[];
}

export interface DecodeOptions {
  /** The registers of capabilities as well; without it only their headers are read. */
  registers?: boolean;
  /** When known already. */
  layout?: Layout;
}

/** Reads each dword that is needed once. Undefined when nobody answers: the function is gone, or in reset. */
export function decode(source: Source, options: DecodeOptions = {}): Decoded | undefined {
  const reading = new Reading(source);
  const layout = options.layout ?? readLayout(reading);
  if (layout === undefined) return undefined;
  return {
    headerType: layout.headerType,
    header: registersOf(reading, layout.header, 0),
    regions: regionsOf(reading, layout.headerType),
    capabilities: layout.capabilities.map((each) => capabilityOf(reading, each, options.registers === true)),
    problems: [...layout.problems],
  };
}

/** A place of 1, 2 or 4 bytes. */
export interface Piece {
  readonly offset: number;
  readonly width: Width;
}

/** What decode() may read: of each dword the least that has all of it. */
export function shownOf(layout: Layout, withRegisters: boolean): Piece[] {
  const ranges = new Map<number, [from: number, to: number]>();
  const add = (at: number, bytes: number) => {
    const [from, to] = ranges.get(at >> 2) ?? [at, at + bytes];
    ranges.set(at >> 2, [Math.min(from, at), Math.max(to, at + bytes)]);
  };
  const addAll = (all: readonly Register[], start: number) => {
    for (const { at, bytes, hidden } of all) if (!hidden) add(start + at, bytes);
  };
  addAll(layout.header, 0);
  for (const at of addressesOf(layout.headerType)) add(at, 4);
  if (withRegisters) for (const { offset, registers } of layout.capabilities) addAll(registers, offset);
  return [...ranges.values()].map(([from, to]): Piece => {
    const width = to - from === 1 ? 1 : from >> 1 === (to - 1) >> 1 ? 2 : 4;
    return { offset: from - (from % width), width };
  });
}

function capabilityOf(source: Source, capability: Capability, all: boolean): DecodedCapability {
  const { id, extended, version, offset, rule, registers } = capability;
  return {
    id,
    extended,
    version,
    offset,
    name: rule.name,
    source: rule.source,
    registers: all ? registersOf(source, registers, offset) : [],
  };
}

function registersOf(source: Source, registers: readonly Register[], start: number): DecodedRegister[] {
  const found: DecodedRegister[] = [];
  for (const register of registers) {
    if (register.hidden) continue;
    const value = numberAt(source, start + register.at, register.bytes);
    if (value !== undefined) found.push(decodedOf(register, start + register.at, value));
  }
  return found;
}

/** What was last said of each register: functions by the thousand say the same. */
const LAST = new WeakMap<Register, DecodedRegister>();

function decodedOf(register: Register, offset: number, value: number): DecodedRegister {
  const last = LAST.get(register);
  if (last?.value === value && last.offset === offset) return last;
  const { name, bytes, fields } = register;
  const decoded = Object.freeze({ name, offset, bytes, value, fields: fields ? fieldsOf(fields, value) : null });
  LAST.set(register, decoded);
  return decoded;
}

function fieldsOf(fields: readonly Field[], value: number): NonNullable<DecodedRegister['fields']> {
  return Object.freeze(
    Object.fromEntries(
      fields.map((field) => {
        const of = fieldOf(field, value);
        return [field.name, field.says?.(of) ?? (field.bits === 1 ? of === 1 : of)];
      }),
    ),
  );
}

/** BARs that a header has; behind them the ROM's. */
const BARS: readonly (number | undefined)[] = [6, 2];
const ROM: readonly (number | undefined)[] = [0x30, 0x38];

const addressesOf = (headerType: number): number[] => [
  ...Array.from({ length: BARS[headerType] ?? 0 }, (_, index) => 0x10 + 4 * index),
  ...(ROM[headerType] === undefined ? [] : [ROM[headerType]]),
];

/** PCIe 7.5.1.2.1 and 7.5.1.2.4. Sizes are not in it: finding them out would move what a driver uses. */
function regionsOf(source: Source, headerType: number): Region[] {
  const count = BARS[headerType] ?? 0;
  const command = source.read(4, 2) ?? 0;
  const regions: Region[] = [];
  for (let index = 0; index < count; index++) {
    const low = source.read(0x10 + 4 * index, 4) ?? 0;
    if (low === 0 || low === 0xffffffff) continue;
    const isIo = (low & 1) === 1;
    const isWide = !isIo && (low & 6) === 4 && index + 1 < count;
    const high = isWide ? (source.read(0x14 + 4 * index, 4) ?? 0) : 0;
    const address = (BigInt(high) << 32n) | BigInt((low & (isIo ? ~3 : ~0xf)) >>> 0);
    regions.push({
      index,
      kind: isIo ? 'io' : 'memory',
      address: address.toString(16),
      bits: isIo ? 16 : isWide ? 64 : 32,
      prefetchable: !isIo && (low & 8) !== 0,
      enabled: (command & (isIo ? 1 : 2)) !== 0,
    });
    if (isWide) index++;
  }
  const romAt = ROM[headerType];
  const rom = romAt === undefined ? 0 : (source.read(romAt, 4) ?? 0);
  if (rom !== 0 && rom !== 0xffffffff)
    regions.push({
      index: 6,
      kind: 'rom',
      address: ((rom & ~0x7ff) >>> 0).toString(16),
      bits: 32,
      prefetchable: false,
      enabled: (rom & 1) === 1,
    });
  return regions;
}
