import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { hostFiles } from './host-files.ts';
import { limitPlaces } from './limit-places.ts';

let root: string;
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Files by path; their content has a line end. */
function machine(files: Record<string, string>) {
  root = mkdtempSync(join(tmpdir(), 'pk-places-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text === '' ? '' : `${text}\n`);
  }
  return hostFiles(root);
}
const group = (path: string, type: string | undefined, on = '', procs = '') => ({
  [`${path}/cgroup.procs`]: procs,
  [`${path}/cgroup.controllers`]: 'cpu memory pids',
  [`${path}/cgroup.subtree_control`]: on,
  ...(type === undefined ? {} : { [`${path}/cgroup.type`]: type }),
});
const V2 = '35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate';
const CGROUP = '/sys/fs/cgroup';
const USER = `${CGROUP}/user.slice/user@7.service`;
const both = { version: 2, controllers: ['memory', 'pids'] };

describe('limitPlaces', () => {
  it('keeps to the own group of each hierarchy of version 1', () => {
    const host = machine({
      '/proc/self/mountinfo': [
        '35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
        '39 31 0:36 /docker/x /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids',
        '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
      ].join('\n'),
      '/proc/self/cgroup': '4:memory:/some/group\n8:pids:/docker/x/y\n0::/',
      '/sys/fs/cgroup/memory/some/group/cgroup.procs': '1',
      '/sys/fs/cgroup/pids/y/cgroup.procs': '1',
    });
    expect(limitPlaces(host, 0)).toEqual({
      places: [
        { version: 1, parent: '/sys/fs/cgroup/memory/some/group', controllers: ['memory'] },
        { version: 1, parent: '/sys/fs/cgroup/pids/y', controllers: ['pids'] },
      ],
      notes: [],
    });
  });

  it('takes what systemd delegates to a user', () => {
    const host = machine({
      '/proc/self/mountinfo': V2,
      '/proc/self/cgroup': '0::/user.slice/user@7.service/app.slice/pk.service',
      ...group(CGROUP, undefined, 'memory pids'),
      ...group(USER, 'domain', 'memory pids'),
      ...group(`${USER}/app.slice`, 'domain', 'memory pids'),
      ...group(`${USER}/app.slice/pk.service`, 'domain', '', '4711'),
    });
    expect(limitPlaces(host, 7).places).toEqual([{ ...both, parent: `${USER}/app.slice` }]);
  });

  it('is in the root group as root, and in a service that was delegated to it', () => {
    const session = machine({
      '/proc/self/mountinfo': V2,
      '/proc/self/cgroup': '0::/user.slice/session-1.scope',
      ...group(CGROUP, undefined, '', '1'),
      ...group(`${CGROUP}/user.slice`, 'domain', 'memory pids'),
      ...group(`${CGROUP}/user.slice/session-1.scope`, 'domain', '', '4711'),
    });
    expect(limitPlaces(session, 0).places).toEqual([{ ...both, parent: CGROUP }]);
    rmSync(root, { recursive: true });
    const service = machine({
      '/proc/self/mountinfo': V2,
      '/proc/self/cgroup': '0::/system.slice/pk.service/daemon',
      ...group(CGROUP, undefined, 'memory pids'),
      ...group(`${CGROUP}/system.slice`, 'domain', 'memory pids'),
      ...group(`${CGROUP}/system.slice/pk.service`, 'domain'),
      ...group(`${CGROUP}/system.slice/pk.service/daemon`, 'domain', '', '4711'),
    });
    expect(limitPlaces(service, 0).places).toEqual([{ ...both, parent: `${CGROUP}/system.slice/pk.service` }]);
  });

  it('says why there is none', () => {
    const container = machine({
      '/proc/self/mountinfo': V2,
      '/proc/self/cgroup': '0::/',
      ...group(CGROUP, 'domain', '', '1'),
    });
    const notes = ['no control group for memory and pids is delegated to this user'];
    expect(limitPlaces(container, 0)).toEqual({ places: [], notes });
    rmSync(root, { recursive: true });
    const bare = machine({ '/proc/self/cgroup': '0::/' });
    expect(limitPlaces(bare, 0).notes).toEqual(['this host offers no control groups for memory and pids']);
  });
});
