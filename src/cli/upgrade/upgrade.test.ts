import { expect, it } from 'vitest';
import { parse } from '../kit/command.ts';
import { command, textOf } from './upgrade.ts';

it('all are upgraded to something', async () => {
  await expect(command.run(parse('upgrade', command, ['--all']))).rejects.toMatchObject({
    code: 'invalid',
    field: '--image',
  });
});

it('one that runs so already is not told to have been down', () => {
  const report = { name: 'web', way: 'pause', why: 'no service', steps: [], isPaused: true, services: [] } as const;
  expect(textOf({ ...report, downMs: null }, false)).toBe('web is left as it is: it runs so already\n');
  expect(textOf({ ...report, downMs: 5 }, false)).toBe('web is upgraded, it was down for 5 ms\n');
});
