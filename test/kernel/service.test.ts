/** A service on three real kernels, two of UML and one of QEMU, under load while things break. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DaemonEvent } from '../../src/core/events.ts';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import type { ServiceStatus } from '../../src/service/contract.ts';
import type { InstanceStats } from '../../src/telemetry/contract.ts';
import { parseNetDev, parsePressure } from '../../src/telemetry/proc.ts';
import { fetchText, freePort, load } from '../support/http.ts';
import { Sandbox, until } from '../support/pk.ts';

const REPLICAS = { web1: 'uml', web2: 'uml', web3: 'qemu' } as const;

describe('a service', () => {
  let sandbox: Sandbox;
  let port: number;

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    port = await freePort();
    for (const [name, driver] of Object.entries(REPLICAS)) {
      const options = ['--driver', driver, '--memory', '256M', '--network', 'private', '--restart', 'always'];
      const script = `mkdir -p /run/www && echo ${name} > /run/www/index.html && exec busybox httpd -f -p 80 -h /run/www`;
      await sandbox.ok('run', '-d', '--name', name, ...options, '--', 'sh', '-c', script);
    }
    const promise = ['--slo', 'p99=60s', '--slo', 'availability=99'];
    await sandbox.ok('service', 'create', 'api', '--port', `${port}`, '--target', 'web1,web2,web3:80', ...promise);
    await allUp();
  });
  afterAll(async () => {
    for (const { name } of await sandbox.json<ServiceStatus[]>('service', 'ls'))
      await sandbox.ok('service', 'rm', name);
    await sandbox[Symbol.asyncDispose]();
  });

  const service = () => sandbox.json<ServiceStatus>('service', 'inspect', 'api');
  const allUp = () =>
    until('all targets are up', async () => {
      const status = await service();
      return status.state === 'ok' ? status : undefined;
    });
  const target = async (name: string) => (await service()).targets.find(({ instance }) => instance === name)!;
  const events = async () => {
    const child = sandbox.start('events', '--since', '0', '--json');
    const all: DaemonEvent[] = [];
    let rest = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      for (const line of lines) all.push(JSON.parse(line) as DaemonEvent);
    });
    return { all, stop: () => child.kill('SIGINT') };
  };
  /** HAProxy's own counters, as it tells them on its socket. */
  const ownCounters = async () => {
    const socket = connect(join(sandbox.home, 'haproxy', 'stats.sock'));
    let text = '';
    socket.setEncoding('utf8').on('data', (part) => {
      text += part;
    });
    socket.write('show stat\n');
    await new Promise((resolve) => socket.on('end', resolve));
    const [head, ...lines] = text.trim().split('\n');
    const names = head!.replace('# ', '').split(',');
    const rows = lines.map((line) => Object.fromEntries(line.split(',').map((cell, at) => [names[at], cell])));
    return (name: string, field: string) =>
      Number(rows.find(({ pxname, svname }) => pxname === 'api' && svname === name)?.[field]);
  };

  it('spreads requests over kernels of both kinds, and its numbers are those of HAProxy', async () => {
    const running = load(port);
    for (const name of Object.keys(REPLICAS)) await running.more(20, name);
    await running.stop();
    expect(running.failures).toEqual([]);
    const status = await until('every request is logged', async () => {
      const now = await service();
      return now.latency.samples >= running.sent() ? now : undefined;
    });
    const own = await ownCounters();
    expect(status.requests).toBe(own('BACKEND', 'stot'));
    expect(status.requests).toBe(running.sent());
    for (const { instance, requests, latency, errors, inFlight } of status.targets) {
      expect(requests).toBe(own(instance, 'stot'));
      expect(requests).toBe(running.answers[instance]);
      expect({ errors, inFlight }).toEqual({ errors: 0, inFlight: 0 });
      expect(latency.samples).toBe(requests);
      expect(latency.p50).toBeGreaterThan(0);
      expect(latency.p50!).toBeLessThanOrEqual(latency.p99!);
    }
    expect(status.objectives.map(({ state, attainment }) => ({ state, attainment }))).toEqual([
      { state: 'met', attainment: 1 },
      { state: 'met', attainment: 1 },
    ]);
    expect(await sandbox.ok('slo', 'api')).toMatch(/api +p99 ≤ 60000 ms +met +100% +0 of \d+/);
  });

  it('shows in pk top what HAProxy counts', async () => {
    const running = load(port);
    const stats = await until('pk stats has requests of all', async () => {
      const all = await sandbox.json<InstanceStats[]>('stats');
      return all.every(({ requests }) => (requests?.ratePerSecond ?? 0) > 0) ? all : undefined;
    });
    const before = await ownCounters();
    const began = performance.now();
    await running.more(300);
    const after = await ownCounters();
    const seconds = (performance.now() - began) / 1000;
    const shown = await sandbox.json<InstanceStats[]>('stats');
    await running.stop();
    expect(running.failures).toEqual([]);
    expect(stats.map(({ name }) => name).sort()).toEqual(Object.keys(REPLICAS));
    for (const { name, requests } of shown) {
      const rate = (after(name, 'stot') - before(name, 'stot')) / seconds;
      // One is over ten seconds, the other over the time of 300 requests.
      expect(requests!.ratePerSecond).toBeGreaterThan(rate / 8);
      expect(requests!.ratePerSecond).toBeLessThan(rate * 8);
      expect(requests!.latencyMs.p99).toBeGreaterThan(0);
    }
    const [head, ...lines] = (await sandbox.ok('top', '--once')).trim().split('\n');
    expect(head).toMatch(/ NET +REQ\/S +P99 /);
    expect(lines).toHaveLength(3);
  });

  it('shows network and pressure of each kernel as its own /proc has them', async () => {
    const read = async (name: string, path: string) =>
      Buffer.from(await sandbox.ok('exec', name, '--', 'sh', '-c', `cat ${path} 2>/dev/null || :`));
    for (const [name, driver] of Object.entries(REPLICAS)) {
      const look = async () => ({
        network: parseNetDev(await read(name, '/proc/net/dev')),
        pressure: parsePressure(await read(name, '/proc/pressure/cpu')),
      });
      const before = await look();
      const now = Date.now();
      const { guest } = await until(`new numbers of ${name}`, async () => {
        const stats = await sandbox.json<InstanceStats>('stats', name);
        return stats.guest !== null && Date.parse(stats.guest.at) > now ? { guest: stats.guest } : undefined;
      });
      const after = await look();
      for (const key of ['receivedBytes', 'sentBytes', 'receivedPackets', 'sentPackets'] as const) {
        expect(before.network[key]).toBeGreaterThan(0);
        expect(guest.network?.[key]).toBeGreaterThanOrEqual(before.network[key]);
        expect(guest.network?.[key]).toBeLessThanOrEqual(after.network[key]);
      }
      // Debian's User Mode Linux has no PSI.
      expect(guest.pressure.source).toBe(driver === 'qemu' ? 'psi' : 'run-queue');
      if (driver === 'uml') expect(before.pressure).toBeNull();
      else {
        expect(guest.pressure.seconds?.cpu?.some).toBeGreaterThanOrEqual(before.pressure!.some);
        expect(guest.pressure.seconds?.cpu?.some).toBeLessThanOrEqual(after.pressure!.some);
      }
    }
  });

  it('loses no request when a replica is killed and comes back', async () => {
    const watch = await events();
    const running = load(port);
    await running.more(30);
    const outages: { from: number; to: number }[] = [];
    for (const victim of ['web2', 'web3']) {
      const { pid } = await sandbox.json<InstanceStatus>('inspect', victim);
      const from = performance.now();
      // The whole kernel, as a host that dies takes it: no packet says that it is gone.
      process.kill(pid!, 'SIGKILL');
      await until(`${victim} is down`, () => watch.all.some(isAbout('target-down', victim)));
      outages.push({ from, to: performance.now() });
      await running.more(20);
      await until(`${victim} is back`, async () => (await target(victim)).state === 'up', 120_000);
      await running.more(5, victim);
      watch.all.length = 0;
    }
    await running.stop();
    watch.stop();
    const { errors, connectErrors, retries } = await service();
    console.log(
      `${running.sent()} requests answered, ${running.failures.length} failed, while two of three kernels were killed; ` +
        `${connectErrors} attempts to connect failed, ${retries} were sent again`,
    );
    // An answer that was half sent when its kernel died cannot be asked for again. Nothing else may be lost, and nothing
    // that was asked once the kernel was seen to be dead.
    const lost = running.failures.filter(
      ({ began, reason }) =>
        !/aborted|ECONNRESET|socket hang up/.test(reason) ||
        !outages.some(({ from, to }) => began > from - 1000 && began < to),
    );
    expect(lost).toEqual([]);
    expect(running.failures.length).toBeLessThanOrEqual(4);
    expect(errors).toBe(0);
  });

  it('drains a target: what it has is finished, and nothing new comes', async () => {
    const running = load(port);
    await running.more(10);
    await sandbox.ok('service', 'drain', 'api', 'web1');
    expect(await target('web1')).toMatchObject({ state: 'drained', drain: true });
    await until('web1 has nothing under way', async () => (await target('web1')).inFlight === 0);
    const { requests } = await target('web1');
    await running.more(50);
    expect((await target('web1')).requests).toBe(requests);
    await sandbox.ok('stop', 'web1');
    await running.more(20);
    await sandbox.ok('start', 'web1');
    await sandbox.ok('service', 'drain', '--undo', 'api', 'web1');
    await running.more(5, 'web1');
    await running.stop();
    expect(running.failures).toEqual([]);
  });

  it('gets more and fewer targets while it serves', async () => {
    const running = load(port);
    await sandbox.ok('service', 'update', 'api', '--target', 'web1,web3:80');
    const { requests, proxy } = await service();
    await running.more(30);
    expect((await service()).targets.map(({ instance }) => instance)).toEqual(['web1', 'web3']);
    await sandbox.ok('service', 'update', 'api', '--target', 'web1,web2,web3:80');
    await running.more(10, 'web2');
    await running.stop();
    expect(running.failures).toEqual([]);
    const after = await service();
    expect(after.requests).toBeGreaterThan(requests);
    expect(after.proxy!.restarts).toBe(proxy!.restarts);
  });

  it('has its HAProxy again when that is killed, also after the daemon was', async () => {
    const { proxy } = await service();
    process.kill(proxy!.pid, 'SIGKILL');
    const again = await until('another HAProxy serves', async () => {
      const now = await service();
      return now.proxy !== null && now.proxy.pid !== proxy!.pid && now.state === 'ok' ? now : undefined;
    });
    expect(again.proxy!.restarts).toBe(proxy!.restarts + 1);
    const { pid } = await sandbox.json<{ pid: number }>('daemon', 'status');
    process.kill(pid, 'SIGKILL');
    const agent = new Agent();
    expect(Object.keys(REPLICAS)).toContain(await fetchText(port, agent));
    const adopted = await allUp();
    expect(adopted.proxy).toEqual(again.proxy);
    expect(Object.keys(REPLICAS)).toContain(await fetchText(port, agent));
  });

  it.each([
    ['hangs', false],
    ['hangs when a daemon takes it up', true],
  ])('has another HAProxy when one %s', async (_how, newDaemon) => {
    const { proxy } = await allUp();
    process.kill(proxy!.pid, 'SIGSTOP');
    if (newDaemon) process.kill((await sandbox.json<{ pid: number }>('daemon', 'status')).pid, 'SIGKILL');
    let last: ServiceStatus | undefined;
    await until('another HAProxy serves', async () => {
      last = await service();
      return last.proxy !== null && last.proxy.pid !== proxy!.pid && last.state === 'ok';
    }).catch((error) => {
      throw new Error(`${error.message}; last seen: ${JSON.stringify(last)}`);
    });
    expect(Object.keys(REPLICAS)).toContain(await fetchText(port));
    expect(existsSync(`/proc/${proxy!.pid}/task`) && readdirSync(`/proc/${proxy!.pid}/task`).length > 1).toBe(false);
  });

  it('says what is wrong', async () => {
    const refused = async (args: string[], text: RegExp) => {
      const { code, stderr } = await sandbox.pk(['service', ...args]);
      expect(stderr).toMatch(text);
      expect(code).toBeGreaterThan(0);
    };
    await refused(['create', 'api', '--port', '1', '--target', 'web1'], /there is a service api already/);
    await refused(['create', 'b', '--port', `${port}`, '--target', 'web1'], /in use by the service api/);
    await refused(['create', 'b', '--target', 'web1'], /--port is missing/);
    await refused(['create', 'b', '--port', '80', '--target', 'web1:'], /is not INSTANCE or INSTANCE:PORT/);
    await refused(['create', 'b', '--port', '80', '--target', 'w', '--slo', 'fast'], /is no promise/);
    await refused(['drain', 'api', 'web9'], /web9 is no target of the service api/);
    await refused(['inspect', 'nothing'], /there is no service "nothing"/);
  });

  it('leaves nothing behind', async () => {
    await sandbox.ok('service', 'rm', 'api');
    await expect(fetchText(port)).rejects.toThrow('ECONNREFUSED');
    expect(proxiesOf(sandbox.home)).toEqual([]);
    const files = join(sandbox.home, 'haproxy');
    expect(existsSync(files) ? readdirSync(files) : []).toEqual([]);
  });
});

