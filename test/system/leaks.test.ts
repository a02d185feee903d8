import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { added, look } from '../../scripts/leaks.ts';

test('a process, a socket and files that were left are named, and nothing once they are gone', async () => {
  const place = mkdtempSync(join(tmpdir(), 'pk-leaks-'));
  const cache = join(place, 'cache');
  const state = join(place, 'state');
  for (const path of [cache, state]) mkdirSync(path);
  // Other tests run beside this one: only what has its name counts.
  const mine = () => added(before, look([state], [cache])).filter((line) => line.includes(place));
  const before = look([state], [cache]);
  const child = spawn('sleep', ['1000'], { argv0: join(place, 'sleep') });
  const server = createServer().listen(join(state, 'socket'));
  await Promise.all([once(child, 'spawn'), once(server, 'listening')]);
  writeFileSync(join(cache, 'image.partial'), '');
  writeFileSync(join(cache, 'image'), '');
  symlinkSync('/', join(state, 'link'));
  try {
    expect(mine()).toEqual([
      expect.stringMatching(/^process: \d+ .*sleep 1000$/),
      expect.stringMatching(/^unix socket: .*state\/socket$/),
      `file: ${state}/link`,
      `file: ${state}/socket`,
      `work file: ${cache}/image.partial`,
    ]);
  } finally {
    server.close();
    child.kill('SIGKILL');
    await once(child, 'exit');
    rmSync(place, { recursive: true });
  }
  expect(mine()).toEqual([]);
});

test('of equal things each counts', () => {
  expect(added({ mount: ['a'] }, { mount: ['a', 'a'], process: ['1 x'] })).toEqual(['mount: a', 'process: 1 x']);
  expect(added({ mount: ['a', 'b'] }, { mount: ['b'] })).toEqual([]);
});
