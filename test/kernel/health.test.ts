import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Healing } from '../../src/heal/contract.ts';
import type { Health, HealthStatus } from '../../src/health/contract.ts';
import { HANG } from '../support/hang.ts';
import { Sandbox, until } from '../support/pk.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await Sandbox.create();
});
afterAll(() => sandbox[Symbol.asyncDispose]());

const untilHealth = (name: string, health: Health) =>
  until(`${name} is ${health}`, async () => {
    const status = await sandbox.json<HealthStatus>('health', 'show', name);
    return status.health === health ? status : undefined;
  });
const run = (name: string, options: string[], ...command: string[]) =>
  sandbox.ok('run', '-d', '--name', name, '--driver', 'uml', '--memory', '128M', ...options, '--', ...command);

it('the check of a workload runs in its kernel, and pk ps shows what it says', async () => {
  const check = 'test ! -e /tmp/ill || { echo it is ill; exit 7; }';
  await run(
    'checked',
    ['--health-cmd', check, '--health-interval', '1s', '--health-retries', '2', '--health-start-period', '0s'],
    ...['sleep', '100000'],
  );
  await untilHealth('checked', 'healthy');
  await sandbox.ok('exec', 'checked', '--', 'touch', '/tmp/ill');
  const { signs, check: ran } = await untilHealth('checked', 'unhealthy');
  expect(signs[0]).toMatchObject({ sign: 'check', seen: expect.stringContaining('exit code 7, it is ill') });
  expect(ran?.results.at(-1)).toMatchObject({ outcome: 'failed', exitCode: 7 });
  expect(await sandbox.ok('ps', '--filter', 'name=checked')).toContain('running (unhealthy)');
  await sandbox.ok('exec', 'checked', '--', 'rm', '/tmp/ill');
  await untilHealth('checked', 'healthy');
});

/** A workload that begins with `command` when it is told to, once its kernel is known to be well. */
async function begin(name: string, command: string, options: string[] = []): Promise<void> {
  await run(name, options, 'sh', '-c', `mkfifo /tmp/go; < /tmp/go read _; ${command}`);
  await untilHealth(name, 'healthy');
  await sandbox.ok('exec', name, '--', 'sh', '-c', 'until test -p /tmp/go; do sleep 0.1; done; (echo > /tmp/go) &');
}

it('a kernel whose only CPU is kept by one program is hung while it runs, and healed when nobody looks at it any more', async () => {
  await begin('hangs', `sleep 1; ${HANG}`, ['--heal', 'hung']);
  await sandbox.ok('heal', 'off', 'hangs', '--for', '1h');
  const { state, signs, possible } = await untilHealth('hangs', 'hung');
  // User Mode Linux has no detectors of its own.
  expect([possible.includes('silence'), possible.includes('soft-lockup')]).toEqual([true, false]);
  expect(state).toBe('running');
  expect(signs[0]).toMatchObject({ sign: 'silence' });
  expect(await sandbox.ok('heal', 'on', 'hangs')).toContain('is healed');
  const healed = await until('it is healed', async () => {
    const [last] = await sandbox.json<Healing[]>('heal', 'log', 'hangs');
    return last?.outcome === 'healed' ? last : undefined;
  });
  expect(healed).toMatchObject({ cause: 'hung', attempt: 1, why: expect.stringContaining('said nothing') });
  expect(await sandbox.ok('heal', 'log', 'hangs')).toContain('hung, attempt 1: healed in ');
  await sandbox.ok('exec', 'hangs', '--', 'true');
  await sandbox.ok('kill', 'hangs');
});

it('a kernel that panics is lost, by its panic', async () => {
  await begin('panics', 'sleep 1; echo c > /proc/sysrq-trigger');
  expect((await untilHealth('panics', 'lost')).signs[0]).toMatchObject({ sign: 'panic' });
});
