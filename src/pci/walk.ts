/** The chains of capabilities, however broken: each place is visited once, and nothing outside of the space. */
import type { Register } from './register.ts';
import { EXTENDED_ID, extendedRule, ID, standardRule } from './rules/index.ts';
import type { CapabilityRule, Look, Shape } from './rules/rule.ts';
import { numberAt, type Source, type Width } from './source.ts';

/** More of 4 bytes do not fit between 0x40 and 0x100. */
const MOST_STANDARD = 48;
const STANDARD_START = 0x40;
const EXTENDED_START = 0x100;
const SPACE_END = 0x1000;

export interface Capability {
  readonly rule: CapabilityRule;
  readonly id: number;
  readonly extended: boolean;
  /** Of an extended one, else 0. */
  readonly version: number;
  readonly offset: number;
  /** With its header, as its rule and the device say; of an opaque one only the header. */
  readonly bytes: number;
  /** Those that lie in front of the next capability and within the space. */
  readonly registers: readonly Register[];
}

interface Place {
  readonly id: number;
  readonly version: number;
  readonly offset: number;
}

interface Walked {
  readonly capabilities: readonly Capability[];
  readonly problems: readonly string[];
}

/** What is known of a function from elsewhere. */
export interface Known {
  virtual?: boolean;
  /** Bit 4 of Status: constant, but in a register that is not. */
  hasList?: boolean;
  /** Whether function 0 of its device is known to have no groups of functions. */
  ungrouped?: () => boolean;
}

/** Both chains of a function whose header is of `headerType`. */
export function walk(source: Source, headerType: number, known: Known): Walked {
  const problems: string[] = [];
  const listed = known.hasList ?? ((source.read(0x06, 2) ?? 0) & 0x10) !== 0;
  const places = listed && headerType <= 2 ? standardPlaces(source, headerType, problems) : [];
  const express = places.find(({ id }) => id === ID.express);
  // Only PCI Express and PCI-X have more than 256 bytes (PCIe 7.2.2).
  const far = express !== undefined || places.some(({ id }) => id === ID.pcix);
  const farPlaces = far && source.size > EXTENDED_START ? extendedPlaces(source, problems) : [];
  const type = express === undefined ? 0 : ((source.read(express.offset + 2, 2) ?? 0) >> 4) & 0xf;
  const around = {
    virtual: known.virtual === true,
    ungrouped: known.ungrouped ?? (() => false),
    bridge: headerType === 1,
    root: express !== undefined && (type === 4 || type === 10),
  };
  return {
    capabilities: [...shaped(source, places, false, around), ...shaped(source, farPlaces, true, around)],
    problems,
  };
}

/** PCIe 7.5.1.1.11: from the pointer at 0x34 (0x14 of CardBus), the lowest two bits of each masked. */
function standardPlaces(source: Source, headerType: number, problems: string[]): Place[] {
  const places: Place[] = [];
  const seen = new Set<number>();
  let at = (source.read(headerType === 2 ? 0x14 : 0x34, 1) ?? 0) & 0xfc;
  while (at !== 0) {
    const problem = seen.has(at)
      ? 'the list of capabilities loops at'
      : at < STANDARD_START
        ? 'a capability is said to lie in the header, at'
        : seen.size >= MOST_STANDARD
          ? 'more capabilities than there is room for, cut at'
          : undefined;
    seen.add(at);
    const header = problem === undefined ? source.read(at, 2) : 0;
    if (problem !== undefined || header === undefined || header === 0xffff) {
      problems.push(`${problem ?? (header === undefined ? UNREADABLE : 'nothing answers at')} 0x${at.toString(16)}`);
      break;
    }
    places.push({ id: header! & 0xff, version: 0, offset: at });
    at = (header! >> 8) & 0xfc;
  }
  return places;
}

const UNREADABLE =
  'capabilities cannot be read (without CAP_SYS_ADMIN the kernel shows 64 bytes; dumps of `lspci -x` have them) from';

/** PCIe 7.6.3: a dword of id, version and the next one's place. None where the first is zero. */
function extendedPlaces(source: Source, problems: string[]): Place[] {
  const places: Place[] = [];
  const seen = new Set<number>();
  let at = EXTENDED_START;
  while (at !== 0) {
    if (seen.has(at) || at < EXTENDED_START) {
      const what = seen.has(at)
        ? 'the list of extended capabilities loops at'
        : 'an extended capability is said to lie at';
      problems.push(`${what} 0x${at.toString(16)}`);
      break;
    }
    seen.add(at);
    const header = source.read(at, 4);
    const isNone = header === undefined || header === 0 || header === 0xffffffff;
    if (isNone) {
      if (at !== EXTENDED_START)
        problems.push(`no extended capability is where one should be, at 0x${at.toString(16)}`);
      break;
    }
    const id = header & 0xffff;
    // An empty first entry may only lead to the next.
    if (id !== 0) places.push({ id, version: (header >>> 16) & 0xf, offset: at });
    at = (header >>> 20) & 0xffc;
  }
  return places;
}

function shaped(
  source: Source,
  places: readonly Place[],
  extended: boolean,
  around: Pick<Look, 'virtual' | 'ungrouped' | 'bridge' | 'root'>,
): Capability[] {
  const starts = places.map(({ offset }) => offset).sort((a, b) => a - b);
  return places.map((place): Capability => {
    const rule: CapabilityRule = extended ? extendedRule(place.id) : standardRule(place.id);
    const at = (offset: number, width: Width) =>
      place.offset + offset + width > source.size ? 0 : (numberAt(source, place.offset + offset, width) ?? 0);
    const look: Look = {
      ...around,
      version: place.version,
      u8: (offset) => at(offset, 1),
      u16: (offset) => at(offset, 2),
      u32: (offset) => at(offset, 4),
    };
    const shape: Shape = rule.shape?.(look) ?? { bytes: extended ? 4 : 2, registers: [] };
    const end = starts.find((start) => start > place.offset) ?? (extended ? SPACE_END : EXTENDED_START);
    const room = Math.min(end, source.size) - place.offset;
    const registers = shape.registers.filter((register) => register.at + register.bytes <= room);
    return { ...place, rule, extended, bytes: shape.bytes, registers };
  });
}

/** The capability of a kind, or undefined. */
export const find = (capabilities: readonly Capability[], id: number, extended = false): Capability | undefined =>
  capabilities.find((each) => each.id === id && each.extended === extended);

/** Where the serial number of a device lies. */
export const serialNumber = (capabilities: readonly Capability[]): Capability | undefined =>
  find(capabilities, EXTENDED_ID.dsn, true);
