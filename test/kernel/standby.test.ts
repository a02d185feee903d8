/** A real kernel that panics, and a frozen one that serves in its place. Nothing here depends on how fast the machine is. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import type { ServiceStatus } from '../../src/service/contract.ts';
import { fetchText, freePort } from '../support/http.ts';
import { Sandbox, until } from '../support/pk.ts';

const SERVER =
  'mkdir -p /run/www && cp /proc/sys/kernel/random/boot_id /run/www/index.html && exec busybox httpd -f -p 80 -h /run/www';

describe.each(['uml', 'qemu'])('%s', (driver) => {
  let sandbox: Sandbox;
  let port: number;
  const standIn = async () => (await sandbox.json<ServiceStatus>('service', 'inspect', 'api')).targets[0]!.standIn;
  const inspect = (name: string) => sandbox.json<InstanceStatus>('inspect', name);
  const answer = () => fetchText(port).catch(() => '');
  const untilItWaits = () =>
    until('it waits', async () => (await standIn()) !== null && (await inspect('web-standby')).state === 'paused');

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    port = await freePort();
    const options = ['--driver', driver, '--memory', '128M', '--network', 'private', '-w', '/'];
    const kept = ['--standby', '--heal', 'lost'];
    await sandbox.ok('run', '-d', '--name', 'web', ...options, ...kept, '--', 'sh', '-c', SERVER);
    await sandbox.ok('service', 'create', 'api', '--port', `${port}`, '--target', 'web:80');
  });
  afterAll(async () => {
    await sandbox.pk(['service', 'rm', 'api']);
    await sandbox.pk(['rm', '-f', 'web']);
    await sandbox[Symbol.asyncDispose]();
  });

  it('waits frozen, takes over when the kernel panics, and rests when there is a new one', async () => {
    await untilItWaits();
    const [web, standby] = [await inspect('web'), await inspect('web-standby')];
    expect(await answer()).toBe(web.bootId);
    await sandbox.pk(['exec', 'web', '--', 'sh', '-c', 'echo c > /proc/sysrq-trigger']);
    await until('the other kernel serves', async () => (await answer()) === standby.bootId);
    // What it had loaded when it was frozen is what serves: it is the same kernel.
    expect((await inspect('web-standby')).bootId).toBe(standby.bootId);
    await until('there is a new kernel', async () => ![web.bootId, standby.bootId, ''].includes(await answer()));
    await untilItWaits();
    const after = await inspect('web');
    expect(after.bootId).not.toBe(web.bootId);
    expect(await answer()).toBe(after.bootId);
  });

  it('goes with what it stands by for', async () => {
    await sandbox.ok('rm', '-f', 'web');
    await until('it is gone', async () => (await sandbox.json<InstanceStatus[]>('ps', '-a')).length === 0);
  });
});
