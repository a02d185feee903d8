import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FakeDriver, fakeGuest, fakeKernels, killFakeKernel } from '../../src/driver/fake/driver.ts';
import { FakeKernel } from '../../src/driver/fake/kernel.ts';
import { GuestLink } from '../../src/guest/index.ts';
import { Instance } from '../../src/instance/instance.ts';
import { Life } from '../../src/instance/life.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { layout } from '../../src/sys/paths.ts';
import { eventually, gather, startDaemon, testRegistry, untilState } from '../support/harness.ts';
import { ManualClock } from '../support/manual-clock.ts';

describe('a daemon that comes after another has ended in good order', () => {
  it('goes on with commands of clients, of which no byte is lost or doubled', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    const cat = await test.client.exec('web', { command: ['cat'] });
    const sent = Buffer.alloc(3_000_000, 'abcdefghijklmnopqrstuvwxyz');
    const said: Buffer[] = [];
    let length = 0;
    cat.stdout.on('data', (chunk: Buffer) => {
      said.push(chunk);
      length += chunk.length;
    });
    cat.stdin.write(sent.subarray(0, 1_000_000));
    await eventually(() => length > 0);
    await test.daemon.close();
    cat.stdin.write(sent.subarray(1_000_000, 2_000_000));
    await test.crashAndRestart();
    await eventually(() => length === 2_000_000);
    await test.daemon.close();
    await test.crashAndRestart();
    cat.stdin.end(sent.subarray(2_000_000));
    expect(await cat.exited).toMatchObject({ reason: 'exit', exitCode: 0 });
    await eventually(() => cat.stdout.readableEnded);
    expect(Buffer.concat(said).equals(sent)).toBe(true);
  });

  it('ends those whose clients do not come back', async () => {
    const clock = new ManualClock();
    const test = await startDaemon({ clock });
    await test.create({ name: 'web', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    const exec = await test.client.exec('web', { command: ['sleep'] });
    await exec.started;
    exec.exited.catch(() => {});
    await test.daemon.close();
    exec.close();
    await test.crashAndRestart();
    const guest = await test.daemon.supervisor.get('web').guest();
    const found = () => guest.sessions();
    expect(found()).toHaveLength(1);
    clock.advance(30_000);
    expect(found()).toEqual([]);
  });
});

describe('a daemon that comes after another was killed', () => {
  it('says of a kernel whose guest breaks the protocol while it is taken over that it does', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    const original = FakeDriver.prototype.attach;
    vi.spyOn(FakeDriver.prototype, 'attach').mockImplementation(async function (this: FakeDriver, spec) {
      const found = await original.call(this, spec);
      const { guest } = found as FakeKernel;
      // A driver may have more to do before it gives the kernel away.
      for (let frames = 0; frames < 100; frames++) fakeGuest(spec.directory)!.trouble(99, 1, '');
      await eventually(() => guest.brokenBy !== undefined);
      return found;
    });
    await test.crashAndRestart();
    vi.restoreAllMocks();
    expect(await untilState(test, 'web', 'exited')).toMatchObject({
      exit: {
        reason: 'died',
        message: expect.stringMatching(/could not be taken over: .* keeps breaking the control/),
      },
    });
    expect(fakeKernels(test.home)).toEqual([]);
  });

  it('serves at once while a kernel does not answer, and says so of that one alone', async () => {
    const { test, answer } = await withSilent();
    const [late, web] = await Promise.all(['late', 'web'].map((name) => test.client.inspect(name)));
    expect(late).toMatchObject({ state: 'running', takingOver: true, pid: PID });
    expect(web).toMatchObject({ state: 'running' });
    expect(await exec(test, 'web')).toBe(0);
    const waiting = exec(test, 'late');
    answer();
    expect(await waiting).toBe(0);
    expect(await test.client.inspect('late')).toMatchObject({ state: 'running', takingOver: false });
  });

  it('writes down nothing of clients that leave while they wait for one', async () => {
    const { test } = await withSilent();
    const waiting = vi.spyOn(Instance.prototype, 'takenOver');
    const remote = await test.client.exec('late', { command: ['true'] });
    remote.exited.catch(() => {});
    await eventually(() => waiting.mock.results.length > 0);
    remote.close();
    await expect(waiting.mock.results[0]!.value).rejects.toBeDefined();
    await new Promise((resolve) => setImmediate(resolve));
    expect(test.journal.filter((line) => line.includes('answering'))).toEqual([]);
  });

  it('refuses after a while what waits for a kernel that does not answer', async () => {
    const clock = new ManualClock();
    const { test, answer } = await withSilent({ clock });
    const instance = test.daemon.supervisor.get('late');
    const refused = { code: 'unavailable', message: expect.stringContaining('taken it over') };
    const all = Promise.all(
      [
        () => exec(test, 'late'),
        () => test.client.pause('late'),
        () => test.client.stop('late'),
        () => test.client.kill('late', { signal: 10 }),
        () => instance.resize(null, undefined),
        () => instance.registers(),
        () => test.daemon.supervisor.repin('late'),
        () => test.daemon.supervisor.areInPlace(['late']),
      ].map(async (ask) => await expect(ask()).rejects.toMatchObject(refused)),
    ).then(() => true);
    let isOver = false;
    void all.then(() => {
      isOver = true;
    });
    await eventually(() => {
      clock.advance(10_000);
      return isOver;
    });
    await all;
    answer();
    await instance.takenOver();
    expect(await test.client.stop('late')).toMatchObject({ state: 'exited', exit: { reason: 'stopped' } });
  });

  it('stops a kernel in good order that answers late', async () => {
    const { test, answer } = await withSilent();
    const stopped = test.client.stop('late');
    const isPaused = test.client.pause('web');
    expect(await isPaused).toMatchObject({ state: 'paused' });
    answer();
    expect(await stopped).toMatchObject({ state: 'exited', exit: { reason: 'stopped' } });
  });

  it.each(['killed', 'removed'] as const)('waits for no answer of a kernel that is %s', async (how) => {
    const { test } = await withSilent();
    if (how === 'removed') await test.client.remove('late', { force: true });
    else expect(await test.client.kill('late')).toMatchObject({ state: 'exited', exit: { reason: 'killed' } });
    expect(fakeKernels(test.home)).toHaveLength(1);
    if (how === 'removed') await test.create({ name: 'late', command: ['sleep'] });
    else await test.client.start('late');
    await untilState(test, 'late', 'running');
    expect(await exec(test, 'late')).toBe(0);
  });

  it('leaves a kernel that did not answer to the next daemon', async () => {
    const { test, answer } = await withSilent();
    const waiting = exec(test, 'late').catch((error) => error);
    await test.daemon.close();
    expect(await waiting).toMatchObject({ code: 'unavailable' });
    answer();
    vi.restoreAllMocks();
    await test.crashAndRestart();
    expect(fakeKernels(test.home)).toHaveLength(2);
    expect(await exec(test, 'late')).toBe(0);
  });

  it('leaves a foreground kernel that did not answer to the next daemon, where its client goes on', async () => {
    const { test, answer } = await withSilent({ attached: true });
    await test.daemon.close();
    answer();
    vi.restoreAllMocks();
    await test.crashAndRestart();
    const { client } = test;
    expect(fakeKernels(test.home)).toHaveLength(2);
    await untilState(test, 'late', 'running');
    expect(await client.exec('late', { command: ['true'] }).then(({ exited }) => exited)).toMatchObject({
      exitCode: 0,
    });
  });

  it('removes a channel of a kernel once that can be asked to let go of it', async () => {
    const { test, answer } = await withSilent();
    await test.client.createChannel({ name: 'orders', from: 'late', to: 'web' });
    expect(await test.client.channel('orders')).toMatchObject({ from: { visible: 'pending' } });
    const removed = test.client.removeChannel('orders');
    expect(await test.client.channels()).toHaveLength(1);
    answer();
    await removed;
    expect(await test.client.channels()).toEqual([]);
  });

  it('goes on with the same kernels, sessions and logs', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sh', '-c', 'echo before; sleep 3; echo after; exit 9'] });
    const before = await untilState(test, 'web', 'running');
    await eventually(async () => (await logText(test, 'web')) === 'before\n');
    await test.crashAndRestart();
    expect(await test.client.inspect('web')).toMatchObject({
      state: 'running',
      bootId: before.bootId,
      startedAt: before.startedAt,
    });
    const echo = await test.client.exec('web', { command: ['echo', 'still here'] });
    expect((await gather(echo)).stdout).toBe('still here\n');
    expect(await test.client.wait('web')).toMatchObject({ exit: { reason: 'exit', exitCode: 9 } });
    expect(await logText(test, 'web')).toBe('before\nafter\n');
  });

  it('ends the processes of clients that are gone, once they could have come back', async () => {
    const clock = new ManualClock();
    const test = await startDaemon({ clock });
    await test.create({ name: 'web', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    const exec = await test.client.exec('web', { command: ['sleep'] });
    await exec.started;
    await test.daemon.drop();
    exec.close();
    await expect(exec.exited).rejects.toMatchObject({ code: 'unavailable' });
    await test.crashAndRestart();
    const guest = await test.daemon.supervisor.get('web').guest();
    expect(guest.sessions()).toHaveLength(1);
    clock.advance(30_000);
    expect(guest.sessions()).toEqual([]);
  });

  it('records what ended meanwhile and restarts by policy', async () => {
    const clock = new ManualClock();
    const test = await startDaemon({ clock });
    for (const [name, restart] of [
      ['once', 'no'],
      ['again', 'always'],
    ] as const) {
      await test.create({ name, command: ['sleep'], restart });
      await untilState(test, name, 'running');
    }
    await test.daemon.drop();
    for (const directory of fakeKernels(test.home)) killFakeKernel(directory);
    await test.crashAndRestart();
    expect(await test.client.inspect('once')).toMatchObject({ state: 'exited', exit: { reason: 'died' } });
    expect(await test.client.inspect('again')).toMatchObject({ state: 'backoff' });
    await test.crashAndRestart();
    clock.advance(1000);
    expect(await untilState(test, 'again', 'running')).toMatchObject({ restarts: 1 });
  });

  it('boots anew what was starting and ends what was stopping', async () => {
    const test = await startDaemon();
    await test.create({ name: 'mule', command: ['stubborn'] });
    await untilState(test, 'mule', 'running');
    await eventually(async () => (await logText(test, 'mule')) === 'ready\n');
    test.client.stop('mule', { graceMs: 60_000 }).catch(() => {});
    await untilState(test, 'mule', 'stopping');
    await test.create({ name: 'slow', hostname: 'never-ready', command: ['true'], readyTimeoutMs: 60_000 });
    await test.crashAndRestart();
    expect(await test.client.inspect('slow')).toMatchObject({ state: 'starting' });
    expect(await untilState(test, 'mule', 'exited')).toMatchObject({ exit: { reason: 'stopped' } });
    expect(fakeKernels(test.home)).toEqual([]);
  });

  it('boots anew what was starting once what is left of that is gone', async () => {
    const clock = new ManualClock();
    const test = await startDaemon({ clock });
    await test.create({ name: 'slow', hostname: 'never-ready', command: ['true'], readyTimeoutMs: 60_000 });
    await eventually(() => test.daemon.supervisor.get('slow').record.launch !== null);
    await test.daemon.drop();
    const stuck = vi.spyOn(FakeDriver.prototype, 'destroy').mockRejectedValue(new Error('it does not die'));
    const started = vi.spyOn(FakeDriver.prototype, 'start');
    onTestFinished(() => void vi.restoreAllMocks());
    await test.crashAndRestart();
    await eventually(() => {
      clock.advance(2_000);
      return stuck.mock.calls.length > 2;
    });
    expect(started).not.toHaveBeenCalled();
    expect(await test.client.inspect('slow')).toMatchObject({ state: 'starting' });
    stuck.mockRestore();
    await eventually(() => {
      clock.advance(2_000);
      return started.mock.calls.length > 0;
    });
    await test.client.remove('slow', { force: true });
  });

  it('keeps what is paused paused', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    await test.client.pause('web');
    await test.crashAndRestart();
    expect(await test.client.inspect('web')).toMatchObject({ state: 'paused' });
    expect(await test.client.resume('web')).toMatchObject({ state: 'running' });
    const echo = await test.client.exec('web', { command: ['true'] });
    expect((await gather(echo)).exit).toMatchObject({ exitCode: 0 });
  });

  it.each(['does not answer', 'has answered', 'is about to stand still'])(
    'leaves one paused that %s when the daemon ends',
    async (when) => {
      const test = await startDaemon();
      await test.create({ name: 'web', command: ['sleep'] });
      await untilState(test, 'web', 'running');
      await test.client.pause('web');
      const [directory] = fakeKernels(test.home);
      const isPaused = () => fakeGuest(directory!)!.isPaused;
      const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
      const { promise: going, resolve: goOn } = Promise.withResolvers<void>();
      const { attach: greet } = GuestLink.prototype;
      const { pause } = FakeKernel.prototype;
      const letGo = vi.spyOn(FakeKernel.prototype, 'detach');
      onTestFinished(() => void vi.restoreAllMocks());
      if (when === 'is about to stand still')
        vi.spyOn(FakeKernel.prototype, 'pause').mockImplementationOnce(async function (this: FakeKernel) {
          ask();
          await going;
          // As of a driver that has closed its line to the VMM by then.
          if (letGo.mock.contexts.includes(this)) throw new Error('nobody holds it');
          await pause.call(this);
        });
      else
        vi.spyOn(GuestLink.prototype, 'attach').mockImplementationOnce(async function (this: GuestLink, ...args) {
          ask();
          if (when === 'has answered') await going;
          else await new Promise((_, reject) => args[1]?.addEventListener('abort', () => reject(args[1]!.reason)));
          return await greet.apply(this, args);
        });
      await test.crashAndRestart();
      await asked;
      expect(isPaused()).toBe(false);
      const left = vi.spyOn(Life.prototype, 'detach');
      const closed = test.daemon.close();
      await eventually(() => left.mock.calls.length > 0);
      goOn();
      await closed;
      expect(isPaused()).toBe(true);
      await test.crashAndRestart();
      expect(await test.client.inspect('web')).toMatchObject({ state: 'paused' });
      expect(await test.client.resume('web')).toMatchObject({ state: 'running' });
      expect(await exec(test, 'web')).toBe(0);
    },
  );

  it('does not say that one is paused which it cannot keep so', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    await test.client.pause('web');
    // As both drivers leave it: one has to be woken to be found again, the other goes on where it was told too late.
    vi.spyOn(FakeKernel.prototype, 'pause').mockImplementationOnce(async function (this: FakeKernel) {
      await this.resume();
      throw new PolykernelError('internal', 'it did not answer');
    });
    await test.crashAndRestart();
    expect(await test.client.inspect('web')).toMatchObject({ state: 'running' });
    expect(await test.client.pause('web')).toMatchObject({ state: 'paused' });
  });

  it('lets go on what the one before had paused for work of its own', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    await test.daemon.supervisor.get('web').pause(true);
    await test.crashAndRestart();
    expect(await test.client.inspect('web')).toMatchObject({ state: 'running' });
    const echo = await test.client.exec('web', { command: ['true'] });
    expect((await gather(echo)).exit).toMatchObject({ exitCode: 0 });
    await test.client.pause('web');
    await test.crashAndRestart();
    expect(await test.client.inspect('web')).toMatchObject({ state: 'paused' });
  });

  it('ends foreground instances whose clients do not come back, and whatever has no record', async () => {
    const clock = new ManualClock();
    const test = await startDaemon({ clock });
    const { spec } = await test.create({ command: ['sleep'], attached: true });
    const process = await test.client.attach(spec.name);
    await process.started;
    mkdirSync(join(test.home, 'instances', 'litter'));
    writeFileSync(join(test.home, 'instances', 'litter', 'launch.json'), 'not JSON');
    await test.daemon.drop();
    process.close();
    await expect(process.exited).rejects.toMatchObject({ code: 'unavailable' });
    await test.crashAndRestart();
    expect(readdirSync(join(test.home, 'instances'))).not.toContain('litter');
    expect(await test.client.list()).toHaveLength(1);
    clock.advance(30_000);
    await eventually(async () => (await test.client.list()).length === 0);
    expect(readdirSync(join(test.home, 'instances'))).toEqual([]);
    expect(fakeKernels(test.home)).toEqual([]);
  });

  it('gives back what a leftover had once that has ended, however late, and to nobody before', async () => {
    const clock = new ManualClock();
    const identities = await testRegistry();
    const test = await startDaemon({ clock, identities });
    for (const name of ['gone', 'other'])
      await test.create({ name, command: ['sleep'], channels: [{ name, side: 'send' }] });
    const { id } = await untilState(test, 'gone', 'running');
    await untilState(test, 'other', 'running');
    await test.daemon.drop();
    const database = new DatabaseSync(layout(test.home).database);
    database.exec('DELETE FROM instances');
    database.close();
    const { destroy } = FakeDriver.prototype;
    let lives = true;
    const ended = vi.spyOn(FakeDriver.prototype, 'destroy').mockImplementation(async function (
      this: FakeDriver,
      ...args
    ) {
      if (lives && args[0].includes(id.slice(0, 12))) throw new Error('it does not die');
      await destroy.apply(this, args);
    });
    onTestFinished(() => void vi.restoreAllMocks());
    const started = test.crashAndRestart();
    let isStarted = false;
    void started.then(() => {
      isStarted = true;
    });
    await eventually(() => {
      clock.advance(500);
      return isStarted;
    });
    const owner = async (name: string) => (await test.client.channel(name)).from.owner;
    await eventually(async () => (await owner('other')) === 'host');
    // A name that is free meanwhile is another's.
    await test.create({ name: 'other', command: ['sleep'], channels: [{ name: 'other', side: 'send' }] });
    const tries = ended.mock.calls.length;
    await eventually(() => {
      clock.advance(2_000);
      return ended.mock.calls.length > tries + 1;
    });
    expect(await owner('gone')).toBe('gone');
    const { identity } = test.daemon.supervisor.get('other').record;
    const kept = identities.take(id);
    expect(identity).not.toEqual(kept);
    lives = false;
    await eventually(async () => {
      clock.advance(2_000);
      return (await owner('gone')) === 'host';
    });
    expect(await owner('other')).toBe('other');
    await test.create({ name: 'gone', command: ['sleep'], channels: [{ name: 'gone', side: 'send' }] });
    await untilState(test, 'gone', 'running');
    expect(test.daemon.supervisor.get('gone').record.identity).toEqual(kept);
    expect(test.daemon.supervisor.get('other').record.identity).toEqual(identity);
    expect(readdirSync(join(test.home, 'instances'))).toHaveLength(2);
    expect(test.journal.filter((line) => line.includes('it does not die'))).toHaveLength(1);
  });

  it('keeps event numbers growing', async () => {
    const test = await startDaemon();
    await test.create({ name: 'job', command: ['true'] });
    await test.client.wait('job');
    const last = await lastSequence(test);
    await test.crashAndRestart();
    await test.client.start('job');
    expect(await lastSequence(test)).toBeGreaterThan(last);
  });

  it('finds everything again after an orderly end too', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep'] });
    const before = await untilState(test, 'web', 'running');
    await test.daemon.close();
    expect(existsSync(join(test.home, 'daemon.lock'))).toBe(false);
    expect(fakeKernels(test.home)).not.toEqual([]);
    const second = await startDaemon({ home: test.home });
    expect(await second.client.inspect('web')).toMatchObject({ state: 'running', bootId: before.bootId });
  });
});

