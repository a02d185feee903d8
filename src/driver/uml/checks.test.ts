import { expect, it } from 'vitest';
import { umlChecks } from './checks.ts';

const PACKAGE = { path: '/usr/bin/linux.uml', unpacked: true };

it('the kernel of the package will do, and says where it is', () => {
  expect(umlChecks([], PACKAGE)[0]).toEqual({
    id: 'user-mode-linux',
    status: 'ok',
    summary: 'User Mode Linux is installed (/usr/bin/linux.uml, unpacked by set-up)',
  });
});

it('without it, one of the image store will', () => {
  expect(umlChecks([{ kind: 'x86_64' }], null)).toMatchObject([{ status: 'missing', hint: expect.any(String) }, {}]);
  expect(umlChecks([{ kind: 'uml' }], null)).toMatchObject([
    { status: 'ok', summary: 'User Mode Linux is in the image store' },
    {},
  ]);
});
