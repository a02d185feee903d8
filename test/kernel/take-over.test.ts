/**
 * A state directory and the kernels running under it, made by the daemon, the programs and the agent of commit da68c8d, are taken over by
 * this version: seen, entered, read, stopped and started again, with their channels, ports and services. From one daemon by `pk daemon
 * upgrade`, from another one that was killed.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChannelStatus } from '../../src/channel/contract.ts';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import type { ServiceStatus } from '../../src/service/contract.ts';
import { hostProcesses } from '../support/host-processes.ts';
import { fetchText, freePort } from '../support/http.ts';
import { installOldVersion, type OldVersion } from '../support/old-version.ts';
import { Sandbox, until } from '../support/pk.ts';

const isRoot = process.getuid?.() === 0;
let directory: string;
let version: OldVersion;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pk-old-'));
  version = await installOldVersion('da68c8d', directory);
});
afterAll(() => rm(directory, { recursive: true }));

/** Kills the daemon without a farewell, as a crash does. */
async function killDaemon(sandbox: Sandbox): Promise<void> {
  const { pid } = await sandbox.json<{ pid: number }>('daemon', 'status');
  process.kill(pid, 'SIGKILL');
  await until('the daemon is gone', () =>
    readFile(`/proc/${pid}/cmdline`).then(
      (text) => text.length === 0,
      () => true,
    ),
  );
}

