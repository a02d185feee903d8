import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commandLine } from '../../core/process-id.ts';
import { processStartTime, which } from '../../sys/process.ts';
import { SHIM_PID_FILE, untilEnded, untilGone } from './process.ts';

const isRoot = process.getuid?.() === 0;
/** nobody, of Debian. */
const OTHER = 65_534;
let directory: string;
let child: ChildProcess | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-process-'));
  chmodSync(directory, 0o755);
});
afterEach(async () => {
  const ended = child && once(child, 'exit');
  child?.kill('SIGKILL');
  await ended;
  child = undefined;
  rmSync(directory, { recursive: true });
});

/** A process that looks as if it were the jail of the directory. */
async function likeJail(uid: number | undefined, more: string[] = []): Promise<number> {
  child = spawn('/bin/sh', ['-c', 'echo up; read line', 'sh', ...more, directory], {
    argv0: 'bwrap',
    stdio: ['pipe', 'pipe', 'inherit'],
    ...(uid !== undefined && { uid }),
  });
  await once(child.stdout!, 'data');
  return child.pid!;
}

describe('what is left of a launch', () => {
  it('is waited for, however long its command line', async () => {
    const pid = await likeJail(undefined, Array(20).fill('x'.repeat(10_000)));
    await expect(untilGone(directory, undefined, 0)).rejects.toMatchObject({ code: 'internal', value: pid });
  });

  it.runIf(isRoot)('is no process of another user, whatever its command line says', async () => {
    await likeJail(OTHER);
    await untilGone(directory, undefined, 0);
  });

  it.runIf(isRoot)('is nothing inside a jail, whose command line is not even read', async () => {
    const like = 'exec -a bwrap sh -c "echo up; read line" sh "$0"';
    child = spawn(which('unshare')!, ['--pid', '--fork', '--kill-child', 'bash', '-c', like, directory], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(child.stdout!, 'data');
    await untilGone(directory, undefined, 0);
  });

  it.runIf(isRoot)('is one with the ids of a kernel', async () => {
    const pid = await likeJail(0x7100_0000);
    await expect(untilGone(directory, undefined, 0)).rejects.toMatchObject({ value: pid });
  });
});

it('the end of a kernel is not over while its shim, which has told of it, still runs', async () => {
  const pid = await likeJail(undefined);
  writeFileSync(join(directory, SHIM_PID_FILE), `${pid} ${processStartTime(pid)}\n`);
  await expect(untilEnded(directory, 0)).rejects.toMatchObject({ value: pid });
  const ended = once(child!, 'exit');
  child!.kill('SIGKILL');
  await ended;
  child = undefined;
  await untilEnded(directory, 0);
});

it('a command line is read as far as its bound', async () => {
  const pid = await likeJail(undefined, Array(20).fill('x'.repeat(10_000)));
  expect(commandLine(pid).join('\0')).toHaveLength(64 * 1024);
  expect(commandLine(pid, 5)).toEqual(['bwrap']);
});
