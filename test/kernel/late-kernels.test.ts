/** A daemon that comes back to real kernels of which one, whose VMM is stopped, does not answer: who asks another one does not wait. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isAlive } from '../../src/core/process-id.ts';
import { launchThreads, mainProcess } from '../../src/driver/shim/launch-threads.ts';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import { kernelDirectory } from '../../src/instance/launch.ts';
import type { ServiceStatus } from '../../src/service/contract.ts';
import { layout } from '../../src/sys/paths.ts';
import { processStartTime } from '../../src/sys/process.ts';
import { hostProcesses } from '../support/host-processes.ts';
import { freePort } from '../support/http.ts';
import { Sandbox, until } from '../support/pk.ts';

const isRoot = process.getuid?.() === 0;

describe.each(['uml', 'qemu'])('%s', (driver) => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await Sandbox.create();
    await run('web');
  });
  afterAll(() => sandbox[Symbol.asyncDispose]());

  const run = (name: string, ...options: string[]) =>
    sandbox.ok('run', '-d', '--name', name, '--driver', driver, ...options, '--', 'sleep', '100000');
  const inspect = (name: string) => sandbox.json<InstanceStatus>('inspect', name);

  /** Stops the VMM of `name`, and kills the daemon. Gives what is known of the instance then, and what lets its VMM go on. */
  async function silence(name: string): Promise<{ before: InstanceStatus; goOn(): void }> {
    const before = await inspect(name);
    const vmm = mainProcess(launchThreads(kernelDirectory(layout(sandbox.home), before.id)));
    process.kill(vmm, 'SIGSTOP');
    const { pid } = await sandbox.json<{ pid: number }>('daemon', 'status');
    const daemon = { pid, startTime: processStartTime(pid)! };
    process.kill(pid, 'SIGKILL');
    await until('the daemon is gone', () => !isAlive(daemon));
    return { before, goOn: () => process.kill(vmm, 'SIGCONT') };
  }

  it('others are listed and entered meanwhile, and what is asked of it waits until it answers', async () => {
    await run('late');
    const { before, goOn } = await silence('late');
    const asked = sandbox.pk(['exec', 'late', '--', 'echo', 'late, but here']);
    await sandbox.ok('exec', 'web', '--', 'true');
    const { state, takingOver, pid } = await inspect('late');
    expect({ state, takingOver, pid }).toEqual({ state: 'running', takingOver: true, pid: before.pid });
    expect(await sandbox.ok('ps')).toMatch(/^late +running \(not taken over yet\)/m);
    goOn();
    expect(await asked).toMatchObject({ code: 0, stdout: 'late, but here\n' });
    expect(await inspect('late')).toMatchObject({ state: 'running', takingOver: false, bootId: before.bootId });
    await sandbox.ok('rm', '-f', 'late');
  });

  it('one that never answers is ended, and what was asked of it refused', async () => {
    await run('never');
    await silence('never');
    const asked = sandbox.pk(['exec', 'never', '--', 'true']);
    await sandbox.ok('exec', 'web', '--', 'true');
    expect((await inspect('never')).takingOver).toBe(true);
    const { code, stderr } = await asked;
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/never (?:runs, but this daemon has not taken it over yet|is exited)/);
    await until('it is ended', async () => (await inspect('never')).state === 'exited');
    expect((await inspect('never')).exit?.message).toContain('could not be taken over');
    await sandbox.ok('exec', 'web', '--', 'true');
    await sandbox.ok('rm', 'never');
  });

  it.runIf(isRoot)('its service is led to it until it is ended', async () => {
    await run('served', '--network', 'private');
    await sandbox.ok('service', 'create', 'api', '--port', `${await freePort()}`, '--target', 'served:80');
    const address = async () => (await sandbox.json<ServiceStatus>('service', 'inspect', 'api')).targets[0]!.address;
    const before = await address();
    expect(before).toMatch(/^10\.213\./);
    await silence('served');
    expect(await address()).toBe(before);
    expect((await inspect('served')).takingOver).toBe(true);
    await sandbox.ok('kill', 'served');
    expect(await address()).toBeNull();
    await sandbox.ok('service', 'rm', 'api');
    await sandbox.ok('rm', 'served');
  });

  it('one that does not answer is left to the next daemon, and killed without being waited for', async () => {
    await run('hostile');
    const { before } = await silence('hostile');
    expect((await inspect('hostile')).takingOver).toBe(true);
    await sandbox.ok('daemon', 'stop');
    expect((await inspect('hostile')).takingOver).toBe(true);
    await sandbox.ok('kill', 'hostile');
    expect(await inspect('hostile')).toMatchObject({ state: 'exited', exit: { reason: 'killed' } });
    expect(await hostProcesses(kernelDirectory(layout(sandbox.home), before.id))).toEqual([]);
    await sandbox.ok('start', 'hostile');
    await sandbox.ok('exec', 'hostile', '--', 'true');
    await sandbox.ok('exec', 'web', '--', 'true');
  });
});
