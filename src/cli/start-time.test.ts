/** What makes each command slow to start is easily imported again without a thought. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

/** Their `import` reads all exports, and so loads what nobody asked for: src/sys/node.ts. */
const SLOW = /^node:(fs|fs\/promises|http|https|net|util|v8|crypto|child_process)$/;

/** Files that `entry` loads at once, each with the modules that it imports. */
function loadedBy(entry: string, seen = new Map<string, string[]>()): Map<string, string[]> {
  if (seen.has(entry)) return seen;
  const imports = /^(?:import|export) (?!type )(?:[^;'"]* from )?'([^']+)'/gm;
  const named = [...readFileSync(entry, 'utf8').matchAll(imports)]
    // Nothing of `import { type A, type B }` is left.
    .filter(([text]) => !/^(import|export) \{ *type [^,}]+(, *type [^,}]+)* *\}/.test(text))
    .map(([, from]) => from!);
  seen.set(entry, named);
  for (const from of named)
    if (from.startsWith('.') && from.endsWith('.ts')) loadedBy(fileURLToPath(new URL(from, `file://${entry}`)), seen);
  return seen;
}

it.each(['main', 'instance/run', 'instance/ps', 'instance/exec'])(
  '%s imports no module of Node that is slow to',
  (name) => {
    const loaded = loadedBy(fileURLToPath(new URL(`./${name}.ts`, import.meta.url)));
    expect(loaded.size).toBeGreaterThan(5);
    const slow = [...loaded].flatMap(([file, named]) =>
      named.filter((from) => SLOW.test(from)).map((from) => `${file}: ${from}`),
    );
    expect(slow).toEqual([]);
  },
);
