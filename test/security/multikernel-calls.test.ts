/**
 * The system calls of `--driver multikernel` have flags that other kernels take for something else: nothing makes them where the file
 * system of such a kernel is not proven to be mounted.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { hostProblem, thisHost } from '../../src/driver/multikernel/host.ts';
import { nativeProgram } from '../support/native.ts';

/** On a true host the calls are there, and a test must make none of them. */
const isHost = hostProblem() === undefined;
const ENOENT = '2\n';
const ENODEV = '19\n';

let kexec: string;
beforeAll(async () => {
  kexec = await nativeProgram('pk-kexec');
});

const A_HOST = 'this machine is a multikernel host, and none of its calls is to be made';

it('there is no object with the calls on an ordinary machine', ({ skip }) => {
  skip(isHost, A_HOST);
  expect(hostProblem()).toMatchObject({ reason: expect.any(String), hint: expect.any(String) });
  expect(() => thisHost()).toThrow(expect.objectContaining({ code: 'unavailable' }));
});

it('pk-kexec makes no call there, whatever it is told', ({ skip }) => {
  skip(isHost, A_HOST);
  const calls = [
    ['load', 'web', '1', '/dev/null', '', 'quiet'],
    ...['unload', 'boot', 'halt', 'force'].map((word) => [word, 'web', '1']),
  ];
  for (const call of calls) {
    const { status, stdout, stderr } = spawnSync(kexec, call, { encoding: 'utf8' });
    expect([status, [ENOENT, ENODEV].includes(stdout)]).toEqual([1, true]);
    expect(stderr).toContain('/sys/fs/multikernel');
  }
});

it('a directory that only looks like it is not enough', ({ skip }) => {
  skip(isHost, A_HOST);
  skip(process.getuid?.() !== 0, 'only root can mount what looks like a multikernel host');
  const look =
    'mount -t tmpfs none /sys/fs && mkdir -p /sys/fs/multikernel/instances/web && cd /sys/fs/multikernel/instances/web';
  const script = `${look} && echo 1 > id && echo loaded > status && exec "$0" boot web 1`;
  const { status, stdout, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', script, kexec], { encoding: 'utf8' });
  expect([status, stdout]).toEqual([1, ENODEV]);
  expect(stderr).toContain('is not mounted');
});

it('the proof stands before every call in its source, and no option or variable leads past it', () => {
  const source = readFileSync(join(import.meta.dirname, '../../native/kexec/main.c'), 'utf8');
  const main = source.slice(source.indexOf('int main('));
  expect(main.indexOf('prove(')).toBeLessThan(main.indexOf('load('));
  expect(main.indexOf('prove(')).toBeLessThan(main.indexOf('syscall('));
  expect(source).not.toMatch(/getenv|getopt/);
});
