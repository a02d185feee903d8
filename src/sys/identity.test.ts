import { expect, it } from 'vitest';
import { identityOptions, parseSubids, subidOwners } from './identity.ts';

it('reads /etc/subuid, and passes over what is no line of it', () => {
  const text = 'me:100000:65536\n# comment\n1000:200000:10\nbroken\n::\nyou:1:x\n  them:300000:5  \n';
  expect(parseSubids(text)).toEqual([
    { owner: 'me', start: 100_000, count: 65_536 },
    { owner: '1000', start: 200_000, count: 10 },
    { owner: 'them', start: 300_000, count: 5 },
  ]);
});

it('says an identity as pk-cell takes it', () => {
  expect(identityOptions({ kind: 'range', start: 5, count: 6 })).toEqual(['--range', '5,6']);
  expect(identityOptions({ kind: 'single' })).toEqual(['--single']);
  const [uids, gids] = [
    { start: 1, count: 2 },
    { start: 3, count: 4 },
  ];
  expect(identityOptions({ kind: 'subids', uids, gids, newuidmap: '/u', newgidmap: '/g' })).toEqual([
    '--subids',
    '/u,/g,1,2,3,4',
  ]);
});

it('knows who has no name by his number', () => {
  const uid = String(process.getuid!());
  expect(subidOwners(() => ({ username: 'me' }))).toEqual(['me', uid]);
  const nameless = () => {
    throw new Error('ENOENT: no such file or directory, uv_os_get_passwd');
  };
  expect(subidOwners(nameless)).toEqual([uid]);
});
