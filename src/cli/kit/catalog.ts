/**
 * What is known of every command without loading it, for help and completion: src/cli/index.json, which
 * scripts/command-reference.ts writes from the commands themselves.
 */
import index from '../index.json' with { type: 'json' };
import type { Described } from './command.ts';

export interface Entry extends Described {
  /** The folder of src/cli whose index.ts lists it. */
  noun: string;
}

/** In the order in which help shows them. */
export const CATALOG = index as unknown as Readonly<Record<string, Entry>>;
