import { expect, it } from 'vitest';
import type { UpgradeReport } from '../../upgrade/contract.ts';
import { parse } from '../kit/command.ts';
import { command, textOf } from './upgrade.ts';

it('all are upgraded to something', async () => {
  await expect(command.run(parse('upgrade', command, ['--all']))).rejects.toMatchObject({
    code: 'invalid',
    field: '--image',
  });
});

it('one that runs so already is not told to have been down', () => {
  const after = (downMs: number | null): UpgradeReport => ({
    ...{
      name: 'web',
      way: 'pause',
      why: 'no service',
      steps: [],
      isPaused: true,
      cutConnections: 0,
      services: [],
      downMs,
    },
  });
  expect(textOf(after(null), false)).toBe('web is left as it is: it runs so already\n');
  expect(textOf(after(5), false)).toBe('web is upgraded, it was down for 5 ms\n');
});
