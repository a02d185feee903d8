/** What `pk stats` and /metrics say of real kernels, against its sources in the guest. */
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceStats } from '../../src/api/index.ts';
import { guestSample } from '../../src/telemetry/index.ts';
import { Sandbox, until } from '../pk.ts';

describe.each(['uml', 'qemu'])('telemetry on %s', (driver) => {
  let sandbox: Sandbox;

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    for (const [name, script] of [
      ['idle', 'sleep 100000'],
      ['busy', 'while :; do :; done'],
    ]) {
      await sandbox.ok('run', '-d', '--name', name!, '--driver', driver, '--memory', '256M', '--', 'sh', '-c', script!);
    }
  });
  afterAll(() => sandbox[Symbol.asyncDispose]());

  const stats = async () => new Map((await sandbox.json<InstanceStats[]>('stats')).map((each) => [each.name, each]));

  it('says what the guest’s own files say', async () => {
    await until('there are samples', async () => (await stats()).get('idle')?.rates);
    const read = async (path: string) => [path, await sandbox.ok('exec', 'idle', '--', 'cat', path)] as const;
    const files = ['/proc/stat', '/proc/meminfo', '/proc/vmstat', '/proc/loadavg'];
    const before = (await stats()).get('idle')!.sample!;
    const contents = new Map(await Promise.all(files.map(read)));
    const own = guestSample(Date.now(), contents);
    const after = await until('a later sample', async () => {
      const { sample } = (await stats()).get('idle')!;
      return sample !== null && sample.at > own.at ? sample : undefined;
    });
    expect(before.memoryTotalBytes).toBe(own.memoryTotalBytes);
    for (const state of ['user', 'system', 'idle'] as const) {
      expect(own.cpuSeconds![state]).toBeGreaterThanOrEqual(before.cpuSeconds![state]);
      expect(after.cpuSeconds![state]).toBeGreaterThanOrEqual(own.cpuSeconds![state]);
    }
    expect(own.pageFaults).toBeGreaterThanOrEqual(before.pageFaults!);
    expect(after.pageFaults).toBeGreaterThanOrEqual(own.pageFaults!);
    expect(Math.abs(after.memoryAvailableBytes! - own.memoryAvailableBytes!)).toBeLessThan(16 * 2 ** 20);
  });

  it('tells a busy kernel from an idle one', async () => {
    await until('busy is busy', async () => ((await stats()).get('busy')?.rates?.cpuBusy ?? 0) > 0.9);
    await until('idle is idle', async () => ((await stats()).get('idle')?.rates?.cpuBusy ?? 1) < 0.5);
  });

  it('is told to Prometheus, also after a restart of the daemon', async () => {
    const { pid } = await sandbox.json<{ pid: number }>('daemon', 'status');
    process.kill(pid, 'SIGKILL');
    await until('there are samples again', async () => (await stats()).get('busy')?.sample);
    const metrics = await new Promise<string>((resolve, reject) => {
      const call = request({ socketPath: join(sandbox.home, 'daemon.sock'), path: '/metrics' }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        answer.on('end', () => resolve(text));
      });
      call.on('error', reject).end();
    });
    expect(metrics).toMatch(/^polykernel_instance_running\{instance="busy"\} 1$/m);
    expect(metrics).toMatch(/^polykernel_instance_cpu_seconds_total\{instance="busy",state="user"\} \d+(\.\d+)?$/m);
    expect(metrics).toMatch(/^# TYPE polykernel_instance_cpu_seconds_total counter$/m);
  });
});
