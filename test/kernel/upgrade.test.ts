/** A real kernel behind a service is upgraded to another image under load, and returns when the new one is no good. */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { ImageStore } from '../../src/image/contract.ts';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import type { ServiceStatus } from '../../src/service/contract.ts';
import type { UpgradeReport } from '../../src/upgrade/contract.ts';
import { fetchText, freePort, load } from '../support/http.ts';
import { PK, Sandbox, until } from '../support/pk.ts';

/** On a machine that is busy a daemon takes its time. */
const SLOW = /pk: the daemon is gone: waiting 30 s for another one.*\r?\n/;
const image = `next-${process.pid}`;
const server = (text: string) =>
  `mkdir -p /run/www && echo ${text} > /run/www/index.html && exec busybox httpd -f -p 80 -h /run/www`;

describe('an upgrade', () => {
  let sandbox: Sandbox;
  let port: number;

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    port = await freePort();
    const { kernel, moduleTree } = await new ImageStore().resolve('debian:uml');
    await sandbox.ok('image', 'import', kernel, '--name', image, '--modules', moduleTree!);
    const options = ['--driver', 'uml', '--memory', '128M', '--network', 'private', '-w', '/'];
    await sandbox.ok('run', '-d', '--name', 'web', ...options, '--', 'sh', '-c', server('one'));
    await sandbox.ok('service', 'create', 'api', '--port', `${port}`, '--target', 'web:80');
    await until('it is up', async () => (await service()).state === 'ok');
  });
  afterAll(async () => {
    await sandbox.pk(['service', 'rm', 'api']);
    await sandbox.pk(['rm', '-f', 'web']);
    await sandbox.pk(['image', 'rm', image]);
    await sandbox[Symbol.asyncDispose]();
  });

  const service = () => sandbox.json<ServiceStatus>('service', 'inspect', 'api');
  const web = () => sandbox.json<InstanceStatus>('inspect', 'web');

  /** Whether this machine was so slow until that was told that HAProxy took a kernel that ran for one that does not. */
  async function wasStarved(type: 'upgraded' | 'upgrade-undone', name = 'web'): Promise<boolean> {
    const done = new AbortController();
    let starved = false;
    const client = await connect({ home: sandbox.home });
    for await (const event of client.events({ since: 0 }, done.signal)) {
      starved ||= event.type === 'target-down' && /timeout/i.test(event.message);
      if (event.type === type && event.name === name) break;
    }
    done.abort();
    return starved;
  }

  it('of the daemon loses and doubles nothing that workloads say', async () => {
    const lines = 40_000;
    const script = `i=0; while [ $i -lt ${lines} ]; do echo $i; i=$((i+1)); done`;
    const drivers = ['uml', 'qemu'];
    for (const driver of drivers)
      await sandbox.ok('run', '-d', '--name', driver, '--driver', driver, '-w', '/', '--', 'sh', '-c', script);
    const followed = drivers.map((driver) => sandbox.pk(['logs', '-f', driver]));
    await sandbox.ok('daemon', 'upgrade');
    await sandbox.ok('daemon', 'upgrade');
    const all = Array.from({ length: lines }, (_, line) => `${line}\n`).join('');
    for (const { stdout, stderr } of await Promise.all(followed)) expect([stdout === all, stderr]).toEqual([true, '']);
    for (const driver of drivers) {
      expect((await sandbox.ok('logs', driver)) === all).toBe(true);
      await sandbox.ok('rm', driver);
    }
  });

  it.each(['uml', 'qemu'])(
    'of the daemon on %s lets commands of clients go on, with each byte once',
    async (driver) => {
      const name = `carries-${driver}`;
      await sandbox.ok('run', '-d', '--name', name, '--driver', driver, '-w', '/', '--', 'sleep', '100000');
      const client = await connect({ home: sandbox.home });
      const cat = await client.exec(name, { command: ['sh', '-c', 'cat; exit 3'] });
      const [given, taken] = [createHash('sha256'), createHash('sha256')];
      let isUpgraded = false;
      let [sent, came] = [0, 0];
      // It goes on for as long as daemons change, and not faster than a busy machine can follow.
      const input = async function* () {
        for (const least = 20_000_000; sent < least || !isUpgraded; await pause(5)) {
          const piece = randomBytes(65_536);
          given.update(piece);
          sent += piece.length;
          yield piece;
        }
      };
      const feeding = pipeline(input, cat.stdin);
      cat.stdout.on('data', (chunk: Buffer) => {
        taken.update(chunk);
        came += chunk.length;
      });
      await until('it is under way', async () => came > 0);
      await sandbox.ok('daemon', 'upgrade');
      await sandbox.ok('daemon', 'upgrade');
      isUpgraded = true;
      await feeding;
      expect(await cat.exited).toMatchObject({ reason: 'exit', exitCode: 3 });
      await until('all was read', async () => cat.stdout.readableEnded);
      expect([came, taken.digest('hex')]).toEqual([sent, given.digest('hex')]);
      await sandbox.ok('rm', '-f', name);
    },
  );

  it.each(['uml', 'qemu'])(
    'of the daemon on %s, and a kill of it, let a foreground run go on, with each byte once',
    async (driver) => {
      const run = sandbox.start('run', '--driver', driver, '-w', '/', '--', 'sh', '-c', 'cat; exit 3');
      const said: Buffer[] = [];
      let [sent, error] = [Buffer.alloc(0), ''];
      run.stdout!.on('data', (chunk) => said.push(chunk));
      run.stderr!.on('data', (chunk) => {
        error += chunk;
      });
      const ended = new Promise((resolve) => run.on('close', resolve));
      const feed = (bytes: number) => {
        const piece = randomBytes(bytes);
        sent = Buffer.concat([sent, piece]);
        run.stdin!.write(piece);
      };
      const allIsThere = () => until('all came back', async () => Buffer.concat(said).equals(sent));
      feed(1000);
      await allIsThere();
      for (const end of ['upgrade', 'kill', 'upgrade'] as const) {
        // An upgrade may come in the midst of it; what a kill costs is told, so there is nothing under way.
        if (end === 'upgrade') feed(3_000_000);
        if (end === 'upgrade') await sandbox.ok('daemon', 'upgrade');
        else {
          process.kill(Number(readFileSync(join(sandbox.home, 'daemon.lock'), 'utf8')), 'SIGKILL');
          await sandbox.ok('daemon', 'start');
        }
        await allIsThere();
      }
      run.stdin!.end();
      expect([await ended, error.replace(SLOW, '')]).toEqual([3, '']);
      await until('it is gone', async () => !(await sandbox.ok('ps', '-a', '-q')).includes('run'));
    },
  );

  it('of the daemon lets a terminal go on', async () => {
    const terminal = ['script', '-qec', `${PK} run --driver uml -w / -- sh`, '/dev/null'];
    const run = spawn(terminal[0]!, terminal.slice(1), { env: { ...sandbox.env, TERM: 'xterm' } });
    let said = '';
    run.stdout.on('data', (chunk) => {
      said += chunk;
    });
    const ended = new Promise((resolve) => run.on('close', resolve));
    const type = async (sum: number) => {
      run.stdin.write(`echo $((${sum} + 0))x\r`);
      await until('it answers', async () => said.includes(`${sum}x`));
    };
    await type(111);
    await sandbox.ok('daemon', 'upgrade');
    await type(222);
    run.stdin.write('exit 5\r');
    expect(await ended).toBe(5);
    expect(said.match(/222x/g)).toHaveLength(1);
    expect(said.replace(SLOW, '')).not.toMatch(/pk:/);
  });

  it('to another image and command loses no request', async () => {
    const before = await web();
    const asked = load(port);
    await asked.more(10, 'one');
    const options = ['--json', '--image', image];
    const said = await sandbox.ok('upgrade', ...options, 'web', '--', 'sh', '-c', server('two'));
    const report = JSON.parse(said) as UpgradeReport;
    await asked.more(10, 'two');
    await asked.stop();
    if (!(await wasStarved('upgraded'))) expect(asked.failures).toEqual([]);
    expect(report).toMatchObject({ way: 'beside', isPaused: false });
    const after = await web();
    expect(after).toMatchObject({ id: before.id, address: before.address, state: 'running', spec: { image } });
    expect(after.bootId).not.toBe(before.bootId);
    expect((await sandbox.json<InstanceStatus[]>('ps', '-a')).map(({ spec }) => spec.name)).toEqual(['web']);
  });

  it.each(['uml', 'qemu'])('on %s hands over what the old workload knows, and loses no request', async (driver) => {
    const [name, own] = [`keeps-${driver}`, await freePort()];
    const options = ['--driver', driver, '--memory', '128M', '--network', 'private', '-w', '/'];
    await sandbox.ok('run', '-d', '--name', name, ...options, '--', 'sh', '-c', server('none'));
    await sandbox.ok('service', 'create', name, '--port', `${own}`, '--target', `${name}:80`);
    await until('it is up', async () => (await fetchText(own).catch(() => '')) === 'none');
    await sandbox.ok('exec', name, '--', 'sh', '-c', 'echo learned > /run/www/index.html');
    const before = await sandbox.json<InstanceStatus>('inspect', name);
    const asked = load(own);
    await asked.more(10, 'learned');
    const state = ['--save', 'cat /run/www/index.html', '--load', 'cat > /run/www/index.html'];
    const said = await sandbox.ok(
      'upgrade',
      '--json',
      ...state,
      name,
      '--',
      'sh',
      '-c',
      `: two; ${server('forgotten')}`,
    );
    expect(JSON.parse(said)).toMatchObject({ way: 'beside', isPaused: false });
    await asked.more(10, 'learned');
    await asked.stop();
    if (!(await wasStarved('upgraded', name))) expect(asked.failures).toEqual([]);
    expect(Object.keys(asked.answers)).toEqual(['learned']);
    expect((await sandbox.json<InstanceStatus>('inspect', name)).bootId).not.toBe(before.bootId);
    await sandbox.ok('service', 'rm', name);
    await sandbox.ok('rm', '-f', name);
  });

  it('to what ends is taken back, and loses no request', async () => {
    const before = await web();
    const text = await fetchText(port);
    const asked = load(port);
    const ran = await sandbox.pk(['upgrade', '--auto-rollback', 'web', '--', 'sh', '-c', 'exit 3']);
    expect(ran.code).not.toBe(0);
    expect(ran.stderr).toMatch(/web-next is exited[\s\S]*taken back/);
    await asked.more(10, text);
    await asked.stop();
    if (!(await wasStarved('upgrade-undone'))) expect(asked.failures).toEqual([]);
    expect(await web()).toMatchObject({ bootId: before.bootId, spec: { command: before.spec.command } });
    expect((await service()).targets.map(({ instance }) => instance)).toEqual(['web']);
  });
});
