/** The tables of capabilities, by id. */
import { EXTENDED, UNKNOWN_EXTENDED } from './extended.ts';
import type { CapabilityRule } from './rule.ts';
import { STANDARD, UNKNOWN_STANDARD } from './standard.ts';

export { EXTENDED } from './extended.ts';
export { STANDARD } from './standard.ts';

const byId = (rules: readonly CapabilityRule[]) => new Map(rules.map((rule) => [rule.id, rule]));
const standard = byId(STANDARD);
const extended = byId(EXTENDED);

export const standardRule = (id: number): CapabilityRule => standard.get(id) ?? UNKNOWN_STANDARD;
export const extendedRule = (id: number): CapabilityRule => extended.get(id) ?? UNKNOWN_EXTENDED;

/** Ids that code asks for by name. */
export const ID = { power: 0x01, msi: 0x05, pcix: 0x07, express: 0x10, msix: 0x11, af: 0x13 } as const;
export const EXTENDED_ID = { dsn: 0x03, ari: 0x0e, sriov: 0x10, rebar: 0x15, dpc: 0x1d, vfRebar: 0x24 } as const;
