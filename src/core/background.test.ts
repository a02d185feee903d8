import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { processStartTime } from '../sys/process.ts';
import { endAllBut, endBackground, findBackground, startBackground } from './background.ts';
import { endProcesses, isAlive } from './process-id.ts';

const ID = 'a'.repeat(32);
let directory: string;
let children: ChildProcess[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-background-'));
  children = [];
});
afterEach(async () => {
  vi.restoreAllMocks();
  await endAllBut(directory, new Set(), 1);
  for (const child of children) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

const keeper = (name = 'keeper', ...args: string[]) => {
  const file = join(directory, name);
  return {
    file,
    start: () => startBackground({ program: 'pk-ring', file, args: ['keep', ID, '4096', file, ...args], numbers: 1 }),
  };
};

/** A process with `file` on its command line, as an earlier version or a stranger may have it. */
async function follower(file: string): Promise<number> {
  writeFileSync(file, 'here\n');
  const child = spawn('tail', ['-f', file], { stdio: ['ignore', 'pipe', 'ignore'] });
  children.push(child);
  await once(child.stdout!, 'data');
  return child.pid!;
}

test('one that was started is found by number and start time, and ended with its file', async () => {
  const { file, start } = keeper();
  const started = await start();
  if ('reason' in started) throw new Error(started.reason);
  expect(readFileSync(file, 'latin1')).toBe(`${started.pid} ${started.startTime} ${started.numbers[0]}\n`);
  expect(started.startTime).toBe(processStartTime(started.pid));
  expect(findBackground(file, 1)).toEqual(started);
  const next = await start();
  if ('reason' in next) throw new Error(next.reason);
  expect(isAlive(started)).toBe(false);
  await endBackground(file, 1);
  expect(isAlive(next)).toBe(false);
  expect(readdirSync(directory)).toEqual([]);
  await endBackground(file, 1);
});

test('one that does not come to run says why, and leaves nothing', async () => {
  const { file } = keeper();
  const args = ['keep', ID, '5000', file];
  const failed = await startBackground({ program: 'pk-ring', file, args, numbers: 1 });
  expect(failed).toMatchObject({ code: 1, reason: expect.stringContaining('power of two') });
  expect(readdirSync(directory)).toEqual([]);
  const missing = keeper('missing', '/nonexistent');
  expect(await missing.start()).toMatchObject({ code: 1, reason: expect.stringContaining('/nonexistent') });
});

test('a number that another process has by now names nobody, and nobody is ended by it', async () => {
  const file = join(directory, 'file');
  const pid = await follower(file);
  const startTime = processStartTime(pid)!;
  writeFileSync(file, `${pid} ${startTime}\n`);
  expect(findBackground(file)).toEqual({ pid, startTime, numbers: [] });
  for (const text of [
    `${pid} ${startTime + 1}\n`,
    `${process.pid} ${processStartTime(process.pid)}\n`,
    `${process.pid}\n`,
  ]) {
    writeFileSync(file, text);
    expect(findBackground(file)).toBeUndefined();
    await endBackground(file);
  }
  expect(processStartTime(pid)).toBe(startTime);
});

test('one of an earlier version, whose file has no start time, is found and ended', async () => {
  const file = join(directory, 'file');
  const pid = await follower(file);
  for (const [text, numbers] of [
    [`${pid}\n`, 0],
    [`${pid} 7\n`, 1],
  ] as const) {
    writeFileSync(file, text);
    expect(findBackground(file, numbers)).toEqual({
      pid,
      startTime: processStartTime(pid),
      numbers: numbers ? [7] : [],
    });
  }
  await endBackground(file, 1);
  expect(processStartTime(pid)).toBeUndefined();
});

test('one that does not hear SIGTERM is killed', async () => {
  const file = join(directory, 'file');
  const pid = await follower(file);
  writeFileSync(file, `${pid} ${processStartTime(pid)}\n`);
  process.kill(pid, 'SIGSTOP');
  await endBackground(file, 0, 1000);
  expect(processStartTime(pid)).toBeUndefined();
  expect(existsSync(file)).toBe(false);
});

test('one that survives even that is told', async () => {
  // This process: its signals do not reach it.
  const survivor = { pid: process.pid, startTime: processStartTime(process.pid)! };
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  await expect(endProcesses(() => [survivor], 'the keeper', 1)).rejects.toMatchObject({
    code: 'internal',
    message: `the keeper (process ${process.pid}) does not end`,
  });
  expect(kill.mock.calls).toEqual([
    [process.pid, 'SIGTERM'],
    [process.pid, 'SIGKILL'],
  ]);
});

test('of a directory all but some are ended', async () => {
  const [kept, one, two] = [keeper('kept'), keeper('one'), keeper('two')];
  for (const { start } of [kept, one, two]) await start();
  writeFileSync(join(directory, 'garbage'), '');
  await endAllBut(directory, new Set(['kept']), 1);
  expect(readdirSync(directory)).toEqual(['kept']);
  expect(findBackground(kept.file, 1)).toBeDefined();
  await endAllBut(join(directory, 'nowhere'), new Set());
});

test.each(['', '0\n', '-1 5\n', '1 2 3 4 5 6\n', '99999999999 1\n', '1', '1 x\n', '1\n2\n', ' 1\n'])(
  'a file that says %j names nobody',
  (text) => {
    writeFileSync(join(directory, 'file'), text);
    for (const numbers of [0, 1]) expect(findBackground(join(directory, 'file'), numbers)).toBeUndefined();
  },
);

test('neither does a directory, nor no file at all', () => {
  expect(findBackground(directory)).toBeUndefined();
  expect(findBackground(join(directory, 'none'))).toBeUndefined();
});
