import { describe, expect, it } from 'vitest';
import { type JailSpec, jailArgv } from './jail.ts';

const BASE: JailSpec = {
  identity: { kind: 'range', start: 0x7100_0000, count: 65_536 },
  bwrap: '/usr/bin/bwrap',
  pkCell: '/cache/native/pk-cell',
  pkJail: '/cache/native/pk-jail',
  filter: 'uml',
  noRandomize: true,
  hostCpus: [3],
  memoryNodes: undefined,
  joinFds: [],
  binds: [{ source: '/images/linux', target: '/vmm/linux', access: 'read' }],
  root: { kind: 'directory', path: '/srv/root', uid: 1000, inode: '42' },
  volumes: [],
  covers: [],
  memoryFiles: [{ target: '/dev/shm', bytes: 1024, inodes: 8, mode: '1777' }],
  directory: '/run/pk/one',
  program: ['/vmm/linux', 'mem=64M'],
};
const SUBIDS: JailSpec['identity'] = {
  kind: 'subids',
  uids: { start: 100_000, count: 65_535 },
  gids: { start: 200_000, count: 65_535 },
  newuidmap: '/usr/bin/newuidmap',
  newgidmap: '/usr/bin/newgidmap',
};
const text = (change: Partial<JailSpec> = {}) => jailArgv({ ...BASE, ...change }).join('\n');
const lines = (...words: string[]) => words.join('\n');
const FILES = '\n--umask\n0\n--caps\nfiles\n';

