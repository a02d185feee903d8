import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { layout } from '../sys/paths.ts';
import { daemonProcess, daemonProcessHere } from './daemon-process.ts';

it('is the process alone that has the database open, whatever number the daemon says', () => {
  const root = mkdtempSync(join(tmpdir(), 'pk-daemon-'));
  const paths = layout(join(root, 'home'));
  const process = (pid: number, ...files: string[]) => {
    const fd = join(root, String(pid), 'fd');
    mkdirSync(fd, { recursive: true });
    writeFileSync(join(root, String(pid), 'stat'), `${pid} (node) S ${'1 '.repeat(18)}77 `);
    for (const [index, file] of files.entries()) symlinkSync(file, join(fd, String(index)));
  };
  const other = join(root, 'other.db');
  try {
    mkdirSync(paths.home);
    writeFileSync(other, '');
    process(4, join(root, 'gone'));
    expect(daemonProcess(4, paths, root)).toBeUndefined();
    writeFileSync(paths.database, '');
    process(1, other, join(root, 'gone'), paths.database);
    process(2, other, join(root, 'gone'));
    process(3);
    rmSync(join(root, '3/fd'), { recursive: true });
    expect([1, 2, 3, 4, 5].map((pid) => daemonProcess(pid, paths, root))).toEqual([
      { pid: 1, startTime: 77 },
      ...Array(4).fill(undefined),
    ]);
    expect(() => daemonProcessHere(1, paths)).toThrow(/process 1 is not the daemon that serves/);
  } finally {
    rmSync(root, { recursive: true });
  }
});
