/** `node scripts/command-reference.ts`: writes src/cli/index.json and docs/commands.md from the commands of src/cli. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { catalog, catalogText, commandsPage } from './command-documents.ts';

const root = join(import.meta.dirname, '..');
const commands = await catalog();
writeFileSync(join(root, 'src/cli/index.json'), catalogText(commands));
writeFileSync(join(root, 'docs/commands.md'), commandsPage(commands));
