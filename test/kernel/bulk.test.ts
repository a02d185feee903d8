/** Much data into and out of real kernels: unharmed, in order, by several at once, over a change of the daemon. */
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Sandbox } from '../support/pk.ts';

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe.each(['uml', 'qemu'])('%s', (driver) => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await Sandbox.create();
    await sandbox.ok('run', '-d', '--driver', driver, '--name', 'bulk', '--', 'sleep', '100000');
  });
  afterAll(() => sandbox[Symbol.asyncDispose]());

  /** What `command` in the guest makes of `input`. */
  async function through(input: Uint8Array, ...command: string[]): Promise<Buffer> {
    const child = sandbox.start('exec', '-i', 'bulk', '--', ...command);
    child.stdin!.on('error', () => {}); // the command may not want it all
    child.stdin!.end(input);
    const [output, complaint] = await Promise.all([buffer(child.stdout!), buffer(child.stderr!)]);
    expect(complaint.toString()).toBe('');
    return output;
  }

  it('carries several streams at once, each to its own', async () => {
    const inputs = [6_000_001, 3_000_000, 1024, 1023].map((bytes) => randomBytes(bytes));
    const outputs = await Promise.all(inputs.map((input) => through(input, 'cat')));
    expect(outputs.map(digest)).toEqual(inputs.map(digest));
  });

  it('lets programs have the CPU while much passes, and starts them as always', async () => {
    const scheduled = async () =>
      (
        await sandbox.ok('exec', 'bulk', '--', 'cut', '-d', ' ', '-f', '19,41', '/proc/1/stat', '/proc/self/stat')
      ).trim();
    const [idle, flowing] = ['0 0\n0 0', '-10 3\n0 0'];
    expect(await scheduled()).toBe(idle);
    const much = sandbox.start('exec', 'bulk', '--', 'cat', '/dev/zero');
    much.stdout!.resume();
    await expect.poll(scheduled, { timeout: 60_000 }).toBe(flowing);
    much.kill('SIGKILL');
    await expect.poll(scheduled, { timeout: 60_000 }).toBe(idle);
  });

  it('goes on after one that reads nothing, and one that nobody reads', async () => {
    expect((await through(randomBytes(2_000_000), 'true')).length).toBe(0);
    const unread = sandbox.start('exec', 'bulk', '--', 'cat', '/dev/zero');
    await new Promise((resolve) => unread.stdout!.once('readable', resolve));
    const input = randomBytes(2_000_000);
    expect(digest(await through(input, 'cat'))).toBe(digest(input));
    unread.kill('SIGKILL');
  });

  it.each([1, 1023, 16_383, 65_537, 262_145, 1_048_577])(
    'carries %i bytes to a slow reader and back',
    async (bytes) => {
      const input = randomBytes(bytes);
      expect(digest(await through(input, 'sh', '-c', 'sleep 0.05; dd bs=997 2>/dev/null; sleep 0.05'))).toBe(
        digest(input),
      );
    },
  );

  it('gives the input of a client that is killed as far as it came, and nothing else', async () => {
    for (const victim of ['client', 'daemon'] as const) {
      const script = `mkfifo /tmp/go-${victim}; echo begun; exec 3<&0; cat /tmp/go-${victim}; cat <&3 > /tmp/got-${victim}; touch /tmp/end-${victim}`;
      const child = sandbox.start('exec', '-i', 'bulk', '--', 'setsid', '-w', 'sh', '-c', script);
      child.stdin!.on('error', () => {});
      // Nobody reads it yet, so that the line stands in the middle of something; the reader outlives its session.
      const input = randomBytes(8_000_000);
      let sent = 0;
      const write = (error?: Error | null) => {
        if (error || sent >= input.length) return;
        sent += 50_000;
        child.stdin!.write(input.subarray(sent - 50_000, sent), write);
      };
      write();
      // From here on it is in no process group that the end of the session would end.
      await new Promise((resolve) => child.stdout!.once('data', resolve));
      await expect.poll(() => sent, { timeout: 30_000 }).toBeGreaterThan(1_000_000);
      const daemon = async () => (await sandbox.json<{ daemon: { pid: number } }>('version')).daemon.pid;
      if (victim === 'daemon') process.kill(await daemon(), 'SIGKILL');
      child.kill('SIGKILL');
      // Its end comes when the session is given up.
      const wait = `echo go > /tmp/go-${victim}; until [ -e /tmp/end-${victim} ]; do sleep 0.05; done; cat /tmp/got-${victim}`;
      const got = await through(Buffer.alloc(0), 'sh', '-c', wait);
      expect(got.length).toBeGreaterThan(0);
      expect(digest(got)).toBe(digest(input.subarray(0, got.length)));
    }
  });

  it.runIf(driver === 'qemu')(
    'has memory beside its line once much was moved, also when paused meanwhile',
    async () => {
      const input = randomBytes(4_000_000);
      expect(digest(await through(input, 'cat'))).toBe(digest(input));
      const enabled = () => sandbox.ok('exec', 'bulk', '--', 'cat', '/sys/bus/pci/devices/0000:00:0e.0/enable');
      await expect.poll(enabled, { timeout: 30_000 }).toBe('1\n');
      const child = sandbox.start('exec', '-i', 'bulk', '--', 'cat');
      child.stdin!.on('error', () => {});
      child.stdin!.end(input);
      await new Promise((resolve) => child.stdout!.once('readable', resolve));
      await sandbox.ok('pause', 'bulk');
      await sandbox.ok('resume', 'bulk');
      expect(digest(await buffer(child.stdout!))).toBe(digest(input));
    },
  );

  it('copies files in and out, also under a new daemon', async () => {
    const [from, to] = [join(sandbox.home, 'from'), join(sandbox.home, 'to')];
    for (const round of [0, 1]) {
      const content = randomBytes(3_000_000);
      await writeFile(from, content);
      await sandbox.ok('cp', from, 'bulk:/tmp/file');
      await sandbox.ok('cp', 'bulk:/tmp/file', to);
      expect(digest(await readFile(to))).toBe(digest(content));
      if (round === 0) process.kill((await sandbox.json<{ daemon: { pid: number } }>('version')).daemon.pid, 'SIGKILL');
    }
  });

  it('shows the time of each of 100,000 lines of a log', async () => {
    await sandbox.ok('run', '-d', '--driver', driver, '--name', 'lines', '--', 'seq', '100000');
    await sandbox.ok('wait', 'lines');
    const lines = (await sandbox.ok('logs', '-t', 'lines')).split('\n').slice(0, -1);
    const times = lines.map((line) => line.slice(0, line.indexOf(' ')));
    expect(lines.map((line) => line.slice(line.indexOf(' ') + 1))).toEqual(
      Array.from({ length: 100_000 }, (_, at) => `${at + 1}`),
    );
    expect(times.every((time) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(time))).toBe(true);
    expect(times).toEqual([...times].sort());
  });

  it('does not find a command behind a directory that may not be searched, and may not execute what is no program', async () => {
    const script = 'mkdir -p /tmp/shut /tmp/open/not-found && chmod 700 /tmp/shut && echo hi > /tmp/open/no-program';
    await sandbox.ok('exec', 'bulk', '--', 'sh', '-c', script);
    for (const [command, code, message] of [
      ['nowhere', 127, /nowhere/],
      ['not-found', 127, /not-found/],
      ['no-program', 126, /no-program/],
    ] as const) {
      const attached = await sandbox.pk([
        'exec',
        '-u',
        '1000',
        '-e',
        'PATH=/tmp/shut:/tmp/open:/bin',
        'bulk',
        '--',
        command,
      ]);
      expect(attached).toMatchObject({ code, stderr: expect.stringMatching(message) });
    }
    // The host's /root is such a directory.
    const nowhere = ['--driver', driver, '-u', '1000', '-w', '/', '-e', 'PATH=/root:/bin'];
    expect((await sandbox.pk(['run', ...nowhere, '--', 'nowhere'])).code).toBe(127);
    expect((await sandbox.pk(['run', '-d', ...nowhere, '--', 'nowhere'])).code).toBe(127);
  });

  describe('out of memory', () => {
    // At once, so that a kernel with little left does not first search its caches for long.
    const allow = 'echo 1 > /proc/sys/vm/overcommit_memory';
    const eat = 'dd if=/dev/zero of=/dev/null bs=1G count=1';
    const said = /^[^\n]*killed inside its kernel for want of memory \(128 MiB\): dd, process \d+$/m;
    const small = ['--driver', driver, '--memory', '128M'];

    it('is said by a command that is waited for', async () => {
      for (const script of [`${allow}; exec ${eat}`, `${allow}; ${eat}; exit $?`]) {
        const ran = await sandbox.pk(['run', ...small, '--', 'sh', '-c', script]);
        expect(ran).toMatchObject({ code: 137, stdout: '' });
        expect(ran.stderr).toMatch(said);
      }
    });

    it('is said by events and by inspect, and not of a mere signal', async () => {
      await sandbox.ok('run', '-d', ...small, '--name', 'eater', '--', 'sh', '-c', `${allow}; exec ${eat}`);
      expect(await sandbox.ok('wait', 'eater')).toMatch(/\b137\b/);
      const { exit } = await sandbox.json<{ exit: { message: string } }>('inspect', 'eater');
      expect(exit.message).toMatch(said);
      const events = sandbox.start('events', '--since', '0');
      let seen = '';
      for await (const piece of events.stdout!) {
        seen += piece;
        if (/ eater {2}.*for want of memory \(128 MiB\)/.test(seen)) break;
      }
      events.kill();
      const plain = await sandbox.pk(['run', ...small, '--', 'sh', '-c', 'kill -9 $$']);
      expect(plain).toMatchObject({ code: 137, stderr: '' });
    });
  });
});
