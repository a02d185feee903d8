/** Whose rules a tree can be held against, by name. */
import { type Finding, validateMultikernel } from './multikernel/index.ts';
import type { DeviceTree } from './tree.ts';

type Schema = (tree: DeviceTree) => { what: string; findings: readonly Finding[] };

export const SCHEMAS: Readonly<Record<string, Schema>> = { multikernel: validateMultikernel };
