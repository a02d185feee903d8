import { describe, expect, it } from 'vitest';
import { COMMANDS } from './commands.ts';
import { commandHelp, overview } from './kit/help.ts';

describe('help', () => {
  it('names every command, and every option of each with an example', async () => {
    for (const [name, entry] of Object.entries(COMMANDS)) {
      const { command } = await entry.load();
      expect(overview()).toContain(`  ${name} `);
      expect(command.summary).toBe(entry.summary);
      const help = commandHelp(name, command);
      for (const option of Object.keys(command.options)) expect(help).toContain(`--${option}`);
    }
  });
});