async function lastSequence(test: Awaited<ReturnType<typeof startDaemon>>): Promise<number> {
  let last = 0;
  await test.create({ name: 'marker', command: ['true'], start: false });
  for await (const event of test.client.events({ since: 0 })) {
    last = event.sequence;
    if (event.name === 'marker') break;
  }
  await test.client.remove('marker');
  return last;
}

async function logText(test: Awaited<ReturnType<typeof startDaemon>>, name: string): Promise<string> {
  let text = '';
  for await (const line of test.client.logs(name)) text += line.d;
  return text;
}

/** Of a kernel that is to be silent, as the host sees it. */
const PID = 4242;

/** A daemon that has come after another one was killed, with two kernels: `late` does not answer it until that is called for, or it is ended. */
async function withSilent({ clock, attached = false }: { clock?: ManualClock; attached?: boolean } = {}) {
  const test = await startDaemon(clock && { clock });
  for (const name of ['late', 'web']) {
    const isAttached = attached && name === 'late';
    await test.create({ name, command: ['sleep'], attached: isAttached });
    // Before its client has come nothing runs.
    if (isAttached) await (await test.client.attach(name)).started;
    await untilState(test, name, 'running');
  }
  const { promise, resolve: answer } = Promise.withResolvers<void>();
  const { attach, destroy } = FakeDriver.prototype;
  vi.spyOn(FakeDriver.prototype, 'attach').mockImplementation(async function (this: FakeDriver, spec, seen) {
    if (spec.name === 'late') {
      seen?.(PID);
      await promise;
    }
    return await attach.call(this, spec, seen);
  });
  vi.spyOn(FakeDriver.prototype, 'destroy').mockImplementation(async function (this: FakeDriver, ...args) {
    await destroy.apply(this, args);
    answer();
  });
  onTestFinished(() => {
    answer();
    vi.restoreAllMocks();
  });
  await test.crashAndRestart();
  return { test, answer };
}

async function exec(test: Awaited<ReturnType<typeof startDaemon>>, name: string): Promise<number> {
  return (await (await test.client.exec(name, { command: ['true'] })).exited).exitCode;
}
