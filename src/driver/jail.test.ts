import { describe, expect, it } from 'vitest';
import { type JailSpec, jailArgv } from './jail.ts';

const BASE: JailSpec = {
  callerUid: 0,
  bwrap: '/usr/bin/bwrap',
  pkJail: '/cache/native/pk-jail',
  filter: 'uml',
  noRandomize: true,
  identity: { uid: 1234, gid: 5678 },
  hostCpus: [3],
  memoryNodes: undefined,
  joinFds: [],
  binds: [{ source: '/images/linux', target: '/vmm/linux', access: 'read' }],
  root: { kind: 'directory', path: '/srv/root' },
  volumes: [],
  covers: [],
  shmBytes: 1024,
  directory: '/run/pk/one',
  program: ['/vmm/linux', 'mem=64M'],
};
const text = (change: Partial<JailSpec> = {}) => jailArgv({ ...BASE, ...change }).join('\n');
const lines = (...words: string[]) => words.join('\n');

describe('jailArgv', () => {
  it('runs the program through pk-jail', () => {
    expect(text()).toMatch(
      /\n--\n\/vmm\/pk-jail\n--filter\numl\n--no-randomize\n--cpus\n3\n--uid\n1234\n--gid\n5678\n--\n\/vmm\/linux\nmem=64M$/,
    );
  });

  it('as root uses no user namespace and keeps only what changing identity needs', () => {
    const argv = text();
    expect(argv).not.toContain('--unshare-user');
    expect(argv.match(/CAP_\w+/g)).toEqual(['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP']);
  });

  it('for others uses a user namespace and leaves the identity', () => {
    const argv = text({ callerUid: 1000 });
    expect(argv).toContain('--unshare-user');
    expect(argv).not.toContain('--uid');
    expect(argv).not.toContain('--cap-add');
  });

  it('leaves the identity of a caller who asks for none', () => {
    expect(text({ identity: undefined })).not.toContain('--uid');
  });

  it.each([
    [{ kind: 'directory', path: '/srv/my root' } as const, lines('--ro-bind', '/srv/my root', '/export/root')],
    [{ kind: 'ext4', path: '/a.img' } as const, lines('--ro-bind', '/a.img', '/export/root.img')],
    [{ kind: 'squashfs', path: '/a.sq' } as const, lines('--ro-bind', '/a.sq', '/export/root.img')],
    [{ kind: 'host' } as const, lines('--ro-bind', '/', '/export/root')],
  ])('shows the root %j', (root, expected) => {
    expect(text({ root })).toContain(expected);
  });

  it('covers directories and files of a host root, outermost only', () => {
    const covers = [
      { path: '/run', kind: 'directory' } as const,
      { path: '/run/pk', kind: 'directory' } as const,
      { path: '/runner', kind: 'file' } as const,
    ];
    const argv = text({ root: { kind: 'host' }, covers });
    expect(argv).toContain(lines('--perms', '0555', '--tmpfs', '/export/root/run', '--remount-ro', '/export/root/run'));
    expect(argv).toContain(lines('--ro-bind', '/dev/null', '/export/root/runner'));
    expect(argv).not.toContain('/export/root/run/pk');
    expect(text({ covers })).not.toContain('/export/root/run');
  });

  it('numbers volumes in order', () => {
    const volumes = [
      { source: '/a', target: '/x', readOnly: true },
      { source: '--bind', target: '/y', readOnly: false },
    ];
    const argv = text({ volumes });
    expect(argv).toContain(lines('--ro-bind', '/a', '/export/vol0', '--bind', '--bind', '/export/vol1'));
  });

  it('makes parents of targets passable', () => {
    const binds = [{ source: '/l/libc.so.6', target: '/lib/x86_64-linux-gnu/libc.so.6', access: 'read' } as const];
    expect(text({ binds })).toContain(lines('--perms', '0755', '--dir', '/lib/x86_64-linux-gnu'));
  });
});
