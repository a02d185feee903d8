import { expect, it } from 'vitest';
import { daemonChecks } from './checks.ts';

it('says what control groups are left, and nothing where there are none', () => {
  expect(daemonChecks([]).map(({ id }) => id)).toEqual(['systemd']);
  expect(daemonChecks(['/a/polykernel-1', '/a/polykernel-2'])[1]).toMatchObject({
    ...{ id: 'lost-groups', status: 'warn', summary: expect.stringMatching(/^2 empty control groups are left/) },
    hint: expect.stringContaining('/a/polykernel-1'),
  });
});
