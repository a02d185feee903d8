import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readOpenFiles } from '../sys/open-files.ts';
import { hostChecks } from './doctor.ts';
import { type HostFacts, NATIVE_PROGRAMS, observeHost } from './host-facts.ts';

const GIB = 1024 ** 3;
const tool = { path: '/usr/bin/x', unpacked: false };
const image = { kind: 'uml', version: '6.1', digest: '', sizeBytes: 1, source: '', createdAt: '' } as const;

const GOOD: HostFacts = {
  nodeVersion: '26.1.0',
  uid: 1000,
  tools: {
    'apt-get': tool,
    'apt-cache': tool,
    bwrap: tool,
  },
  userNamespaces: { maximum: 100, debianClone: undefined, apparmorRestricts: undefined },
  idsPerKernel: 65_536,
  images: [
    { ...image, name: 'debian:uml' },
    { ...image, name: 'debian:amd64' },
  ],
  natives: Object.fromEntries(NATIVE_PROGRAMS.map((name) => [name, true])),
  home: { path: '/home', freeBytes: 9 * GIB, totalBytes: 9 * GIB },
  cache: { path: '/cache', freeBytes: 9 * GIB, totalBytes: 9 * GIB },
  sharedMemory: { path: '/dev/shm', freeBytes: 9 * GIB, totalBytes: 9 * GIB },
  openFiles: { soft: 1024, hard: 524_288 },
  limits: { groups: ['memory', 'pids'], notes: [] },
  cgroup: { kind: 'v2', controllers: ['cpu', 'memory'] },
};

describe('hostChecks', () => {
  it('finds nothing wrong with a good machine', () => {
    const checks = hostChecks(GOOD);
    expect(checks.filter((check) => check.status !== 'ok')).toEqual([]);
    expect(new Set(checks.map((check) => check.id)).size).toBe(checks.length);
  });

  const faults: [string, string, Partial<HostFacts>, RegExp][] = [
    ['identity', 'warn', { idsPerKernel: 1 }, /apt-get install uidmap/],
    ['node', 'missing', { nodeVersion: '20.2.0' }, /pk setup/],
    ['bubblewrap', 'missing', { tools: { ...GOOD.tools, bwrap: undefined } }, /apt-get install bubblewrap/],
    ['user-namespaces', 'missing', { userNamespaces: { ...GOOD.userNamespaces, maximum: 0 } }, /max_user_namespaces/],
    ['user-namespaces', 'missing', { userNamespaces: { ...GOOD.userNamespaces, debianClone: 0 } }, /userns_clone=1/],
    ['user-namespaces', 'warn', { userNamespaces: { ...GOOD.userNamespaces, apparmorRestricts: 1 } }, /apparmor/],
    ['images', 'warn', { images: [GOOD.images[0]!] }, /pk image pull debian:amd64`\.$/],
    ['images', 'missing', { images: [] }, /debian:uml` and `pk image pull debian:amd64/],
    ['native', 'missing', { natives: { 'pk-init': true } }, /pk setup/],
    ['home-space', 'warn', { home: { ...GOOD.home, freeBytes: GIB } }, /Free some space/],
    ['shared-memory', 'warn', { sharedMemory: { ...GOOD.home, freeBytes: 1 } }, /remount/],
    ['shared-memory', 'missing', { sharedMemory: undefined }, /mount -t tmpfs/],
    ['open-files', 'warn', { openFiles: { soft: 256, hard: 512 } }, /ulimit -n/],
    ['limits', 'warn', { limits: { groups: [], notes: ['nothing is delegated'] } }, /systemd-run --user/],
    ['limits', 'warn', { uid: 0, limits: { groups: ['pids'], notes: ['no memory'] } }, /controllers memory/],
    ['cgroup', 'warn', { cgroup: { kind: 'none', controllers: [] } }, /cgroup2/],
  ];
  it.each(faults)('%s: %s with a hint', (id, status, facts, hint) => {
    const bad = hostChecks({ ...GOOD, ...facts }).filter((check) => check.status !== 'ok');
    expect(bad).toEqual([{ id, status, summary: expect.any(String), hint: expect.stringMatching(hint) }]);
  });

  it('lets root make user namespaces where others may not', () => {
    const restricted = { ...GOOD.userNamespaces, debianClone: 0, apparmorRestricts: 1 };
    const of = (userNamespaces: HostFacts['userNamespaces']) =>
      hostChecks({ ...GOOD, uid: 0, userNamespaces }).find(({ id }) => id === 'user-namespaces')?.status;
    expect(of(restricted)).toBe('ok');
    expect(of({ ...restricted, maximum: 0 })).toBe('missing');
  });
});

describe('observeHost', () => {
  it('reads another root', async () => {
    const root = mkdtempSync(join(tmpdir(), 'pk-facts-'));
    try {
      for (const path of ['proc/sys/user', 'proc/self', 'sys/fs/cgroup', 'dev/shm'])
        mkdirSync(join(root, path), { recursive: true });
      writeFileSync(join(root, 'proc/sys/user/max_user_namespaces'), '77\n');
      writeFileSync(
        join(root, 'proc/self/limits'),
        'Limit   Soft  Hard\nMax open files            1024                 4096                 files\n',
      );
      writeFileSync(join(root, 'sys/fs/cgroup/cgroup.controllers'), 'cpu io memory\n');
      const facts = await observeHost({
        home: join(root, 'not/yet'),
        cache: root,
        images: { list: async () => [] },
        root,
      });
      expect(facts).toMatchObject({
        userNamespaces: { maximum: 77, debianClone: undefined },
        openFiles: { soft: 1024, hard: 4096 },
        limits: { groups: [], notes: ['this host offers no control groups for memory and pids'] },
        cgroup: { kind: 'v2', controllers: ['cpu', 'io', 'memory'] },
        home: { path: root },
        natives: { 'pk-init': false },
      });
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  it('knows unlimited', () => {
    expect(readOpenFiles('Max open files unlimited unlimited files')).toEqual({
      soft: Number.POSITIVE_INFINITY,
      hard: Number.POSITIVE_INFINITY,
    });
  });
});
