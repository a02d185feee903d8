/**
 * What is known of every command without loading it: src/cli/index.json, which scripts/command-reference.ts writes from the
 * commands themselves. An import, since `node:fs` would cost each command 2 ms at its start.
 */
import index from '../index.json' with { type: 'json' };
import type { Described } from './command.ts';

export interface Entry extends Described {
  /** The folder of src/cli whose index.ts lists it. */
  noun: string;
}

/** In the order in which help shows them. */
export const CATALOG = index as unknown as Readonly<Record<string, Entry>>;

/** The second words of the commands grouped under `word` (`image` gives `ls`, `pull`, ...); empty for any other word. */
export const commandsOf = (word: string): string[] =>
  Object.keys(CATALOG).flatMap((name) => (name.startsWith(`${word} `) ? [name.slice(word.length + 1)] : []));
