/**
 * Two hundred kills at random moments of random operations: of the CLI, the daemon, the shim, the jail and the kernel's
 * own process. Afterwards nothing is orphaned and `ps` tells the truth. The seed is printed, so a failure can be repeated.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { generator } from '../support/generator.ts';
import { hostProcesses } from '../support/host-processes.ts';
import { Sandbox, until } from '../support/pk.ts';

const KILLS = Number(process.env.POLYKERNEL_CHAOS_KILLS ?? 200);

it(`survives ${KILLS} random kills without orphans`, { timeout: 900_000 }, async () => {
  const seed = Number(process.env.POLYKERNEL_CHAOS_SEED ?? Date.now() % 1_000_000);
  console.log(`chaos seed ${seed}`);
  const random = generator(seed);
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];
  const sandbox = await Sandbox.create();
  const names = ['a', 'b', 'c', 'd'];
  const operations: (() => string[])[] = [
    () => [
      'run',
      '-d',
      '--driver',
      'uml',
      '--restart',
      pick(['no', 'on-failure', 'always'])!,
      '--name',
      pick(names)!,
      '--',
      'sleep',
      '1000',
    ],
    () => ['run', '--driver', 'uml', '--', 'sh', '-c', 'cat /proc/uptime; sleep 0.05'],
    () => ['exec', pick(names)!, 'true'],
    () => ['stop', pick(names)!],
    () => ['start', pick(names)!],
    () => ['kill', pick(names)!],
    () => ['restart', pick(names)!],
    () => ['rm', '-f', pick(names)!],
    () => ['logs', pick(names)!],
  ];
  try {
    for (let kills = 0; kills < KILLS; ) {
      const running = Array.from({ length: 1 + Math.floor(random() * 3) }, () => sandbox.start(...pick(operations)!()));
      const ended = running.map((child) => {
        child.stdout?.resume();
        child.stderr?.resume();
        child.stdin?.on('error', () => {}).end();
        return new Promise<void>((resolve) => child.on('close', () => resolve()));
      });
      const pause = random() * 250;
      await new Promise((resolve) => setTimeout(resolve, pause));
      for (let burst = 1 + Math.floor(random() * 3); burst > 0 && kills < KILLS; burst--) {
        const clients = running.map((child) => child.pid).filter((pid) => pid !== undefined);
        const victim = pick([...(await sandbox.processes()), ...clients]);
        if (victim === undefined) break;
        try {
          process.kill(victim, 'SIGKILL');
          kills++;
        } catch {}
      }
      // A CLI may rightly wait (a start, a log); what it waits for is not this test's business.
      const patience = setTimeout(() => {
        for (const child of running) child.kill('SIGKILL');
      }, 5_000);
      await Promise.all(ended);
      clearTimeout(patience);
    }

    // A fresh look: whatever claims to run must answer from inside its kernel.
    type Row = { spec: { name: string }; state: string };
    // `run -d` makes an instance and then starts it: one that is killed in between leaves it made.
    const settled = ['created', 'running', 'exited', 'backoff'];
    let others: Row[] = [];
    await until('every instance settles', async () => {
      others = (await sandbox.json<Row[]>('ps', '-a')).filter(({ state }) => !settled.includes(state));
      return others.length === 0;
    }).catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(others)}`);
    });
    for (const row of await sandbox.json<Row[]>('ps')) {
      if (row.state === 'running') expect(await sandbox.ok('exec', row.spec.name, 'echo', 'alive')).toBe('alive\n');
    }
    for (const row of await sandbox.json<Row[]>('ps', '-a')) await sandbox.ok('rm', '-f', row.spec.name);
    expect(await readdir(join(sandbox.home, 'instances'))).toEqual([]);
    const daemon = Number(JSON.parse(await sandbox.ok('version', '--json')).daemon?.pid ?? 0);
    await until('only the daemon is left', async () =>
      (await sandbox.processes()).every((pid) => pid === daemon || isGone(pid)),
    );
    const mounts = await readFile('/proc/self/mounts', 'utf8');
    expect(mounts).not.toContain(sandbox.home);
    expect((await readdir('/dev/shm')).filter((entry) => entry.includes('polykernel'))).toEqual([]);
  } finally {
    await sandbox[Symbol.asyncDispose]();
  }
  expect(await hostProcesses(sandbox.home)).toEqual([]);
});

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}
