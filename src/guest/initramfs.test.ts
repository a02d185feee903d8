import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { toolPath } from '../sys/tools.ts';
import { buildInitramfs, guestEntries, type InitramfsEntry } from './initramfs.ts';

const list = (archive: Buffer) =>
  execFileSync(toolPath('busybox').path, ['cpio', '-tv'], { input: archive, encoding: 'utf8' }).trim().split('\n');

describe('buildInitramfs', () => {
  const entries: InitramfsEntry[] = [
    { kind: 'directory', path: '/dev', mode: 0o755 },
    { kind: 'character', path: '/dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'file', path: '/init', mode: 0o755, content: Buffer.from('12345') },
    { kind: 'symlink', path: '/usr/bin/there', target: '../init' },
  ];

  it('writes what cpio reads', () => {
    const archive = buildInitramfs(entries);
    const shown = list(archive).map((line) => line.replace(/\s+/g, ' '));
    expect(shown.map((line) => line.split(' ')[0])).toEqual([
      'drwxr-xr-x',
      'crw-------',
      '-rwxr-xr-x',
      'drwxr-xr-x',
      'drwxr-xr-x',
      'lrwxrwxrwx',
    ]);
    expect(shown[1]).toContain('dev/console');
    // inode 2, mode 020600, one link, own device numbers 5 and 1: busybox does not show them
    expect(archive.toString('latin1')).toContain(
      `07070100000002${'2180'.padStart(8, '0')}${'0'.repeat(16)}00000001${'0'.repeat(32)}0000000500000001`,
    );
    expect(shown[2]).toMatch(/ 5 .* init$/);
    expect(shown[5]).toContain('usr/bin/there -> ../init');
  });

  it('is aligned and reproducible', () => {
    const archive = buildInitramfs(entries);
    expect(archive.length % 4).toBe(0);
    expect(buildInitramfs(entries).equals(archive)).toBe(true);
    expect(archive.subarray(0, 6).toString()).toBe('070701');
  });

  it('keeps content byte for byte', () => {
    const content = Buffer.from(Array.from({ length: 1001 }, (_, index) => (index * 7) & 255));
    const archive = buildInitramfs([{ kind: 'file', path: 'a/b', mode: 0o644, content }]);
    expect(archive.includes(content)).toBe(true);
    expect(list(archive).map((line) => line.split(/\s+/).at(-1))).toEqual(['a', 'a/b']);
  });
});

describe('guestEntries', () => {
  it('lists boot modules in order with their parameters, and carries the later ones', () => {
    const content = Buffer.from('m');
    const entries = guestEntries(
      { init: Buffer.from('i'), tools: { 'pk-ring': Buffer.from('r') } },
      [
        { name: 'b.ko', content },
        { name: 'a.ko', content, parameters: 'x=1' },
      ],
      [{ name: 'c.ko', content }],
    );
    const modules = entries.find((entry) => entry.path === '/etc/modules');
    expect(modules).toMatchObject({ content: Buffer.from('/lib/modules/b.ko\n/lib/modules/a.ko x=1\n') });
    expect(list(buildInitramfs(entries)).join('\n')).toContain('lib/modules/c.ko');
    expect(entries.find((entry) => entry.path === '/pk/pk-ring')).toMatchObject({ mode: 0o755 });
  });
});