describe.each(['uml', 'qemu'])('kernels of %s that da68c8d started', (driver) => {
  let old: Sandbox;
  let now: Sandbox;
  const names = { served: `${driver}-served`, ended: `${driver}-ended`, idle: `${driver}-idle` };
  const channel = `${driver}-orders`;
  const service = `${driver}-api`;
  let published: number;
  let balanced: number;
  let before: InstanceStatus[];
  /** Why the old version could not run such kernels here. */
  let obstacle: string | undefined;

  const statuses = async (sandbox: Sandbox) =>
    (await sandbox.json<InstanceStatus[]>('ps', '-a')).filter(({ spec }) => spec.driver === driver);
  const inspect = (name: string) => now.json<InstanceStatus>('inspect', name);
  const bootId = (name: string) => now.ok('exec', name, '--', 'cat', '/proc/sys/kernel/random/boot_id');

  beforeAll(async () => {
    now = await Sandbox.create();
    old = new Sandbox(now.home, { ...now.env, POLYKERNEL_CACHE: version.cache }, [], version.pk);
    const tried = await old.pk(['run', '--driver', driver, '--', 'true']);
    if (tried.code !== 0) {
      [obstacle] = tried.stderr.split('\n');
      return;
    }
    [published, balanced] = [await freePort(), await freePort()];
    await old.ok('channel', 'create', channel, '--from', 'host', '--to', names.served);
    const script = `echo before; mkdir -p /run/www; echo ${driver} > /run/www/index.html; exec busybox httpd -f -p 80 -h /run/www`;
    // Its jail enters no directory that only root may enter, as this checkout may lie in one.
    const options = [
      '-w',
      '/',
      '--driver',
      driver,
      '--memory',
      '256M',
      '--network',
      'private',
      '-p',
      `${published}:80`,
    ];
    await old.ok('run', '-d', '--name', names.served, ...options, '--restart', 'always', '--', 'sh', '-c', script);
    await old.ok(
      'run',
      '-d',
      '--name',
      names.ended,
      '-w',
      '/',
      '--driver',
      driver,
      '--',
      'sh',
      '-c',
      'echo over; exit 7',
    );
    await old.ok('run', '-d', '--name', names.idle, '-w', '/', '--driver', driver, '--', 'sleep', '100000');
    expect(await old.ok('wait', names.ended)).toContain('7');
    if (isRoot) await old.ok('service', 'create', service, '--port', `${balanced}`, '--target', `${names.served}:80`);
    expect((await old.pk(['channel', 'send', channel], 'sent before\n')).code).toBe(0);
    await until('the port leads there', () => fetchText(published).catch(() => undefined));
    before = await statuses(old);
    if (driver === 'uml') await now.ok('daemon', 'upgrade');
    else await killDaemon(old);
  });

  afterAll(async () => {
    for (const { name } of await now.json<ServiceStatus[]>('service', 'ls')) await now.ok('service', 'rm', name);
    for (const { name } of await now.json<ChannelStatus[]>('channel', 'ls'))
      await now.ok('channel', 'rm', '--force', name);
    await now[Symbol.asyncDispose]();
    expect(await hostProcesses(now.home)).toEqual([]);
  });

  /** Each takes up what the one before has left. */
  const check = (name: string, body: () => Promise<void>) =>
    it(name, async ({ skip }) => {
      skip(obstacle !== undefined, `da68c8d cannot run them on this machine: ${obstacle}`);
      await body();
    });

  check('are seen as they were', async () => {
    const after = await statuses(now);
    expect(after.map(({ spec }) => spec.name).sort()).toEqual(Object.values(names).sort());
    for (const was of before) {
      const is = after.find(({ id }) => id === was.id)!;
      const { state, bootId, pid, startedAt, exit, address } = was;
      // Lists show no values of environments any more, and users are texts.
      const { uid, gid, ...rest } = was.spec as typeof was.spec & { uid: number; gid: number };
      const spec = { ...rest, user: `${uid}:${gid}`, env: (is as typeof was).spec.env };
      expect(is).toMatchObject({ spec, state, bootId, pid, startedAt, exit, address });
    }
    expect((await inspect(names.ended)).exit?.exitCode).toBe(7);
    const journal = await readFile(join(now.home, 'daemon.log'), 'utf8');
    expect(journal).not.toMatch(/taking (?:over|up)|cannot be read|publishing port|removed leftovers/);
  });

  check('can be entered, and their output goes on', async () => {
    for (const name of [names.served, names.idle]) {
      const { bootId: known } = before.find(({ spec }) => spec.name === name)!;
      expect((await bootId(name)).trim()).toBe(known);
    }
    expect(await now.ok('logs', names.served)).toBe('before\n');
    expect(await now.ok('logs', names.ended)).toBe('over\n');
    await now.ok('exec', names.idle, '--', 'sh', '-c', 'echo said on the console > /dev/console');
    await until('the console says it', async () =>
      (await now.ok('logs', '--console', names.idle)).includes('said on the console'),
    );
  });

  check('keep their channel and what is in it', async () => {
    const status = await now.json<ChannelStatus>('channel', 'inspect', channel);
    expect(status).toMatchObject({ name: channel, from: { owner: 'host' }, to: { owner: names.served } });
    expect((await now.pk(['channel', 'send', channel], 'sent after\n')).code).toBe(0);
    const got = await now.ok('exec', names.served, '--', 'pk-ring', 'recv', channel);
    expect(got).toBe('sent before\nsent after\n');
  });

  check('answer at their port and behind their service', async () => {
    expect(await fetchText(published)).toBe(driver);
    if (!isRoot) return;
    await until('the service has its target', async () => {
      const { state } = await now.json<ServiceStatus>('service', 'inspect', service);
      return state === 'ok';
    });
    expect(await fetchText(balanced)).toBe(driver);
  });

  check('stop, and start again as this version starts them', async () => {
    const was = before.find(({ spec }) => spec.name === names.served)!;
    await now.ok('stop', names.served);
    expect(await inspect(names.served)).toMatchObject({ state: 'exited', exit: { reason: 'stopped' } });
    for (const name of [names.served, names.ended]) await now.ok('start', name);
    const is = await until('it runs', async () => {
      const status = await inspect(names.served);
      return status.state === 'running' ? status : undefined;
    });
    expect(is.bootId).not.toBe(was.bootId);
    expect(is.address).toBe(was.address);
    expect(await until('the port leads there', () => fetchText(published).catch(() => undefined))).toBe(driver);
    await now.ok('wait', names.ended);
    expect(await now.ok('logs', names.ended)).toBe('over\nover\n');
  });

  check('outlive the next daemon too, and leave nothing when they are removed', async () => {
    await killDaemon(now);
    expect((await bootId(names.idle)).trim()).toBe(before.find(({ spec }) => spec.name === names.idle)!.bootId);
    if (isRoot) await now.ok('service', 'rm', service);
    await now.ok('channel', 'rm', '--force', channel);
    for (const name of Object.values(names)) await now.ok('rm', '-f', name);
    expect(await readdir(join(now.home, 'instances'))).toEqual([]);
    expect(await readdir(join(now.home, 'forwards'))).toEqual([]);
    const { pid } = await now.json<{ pid: number }>('daemon', 'status');
    // What was killed may need a moment to be gone.
    await expect
      .poll(async () => (await now.processes()).filter((each) => each !== pid), { timeout: 20_000 })
      .toEqual([]);
  });
});
