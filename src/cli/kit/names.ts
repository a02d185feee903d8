/**
 * Which commands there are, without loading one: src/cli/names.json, which scripts/command-reference.ts writes from the commands
 * themselves. An import, since `node:fs` would cost each command 2 ms at its start.
 */
import names from '../names.json' with { type: 'json' };

/** The folder of src/cli whose index.ts lists a command, in the order in which help shows them. */
export const NOUN_OF: Readonly<Record<string, string>> = names;

/** The second words of the commands grouped under `word` (`image` gives `ls`, `pull`, ...); empty for any other word. */
export const commandsOf = (word: string): string[] =>
  Object.keys(NOUN_OF).flatMap((name) => (name.startsWith(`${word} `) ? [name.slice(word.length + 1)] : []));