describe('jailArgv', () => {
  it('runs the program through pk-cell, bubblewrap and pk-jail', () => {
    expect(text()).toMatch(/^\/cache\/native\/pk-cell\n--range\n1895825408,65536\n--dir\n\/run\/pk\/one\n/);
    expect(text()).toMatch(
      /\n--\n\/vmm\/pk-jail\n--filter\numl\n--userns\n64\n--umask\n0\n--caps\nfiles\n--no-randomize\n--cpus\n3\n(?:--write\n\/\S+\n)+--\n\/vmm\/linux\nmem=64M$/,
    );
  });

  it.each([
    [BASE.identity, '--range\n1895825408,65536', true],
    [SUBIDS, '--subids\n/usr/bin/newuidmap,/usr/bin/newgidmap,100000,65535,200000,65535', false],
    [{ kind: 'single' } as const, '--single', false],
  ])('gives %j its ids, and leaves no right that is not needed', (identity, option, hasNamespace) => {
    const argv = text({ identity });
    expect(argv).toContain(option);
    expect(argv.includes('\n--userns\n')).toBe(hasNamespace);
    expect(argv.includes(FILES)).toBe(identity.kind !== 'single');
    // Root's bubblewrap needs no rights over files: those of the guest's own namespace come with it.
    expect(argv.includes('CAP_CHOWN')).toBe(identity.kind !== 'range');
    for (const name of ['CAP_SETFCAP', 'CAP_MKNOD', 'CAP_SYS_ADMIN', 'CAP_FSETID']) expect(argv).not.toContain(name);
  });

  it('opens a file of the jail for its program, and none otherwise', () => {
    expect(text()).not.toContain('--open');
    expect(text({ opened: { fd: 6, path: '/vmm/state' } })).toContain(lines('--open', '6,/vmm/state', '--'));
  });

  it('tells no VMM what this machine is called', () => {
    expect(text()).toContain(lines('--unshare-uts'));
    expect(text()).toContain(lines('--hostname', 'polykernel'));
    expect(text({ nodeName: 'a\nb' })).toContain(lines('--hostname', 'a\nb'));
  });

  it('shows the modules of the kernel, read-only, beside any root', () => {
    for (const root of [BASE.root, { kind: 'host' }, { kind: 'ext4', path: '/a.img' }] as const) {
      const argv = text({ root, moduleTree: '/cache/images/modules/ab' });
      expect(argv).toContain(lines('--tree', 'modules', 'ro', 'plain', '-', '/cache/images/modules/ab'));
      expect(argv).toContain(lines('--ro-bind', '/run/pk/one/trees/modules', '/export/modules'));
    }
    expect(text()).not.toContain('modules');
  });

  it.each([
    [
      { kind: 'directory', path: '/srv/my root', uid: 7, inode: '8' } as const,
      ['root', 'ro', 'mapped', '7,8', '/srv/my root'],
    ],
    [{ kind: 'ext4', path: '/a.img' } as const, ['root.img', 'ro', 'owned', '-', '/a.img']],
    [{ kind: 'squashfs', path: '/a.sq' } as const, ['root.img', 'ro', 'owned', '-', '/a.sq']],
    [{ kind: 'host', mapped: true } as const, ['root', 'ro', 'mapped', '-', '/']],
    [{ kind: 'host' } as const, ['root', 'ro', 'plain', '-', '/']],
  ])('shows the root %j', (root, tree) => {
    expect(text({ root })).toContain(lines('--tree', ...tree));
    const target = root.kind === 'ext4' || root.kind === 'squashfs' ? '/export/root.img' : '/export/root';
    expect(text({ root })).toContain(lines('--ro-bind', `/run/pk/one/trees/${tree[0]}`, target));
  });

  it('gives a VMM that serves no files no rights over any', () => {
    expect(text({ root: { kind: 'ext4', path: '/a.img' } })).not.toContain('--caps');
    const volumes = [{ source: '/a', target: '/x', readOnly: true }];
    expect(text({ root: { kind: 'ext4', path: '/a.img' }, volumes })).toContain(FILES);
  });

  it('covers directories and files of a host root, outermost only, but for what is to be shown', () => {
    const covers = [
      { path: '/run', kind: 'directory' } as const,
      { path: '/run/pk', kind: 'directory' } as const,
      { path: '/runner', kind: 'file' } as const,
      { path: '/tmp', kind: 'directory', isTemporary: true } as const,
    ];
    const argv = text({
      root: { kind: 'host' },
      covers,
      uncovered: [{ path: '/tmp/a/b', uid: 5, inode: '9' }, { path: '/home/me' }],
    });
    expect(argv).toContain(lines('--tree', 'shown0', 'ro', 'plain', '5,9', '/tmp/a/b'));
    expect(argv).not.toContain('shown1');
    expect(argv).toContain(lines('--perms', '0555', '--tmpfs', '/export/root/run', '--remount-ro', '/export/root/run'));
    expect(argv).toContain(lines('--ro-bind', '/dev/null', '/export/root/runner'));
    expect(argv).not.toContain('/export/root/run/pk');
    expect(argv).toContain(
      lines(
        ...['--perms', '1777', '--tmpfs', '/export/root/tmp', '--perms', '0755', '--dir', '/export/root/tmp/a'],
        ...['--ro-bind', '/run/pk/one/trees/shown0', '/export/root/tmp/a/b', '--remount-ro', '/export/root/tmp'],
      ),
    );
    expect(argv).not.toContain('/export/root/home/me');
    const nested = [...covers, { path: '/tmp/a/b/secret', kind: 'directory' } as const];
    expect(text({ root: { kind: 'host' }, covers: nested, uncovered: [{ path: '/tmp/a/b' }] })).toContain(
      lines('/export/root/tmp/a/b', '--perms', '0555', '--tmpfs', '/export/root/tmp/a/b/secret', '--remount-ro'),
    );
    expect(text({ covers })).not.toContain('/export/root/run');
  });

  it('numbers volumes in order, and shows what was given and nothing else', () => {
    const volumes = [
      { source: '/a', target: '/x', readOnly: true },
      { source: '--bind', target: '/y', readOnly: false, seen: { path: '/real', uid: 5, inode: '99' } },
    ];
    const argv = text({ volumes });
    expect(argv).toContain(lines('--tree', 'vol0', 'ro', 'mapped', '-', '/a'));
    expect(argv).toContain(lines('--tree', 'vol1', 'rw', 'mapped', '5,99', '/real'));
    expect(argv).toContain(lines('--bind', '/run/pk/one/trees/vol1', '/export/vol1'));
    for (const path of ['/dev', '/tmp', '/export/vol1']) expect(argv).toContain(lines('--write', path));
    expect(argv).not.toContain(lines('--write', '/export/vol0'));
    expect(argv).not.toContain('--may-set-id');
    expect(text({ volumes: [{ ...volumes[0]!, maySetId: true }] })).toContain('--may-set-id');
    expect(argv).not.toContain('--may-use-huge-pages');
    expect(text({ hugePages: true })).toContain('--may-use-huge-pages');
    for (const option of ['--machine-cpus', '--may-fork', '--may-read-proc']) expect(argv).not.toContain(option);
    expect(text({ mayFork: true })).toContain('--may-fork');
    expect(text({ mayReadProc: true })).toContain('--may-read-proc');
    expect(text({ machineCpus: 4 })).toContain(lines('--machine-cpus', '4'));
  });

  it('makes parents of targets passable', () => {
    const binds = [{ source: '/l/libc.so.6', target: '/lib/x86_64-linux-gnu/libc.so.6', access: 'read' } as const];
    expect(text({ binds })).toContain(lines('--perms', '0755', '--dir', '/lib/x86_64-linux-gnu'));
  });

  it('bounds all files in memory, in bytes and in number', () => {
    expect(text()).toContain(lines('--memory-files', 'mem0,67108864,1024,1777', '--memory-files', 'mem1,1024,8,1777'));
    expect(text()).toContain(lines('--bind', '/run/pk/one/trees/mem1', '/dev/shm'));
  });
});
