/** One Ctrl-C ends each command that waits for something, also beside a guest that answers nothing. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { fakeGuest, fakeKernels } from '../../src/driver/fake/driver.ts';
import { HealthMonitor } from '../../src/health/monitor.ts';
import { nodeCommand } from '../../src/sys/node.ts';
import { eventually, startDaemon, type TestDaemon, untilState } from '../support/harness.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { finished } from '../support/pk.ts';

/** Of SIGHUP, which comes with the others to what hears them: Node itself hears SIGINT from the start. */
const HANGUP_BIT = 1n;

function pk({ home }: TestDaemon, args: readonly string[]): ChildProcess {
  const [program, ...rest] = nodeCommand(join(import.meta.dirname, '../../src/cli/main.ts'), args);
  const env = { ...process.env, POLYKERNEL_HOME: home, NO_COLOR: '1' };
  const child = spawn(program!, rest, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** Before that a signal ends it as any process. */
const hearsSignals = ({ pid }: ChildProcess) =>
  eventually(() => {
    const caught = /^SigCgt:\t([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return (BigInt(`0x${caught}`) & HANGUP_BIT) !== 0n;
  });

async function mute() {
  const test = await startDaemon();
  await test.create({ name: 'web', hostname: 'mute', command: ['sleep'] });
  await untilState(test, 'web', 'running');
  writeFileSync(join(test.home, 'file'), 'content');
  return test;
}

it.each(
  [
    ['exec', 'web', 'true'],
    ['exec', '-i', 'web', 'cat'],
    ['top', 'web'],
    ['cp', 'web:/etc/hostname', 'HOME/copy'],
    ['cp', 'HOME/file', 'web:/tmp/file'],
    ['run', '--hostname', 'never-ready', '--', 'true'],
    ['run', '--hostname', 'mute', '--', 'true'],
    ['run', '-d', '--hostname', 'mute', '--', 'true'],
    ['upgrade', 'web', '--', 'sleep', '2'],
    ['stats', '--watch', 'web'],
  ].map((args) => [args.join(' '), args] as const),
)('pk %s', async (_, args) => {
  const test = await mute();
  const child = pk(
    test,
    args.map((word) => word.replace('HOME', test.home)),
  );
  const ended = finished(child);
  await hearsSignals(child);
  child.kill('SIGINT');
  expect(await ended).toMatchObject({ code: 130 });
});

it.each(['hangs', 'is paused'])('pk exec of what has begun in a kernel that %s', async (how) => {
  const clock = new ManualClock();
  const test = await startDaemon({ clock });
  await test.create({ name: 'web', command: ['sleep'] });
  await untilState(test, 'web', 'running');
  const guest = fakeGuest(fakeKernels(test.home)[0]!)!;
  const child = pk(test, ['exec', 'web', 'sh', '-c', 'echo begun; sleep 1000']);
  const ended = once(child, 'close');
  await once(child.stdout!, 'data');
  if (how === 'hangs') guest.pause();
  else await test.client.pause('web');
  child.kill('SIGINT');
  // Seconds go by, in which its vCPU runs.
  await eventually(() => {
    const vcpus = guest.usage.vcpus.map(({ ranNs, waitedNs }) => ({ ranNs: ranNs + 1e9, waitedNs }));
    guest.usage = { ...guest.usage, vcpus };
    clock.advance(1_000);
    return child.exitCode !== null || child.signalCode !== null;
  });
  expect(await ended).toEqual([130, null]);
});

it('pk exec of what hears the signal, and goes on, goes on', async () => {
  const test = await startDaemon();
  await test.create({ name: 'web', command: ['sleep'] });
  await untilState(test, 'web', 'running');
  const child = pk(test, ['exec', 'web', 'stubborn']);
  const ended = once(child, 'close');
  await once(child.stdout!, 'data');
  const asked = vi.spyOn(HealthMonitor.prototype, 'get');
  onTestFinished(() => asked.mockRestore());
  child.kill('SIGTERM');
  await eventually(() => asked.mock.calls.length > 2);
  expect(child.exitCode).toBeNull();
  // What stands still later has heard it.
  await test.client.pause('web');
  const before = asked.mock.calls.length;
  await eventually(() => asked.mock.calls.length > before + 2);
  expect(child.exitCode).toBeNull();
  await test.client.resume('web');
  // Two of a kind at once are one.
  child.kill('SIGTERM');
  child.kill('SIGINT');
  expect([130, 143]).toContain((await ended)[0]);
});
