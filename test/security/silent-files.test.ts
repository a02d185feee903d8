/** File systems that others serve, and that never answer. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startDaemon, untilState } from '../support/harness.ts';

/** A mount whose server says nothing; once `end` is called all who wait for it get an error. */
function silentMount(): { path: string; end(): void } {
  const path = mkdtempSync(join(tmpdir(), 'pk-silent-'));
  const server = openSync('/dev/fuse', 'r+');
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0,allow_other';
  const mount = spawnSync('mount', ['-i', '-t', 'fuse', '-o', options, 'silent', path], {
    stdio: ['ignore', 'ignore', 'pipe', server],
  });
  let isOpen = true;
  const end = () => {
    if (!isOpen) return;
    isOpen = false;
    closeSync(server);
    spawnSync('umount', ['-l', path]);
    rmdirSync(path);
  };
  if (mount.status !== 0) {
    end();
    throw new Error(String(mount.stderr));
  }
  return { path, end };
}

function canServe(): boolean {
  try {
    closeSync(openSync('/dev/fuse', 'r+'));
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
}

it.runIf(canServe())(
  'keep from others neither the daemon nor its files, as roots, volumes and working directories',
  async () => {
    const test = await startDaemon();
    const { path, end } = silentMount();
    try {
      const stuck = ['a', 'b', 'c'].flatMap((name) => [
        test.create({ command: ['true'], root: path }),
        test.create({ command: ['true'], volumes: [{ source: join(path, name), target: '/x', readOnly: false }] }),
        test.create({ command: ['true'], cwd: join(path, name) }),
      ]);
      const outcomes = Promise.allSettled(stuck);
      await test.create({ name: 'free', command: ['sleep'] });
      await untilState(test, 'free', 'running');
      end();
      // The working directory is only a wish, and gone now.
      expect((await outcomes).map(({ status }) => status).filter((status) => status === 'rejected')).toHaveLength(6);
    } finally {
      end();
    }
  },
);
