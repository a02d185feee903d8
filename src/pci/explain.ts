/** Why a byte of a configuration space is kept or not. */
import { CLASS_N, CLASS_S, type Layout } from './layout.ts';
import type { Register } from './register.ts';

export interface Explanation {
  offset: number;
  /** Where it lies: the header, a capability, or none that is known. */
  place: string;
  register: string | null;
  class: 'S' | 'W' | 'N';
  /** In a sentence. */
  reason: string;
  /** The section of the specification that the rule follows. */
  source: string;
}

const at = (offset: number) => (register: Register) => offset >= register.at && offset < register.at + register.bytes;

/** What the rules say of the byte at `offset`. */
export function explain(layout: Layout, offset: number): Explanation {
  const kind = layout.classes[offset] ?? CLASS_N;
  const letter = kind === CLASS_N ? 'N' : kind === CLASS_S ? 'S' : 'W';
  if (offset < 0x40) {
    const register = layout.header.find(at(offset));
    const reason = register === undefined ? 'no rule says what it is' : BECAUSE[letter];
    return { offset, place: 'header', register: register?.name ?? null, class: letter, reason, source: 'PCIe 7.5.1' };
  }
  // The nearest one in front of it that reaches so far; of unknown length, the nearest.
  const before = layout.capabilities.filter((each) => each.offset <= offset).sort((a, b) => b.offset - a.offset);
  const near =
    before.find((each) => offset < each.offset + each.bytes) ?? before.find(({ rule }) => rule.shape === undefined);
  if (near === undefined) {
    const reason = 'no capability is known to reach there: nobody knows what it does';
    return { offset, place: 'no known capability', register: null, class: letter, reason, source: 'PCIe 7.5.3' };
  }
  const within = offset - near.offset;
  const isHeader = within < (near.extended ? 4 : 2);
  const register = near.registers.find(at(within));
  const isClaimedTwice = before.filter((each) => offset < each.offset + each.bytes).length > 1;
  const reason = isClaimedTwice
    ? 'two capabilities lay claim to it: what one says is constant the other may change'
    : isHeader
      ? 'kind and place of a capability do not change until a reset'
      : register !== undefined
        ? because(register, letter)
        : (near.rule.why ?? 'no rule says what it is');
  const place = `${near.rule.name} [${near.offset.toString(16)}]`;
  const name = isHeader ? 'header' : (register?.name ?? null);
  return { offset, place, register: name, class: letter, reason, source: near.rule.source };
}

const because = (register: Register, letter: keyof typeof BECAUSE): string =>
  register.zeroBut === undefined
    ? BECAUSE[letter]
    : 'reserved here, so zero: kept while it reads as that, and never as anything else';

const BECAUSE = {
  S: 'constant until the function is reset, and then compared first',
  W: 'changes only when it is written: kept while nobody else writes, else no longer than the bound',
  N: 'the device changes it by itself, or reading and writing it has effects: always asked for',
} as const;
