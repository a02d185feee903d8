import { expect, it } from 'vitest';
import { parse } from '../kit/command.ts';
import { command } from './daemon.ts';

it.each([
  [['upgrade', '--print'], '--print is not for upgrade, but for install'],
  [['start', '--from', '/x'], '--from is not for start, but for upgrade'],
  [['install', '--print', '--json'], '--json is not for install, but for start, status, upgrade'],
  [['bogus'], '"bogus" is not one of run, start, stop, status, upgrade, install, uninstall'],
])('%j is refused before anything is done', async (args, message) => {
  const running = async () => command.run(parse('daemon', command, args));
  await expect(running()).rejects.toMatchObject({ code: 'invalid', message, hint: 'See `pk daemon --help`.' });
});
