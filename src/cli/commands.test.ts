import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { catalog, catalogText, commandsPage, namesText, withHabits } from '../../scripts/command-documents.ts';
import { loadCommand } from './commands.ts';
import { CATALOG } from './kit/catalog.ts';
import { commandHelp } from './kit/command-help.ts';
import { overview } from './kit/help.ts';

describe('what is written about the commands', () => {
  // If one is not current: node scripts/command-reference.ts
  it.each([
    ['index.json', 'src/cli/index.json', catalogText],
    ['names.json', 'src/cli/names.json', namesText],
    ['their page', 'docs/commands.md', commandsPage],
  ] as const)('%s is current', async (_, path, make) => {
    expect(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')).toBe(make(await catalog()));
  });

  it('the tables for those who know docker are current', () => {
    const page = readFileSync(new URL('../../docs/docker.md', import.meta.url), 'utf8');
    expect(page).toBe(withHabits(page));
  });
});

describe('help', () => {
  it('names every command, and every option of each with an example', async () => {
    for (const [name, entry] of Object.entries(CATALOG)) {
      const command = await loadCommand(entry.noun, name);
      expect(overview()).toContain(`  ${name} `);
      expect(command.summary).toBe(entry.summary);
      const help = commandHelp(name, command);
      for (const option of Object.keys(command.options)) expect(help).toContain(`--${option}`);
    }
  });
});
