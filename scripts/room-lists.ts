/**
 * Lists of what rooms of src have, made from their folders: so that a new room stands in none by hand.
 * `node scripts/room-references.ts` writes them.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const SRC = join(import.meta.dirname, '../src');

/** Something that a room exports in a file that every room has under this name. */
interface Part {
  room: string;
  name: string;
  value: unknown;
}

/** What rooms export from their `file` by names that end in `suffix`; sorted by room and name. */
export async function partsOf(file: string, suffix: string): Promise<Part[]> {
  const parts: Part[] = [];
  for (const room of readdirSync(SRC).sort()) {
    const path = join(SRC, room, file);
    if (!existsSync(path)) continue;
    const exported = Object.entries((await import(path)) as Record<string, unknown>);
    for (const [name, value] of exported.sort(([a], [b]) => (a < b ? -1 : 1)))
      if (name.endsWith(suffix)) parts.push({ room, name, value });
  }
  return parts;
}

const importsOf = (parts: readonly Part[], file: string): string =>
  parts.map(({ room, name }) => `import { ${name} } from '../${room}/${file}';\n`).join('');

/** `src/client/contracts.ts`. */
export async function contractsText(): Promise<string> {
  const parts = await partsOf('api.ts', 'Api');
  const list = parts.map(({ name }) => `  ${name},\n`).join('');
  return replaced(
    'client/contracts.ts',
    `${importsOf(parts, 'api.ts')}\nexport const CONTRACTS = [\n${list}] as const;\n`,
  );
}

/** `src/stack/section-list.ts`. */
export async function sectionsText(): Promise<string> {
  const parts = await partsOf('stack.ts', 'Section');
  const list = parts.map(({ name, value }) => `  ${keyOf(value)}: ${name},\n`).join('');
  return replaced('stack/section-list.ts', `${importsOf(parts, 'stack.ts')}\nexport const sections = {\n${list}};\n`);
}

/** The key of a stack file at which a section stands: its first option. */
const keyOf = (section: unknown): string => (section as { options: readonly { path: string }[] }).options[0]!.path;

const END = '// end of the list\n';

/** The file below src with its list renewed: all from the end of its head to the mark. */
function replaced(path: string, list: string): string {
  const text = readFileSync(join(SRC, path), 'utf8');
  return `${text.slice(0, text.indexOf('*/\n') + 3)}${list}${text.slice(text.indexOf(END))}`;
}