describe('a service of a stack', () => {
  let sandbox: Sandbox;
  let port: number;
  beforeAll(async () => {
    sandbox = await Sandbox.create();
    port = await freePort();
  });
  afterAll(() => sandbox[Symbol.asyncDispose]());

  const file = (replicas: number) => `
name: shop
kernels:
  web:
    driver: uml
    command: |
      mkdir -p /run/www/cgi-bin && hostname > /run/www/index.html
      printf '#!/bin/sh\\nsleep 5; echo; hostname\\n' > /run/www/cgi-bin/slow && chmod +x /run/www/cgi-bin/slow
      exec busybox httpd -f -p 80 -h /run/www
    network: private
    replicas: ${replicas}
services:
  front: {port: ${port}, targets: ["web:80"], slo: {availability: 99}}
`;
  const apply = async (replicas: number) => {
    const path = join(sandbox.home, 'shop.yaml');
    await writeFile(path, file(replicas));
    return sandbox.ok('apply', '-f', path);
  };
  const up = (count: number) =>
    until(`${count} replicas are up`, async () => {
      const { targets } = await sandbox.json<ServiceStatus>('service', 'inspect', 'front');
      return targets.filter(({ state }) => state === 'up').length === count && targets.length === count;
    });

  it('has a replica that is to go finish what it has', async () => {
    await apply(3);
    await up(3);
    const slow = Array.from({ length: 6 }, () => fetchText(port, undefined, '/cgi-bin/slow'));
    const answers = Promise.all(slow);
    await until('all are under way', async () => {
      const { inFlight } = await sandbox.json<ServiceStatus>('service', 'inspect', 'front');
      return inFlight === 6;
    });
    await apply(2);
    expect((await answers).filter((name) => name.trim() === 'web-3')).not.toEqual([]);
    await sandbox.ok('destroy', '-f', join(sandbox.home, 'shop.yaml'));
  });

  it('comes with its replicas, grows and shrinks with them under load, and goes with the stack', async () => {
    await apply(1);
    await up(1);
    const running = load(port);
    await running.more(10, 'web-1');
    await apply(3);
    await up(3);
    await running.more(10, 'web-3');
    expect((await sandbox.json<InstanceStatus[]>('ps')).map(({ spec }) => spec.name).sort()).toEqual([
      'web-1',
      'web-2',
      'web-3',
    ]);
    await apply(2);
    await up(2);
    await running.more(20);
    await running.stop();
    expect(running.failures).toEqual([]);
    expect(await apply(2)).toContain('Nothing to do: 2 kernels and 1 service as described.');
    await sandbox.ok('destroy', '-f', join(sandbox.home, 'shop.yaml'));
    expect(await sandbox.json('service', 'ls')).toEqual([]);
    expect(proxiesOf(sandbox.home)).toEqual([]);
  });
});

const isAbout =
  (type: DaemonEvent['type'], instance: string) =>
  (event: DaemonEvent): boolean =>
    event.type === type && event.message.startsWith(instance);

function proxiesOf(home: string): string[] {
  return readdirSync('/proc').filter((entry) => {
    try {
      return readFileSync(`/proc/${entry}/cmdline`, 'utf8').includes(join(home, 'haproxy'));
    } catch {
      return false;
    }
  });
}
