/** `node scripts/command-reference.ts`: writes src/cli/{index,names}.json, docs/commands.md and tables of docs/docker.md from src/cli. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { catalog, catalogText, commandsPage, namesText, withHabits } from './command-documents.ts';

const root = join(import.meta.dirname, '..');
const commands = await catalog();
writeFileSync(join(root, 'src/cli/index.json'), catalogText(commands));
writeFileSync(join(root, 'src/cli/names.json'), namesText(commands));
writeFileSync(join(root, 'docs/commands.md'), commandsPage(commands));
const docker = join(root, 'docs/docker.md');
writeFileSync(docker, withHabits(readFileSync(docker, 'utf8')));
