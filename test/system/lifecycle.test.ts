import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FakeDriver, fakeGuest, fakeKernels, killFakeKernel } from '../../src/driver/fake/driver.ts';
import { FakeKernel } from '../../src/driver/fake/kernel.ts';
import { NotGone } from '../../src/driver/index.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { eventually, startDaemon, testRegistry, untilState } from '../support/harness.ts';
import { ManualClock } from '../support/manual-clock.ts';

describe('life cycle', () => {
  it('creates, runs to the end and keeps the exit', async () => {
    const test = await startDaemon();
    const created = await test.create({ name: 'job', command: ['sh', '-c', 'exit 3'] });
    expect(created).toMatchObject({
      spec: { name: 'job', driver: 'fake', driverReason: 'as asked', memoryBytes: 256 * 2 ** 20 },
    });
    expect(await test.client.wait('job')).toMatchObject({
      state: 'exited',
      exit: { reason: 'exit', exitCode: 3 },
      restarts: 0,
    });
    expect(fakeKernels(test.home)).toEqual([]);
  });

  it('keeps facts about the kernel while it runs', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep'] });
    const status = await untilState(test, 'web', 'running');
    expect(status).toMatchObject({
      kernelRelease: '6.1.0-fake',
      cloned: false,
      imageDigest: 'f'.repeat(64),
      exit: null,
    });
    expect(status.bootId).toMatch(/^[0-9a-f-]{36}$/);
    expect(status.readyMs).toBeGreaterThanOrEqual(0);
  });

  it.each([
    ['sh -c exit', ['sh', '-c', 'exit 42'], 'exit', 42],
    ['a signal', ['sh', '-c', 'kill -9 $$'], 'signal', 137],
    ['no such program', ['nowhere'], 'failed', 127],
    ['no permission', ['not-executable'], 'failed', 126],
    ['a panic', ['crash'], 'panic', 122],
    ['a dead kernel process', ['die'], 'died', 123],
  ])('records %s', async (_what, command, reason, exitCode) => {
    const test = await startDaemon();
    const { spec } = await test.create({ command });
    expect(await test.client.wait(spec.name)).toMatchObject({ exit: { reason, exitCode } });
  });

  it.each([
    ['never-ready', 'not-ready', 124],
    ['boot-panic', 'panic', 122],
    ['boot-death', 'died', 123],
  ])('records a start that fails: %s', async (hostname, reason, exitCode) => {
    const test = await startDaemon();
    await test.create({ name: 'bad', hostname, command: ['true'], readyTimeoutMs: 20 });
    expect(await test.client.wait('bad')).toMatchObject({ exit: { reason, exitCode } });
    const again = test.client.start('bad');
    await expect(again).rejects.toMatchObject({ code: reason === 'died' ? 'kernel-died' : reason });
  });

  it('keeps what to do about a start that fails', async () => {
    class Refusing extends FakeDriver {
      override async start(): Promise<never> {
        throw new PolykernelError('unavailable', 'the machine has too little of it', { hint: 'Take less.' });
      }
    }
    const test = await startDaemon({ drivers: [new Refusing()] });
    await test.create({ name: 'bad', command: ['true'] });
    const exit = { reason: 'failed', message: 'the machine has too little of it', hint: 'Take less.' };
    expect(await test.client.wait('bad')).toMatchObject({ exit });
    await expect(test.client.start('bad')).rejects.toMatchObject({ hint: 'Take less.' });
  });

  it.each([
    ['nowhere', 'no-command', 127],
    ['not-executable', 'not-executed', 126],
  ])('answers a start once the command was executed, or why not: %s', async (command, code, exitCode) => {
    const test = await startDaemon();
    await test.create({ name: 'bad', command: [command], restart: 'always', start: false });
    await expect(test.client.start('bad')).rejects.toMatchObject({ code, hint: expect.stringContaining('pk rm bad') });
    const status = { state: 'exited', exit: { reason: 'failed', exitCode }, workingDirectory: null, restarts: 0 };
    expect(await test.client.inspect('bad')).toMatchObject(status);
    await test.create({ name: 'good', command: ['true'], cwd: '/srv', start: false });
    expect(await test.client.start('good')).toMatchObject({ workingDirectory: '/srv' });
  });

  it('stops, starts, restarts, kills', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep'] });
    const first = await untilState(test, 'web', 'running');
    expect(await test.client.stop('web')).toMatchObject({
      state: 'exited',
      exit: { reason: 'stopped', exitCode: 143 },
    });
    expect(await test.client.stop('web')).toMatchObject({ state: 'exited' });
    const second = await test.client.start('web');
    expect(second).toMatchObject({ state: 'running' });
    expect(second.bootId).not.toBe(first.bootId);
    const third = await test.client.restart('web');
    expect(third.bootId).not.toBe(second.bootId);
    await expect(test.client.start('web')).rejects.toMatchObject({
      code: 'conflict',
      message: 'web is already running',
    });
    expect(await test.client.kill('web')).toMatchObject({ state: 'exited', exit: { reason: 'killed', exitCode: 137 } });
    await expect(test.client.kill('web')).rejects.toMatchObject({ code: 'conflict' });
  });

  it('kills what does not heed SIGTERM after the grace', async () => {
    const test = await startDaemon();
    await test.create({ name: 'mule', command: ['stubborn'] });
    await untilState(test, 'mule', 'running');
    expect(await test.client.stop('mule', { graceMs: 30 })).toMatchObject({ exit: { reason: 'stopped' } });
  });

  it('sends other signals to the workload only', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    await test.client.kill('web', { signal: 10 });
    expect(await test.client.wait('web')).toMatchObject({ exit: { reason: 'signal', exitCode: 138 } });
  });

  it('pauses and resumes, and stops what is paused', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    expect(await test.client.pause('web')).toMatchObject({ state: 'paused' });
    await expect(test.client.pause('web')).rejects.toMatchObject({ code: 'conflict' });
    expect(await test.client.resume('web')).toMatchObject({ state: 'running' });
    await test.client.pause('web');
    expect(await test.client.stop('web')).toMatchObject({ state: 'exited' });
  });

  it('refuses what the driver cannot do, naming the capability', async () => {
    const test = await startDaemon({ drivers: [new FakeDriver({ capabilities: { pause: false } })] });
    await test.create({ name: 'web', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    await expect(test.client.pause('web')).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('"pause"'),
    });
  });

  it('stops a start that is under way', async () => {
    const test = await startDaemon();
    await test.create({ name: 'slow', hostname: 'never-ready', command: ['true'], readyTimeoutMs: 60_000 });
    expect(await test.client.stop('slow')).toMatchObject({ state: 'exited', exit: { reason: 'stopped' } });
    expect(fakeKernels(test.home)).toEqual([]);
  });

  it('tells a kernel that is killed from outside', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    const { paths } = await test.client.inspect('web');
    killFakeKernel(join(paths.directory, 'kernel'));
    expect(await test.client.wait('web')).toMatchObject({ exit: { reason: 'died', exitCode: 123 } });
  });

  it('removes only what is down, or by force, and leaves no directory', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    await expect(test.client.remove('web')).rejects.toMatchObject({
      code: 'conflict',
      hint: expect.stringContaining('pk stop web'),
    });
    await test.client.remove('web', { force: true });
    await expect(test.client.inspect('web')).rejects.toMatchObject({ code: 'not-found' });
    expect(readdirSync(join(test.home, 'instances'))).toEqual([]);
    expect(fakeKernels(test.home)).toEqual([]);
    await test.create({ name: 'web', command: ['true'] });
  });

  it('removes by force what somebody restarts, and tells him', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', hostname: 'mute', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    const restarted = test.client.restart('web', { graceMs: 600_000 }).then(
      () => 'restarted',
      () => 'refused',
    );
    await untilState(test, 'web', 'stopping');
    await test.client.remove('web', { force: true });
    expect(await restarted).toBeDefined();
    await expect(test.client.inspect('web')).rejects.toMatchObject({ code: 'not-found' });
    expect(fakeKernels(test.home)).toEqual([]);
  });

  // Its ids would be another's next, beside what is left of it.
  it.each(['fails', 'is ended'])(
    'is stuck where what is left of a start that %s is not proven to be gone',
    async (how) => {
      const clock = new ManualClock();
      const test = await startDaemon({ clock });
      const left = new NotGone('process 7 does not die', { value: 7, hint: '' });
      vi.spyOn(FakeDriver.prototype, 'start').mockImplementationOnce(async (_, signal) => {
        if (how === 'is ended') await new Promise((resolve) => signal.addEventListener('abort', resolve));
        throw left;
      });
      const destroyed = vi.spyOn(FakeDriver.prototype, 'destroy').mockRejectedValue(left);
      onTestFinished(() => void vi.restoreAllMocks());
      await test.create({ name: 'web', command: ['sleep'], restart: 'always' });
      await eventually(() => test.daemon.supervisor.get('web').record.launch !== null);
      if (how === 'is ended') await test.client.stop('web').catch((error) => expect(error.code).toBe('conflict'));
      const { exit } = await untilState(test, 'web', 'stuck');
      expect(exit).toBeNull();
      await expect(test.client.start('web')).rejects.toMatchObject({ code: 'conflict' });
      const removed = test.client.remove('web', { force: true });
      const refused = expect(removed).rejects.toMatchObject({ code: 'conflict', message: /process 7 does not die/ });
      await eventually(() => {
        clock.advance(2_000);
        return destroyed.mock.calls.length > 1;
      });
      await refused;
      destroyed.mockRestore();
      await eventually(async () => {
        clock.advance(2_000);
        return (await test.client.inspect('web')).state === 'exited';
      });
      await test.client.remove('web');
    },
  );

  it.each(['in the foreground', 'by policy'])(
    'a first start that comes to nothing is not made again %s, and its cause is told',
    async (how) => {
      const clock = new ManualClock();
      const test = await startDaemon({ clock });
      const cause = new PolykernelError('conflict', 'the volume is refused', { field: 'volumes' });
      const left = new NotGone('process 7 does not die', { value: 7, hint: '', cause });
      const started = vi.spyOn(FakeDriver.prototype, 'start').mockRejectedValue(left);
      const destroyed = vi.spyOn(FakeDriver.prototype, 'destroy').mockRejectedValue(left);
      onTestFinished(() => void vi.restoreAllMocks());
      const attached = how === 'in the foreground';
      const policy = attached ? { attached } : ({ restart: 'always' } as const);
      await test.create({ name: 'web', command: ['sleep'], ...policy });
      const message = 'the volume is refused; process 7 does not die';
      if (attached) {
        const { exited } = await test.client.attach('web');
        expect(await exited).toMatchObject({ reason: 'failed', message });
      }
      await untilState(test, 'web', 'stuck');
      const { id } = await test.client.inspect('web');
      const ended = test.daemon.supervisor.get('web');
      destroyed.mockRestore();
      await eventually(() => {
        clock.advance(2_000);
        return ended.state === 'exited';
      });
      expect(ended.record).toMatchObject({ id, machine: { exit: { reason: 'failed', message } } });
      if (attached) await eventually(() => test.daemon.supervisor.find('web') === undefined);
      expect(started).toHaveBeenCalledOnce();
    },
  );

  it('waits with a name for the last words of one in the foreground whose client is gone', async () => {
    const clock = new ManualClock();
    const test = await startDaemon({ clock });
    const { id } = await test.create({ name: 'web', command: ['sleep'], attached: true });
    const process = await test.client.attach('web');
    await process.started;
    // It hears nothing.
    fakeGuest(fakeKernels(test.home)[0]!)!.pause();
    process.close();
    const left = test.daemon.supervisor.get('web');
    await eventually(() => left.client?.hasLeft === true);
    expect(left.state).toBe('running');
    const next = test.daemon.supervisor.create({ name: 'web', driver: 'fake', command: ['true'], start: false });
    await eventually(() => {
      clock.advance(2_000);
      return left.state === 'exited';
    });
    expect((await next).record.id).not.toBe(id);
  });

  it('tells the client of one in the foreground that it is stuck', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep'], attached: true });
    const { started, exited } = await test.client.attach('web');
    await started;
    const left = new NotGone('process 7 does not die', { value: 7, hint: '' });
    const killed = vi.spyOn(FakeKernel.prototype, 'kill').mockRejectedValue(left);
    onTestFinished(() => void vi.restoreAllMocks());
    await expect(test.client.kill('web', {})).rejects.toMatchObject({ code: 'conflict' });
    expect(await exited).toMatchObject({ message: 'killed on request; process 7 does not die' });
    killed.mockRestore();
    killFakeKernel(fakeKernels(test.home)[0]!);
    await eventually(() => test.daemon.supervisor.find('web') === undefined);
  });

  it.each(['is stuck', 'gets stuck'])('waits with a name for none in the foreground that %s', async (when) => {
    const clock = new ManualClock();
    const test = await startDaemon({ clock });
    const left = new NotGone('process 7 does not die', { value: 7, hint: '' });
    const booting = Promise.withResolvers<never>();
    const started = vi.spyOn(FakeDriver.prototype, 'start').mockReturnValue(booting.promise);
    const destroyed = vi.spyOn(FakeDriver.prototype, 'destroy').mockRejectedValue(left);
    onTestFinished(() => void vi.restoreAllMocks());
    await test.create({ name: 'web', command: ['sleep'], attached: true });
    const client = await test.client.attach('web');
    const ended = test.daemon.supervisor.get('web');
    // Else it is over with its preparations.
    await eventually(() => ended.client !== undefined && started.mock.calls.length > 0);
    client.close();
    await eventually(() => ended.state === 'stopping');
    const create = () =>
      test.daemon.supervisor.create({ name: 'web', driver: 'fake', command: ['true'], start: false }).then(
        () => 'made',
        ({ code }: PolykernelError) => code,
      );
    let next = when === 'is stuck' ? undefined : create();
    booting.reject(left);
    await untilState(test, 'web', 'stuck');
    next ??= create();
    expect(await next).toBe('conflict');
    destroyed.mockRestore();
    await eventually(() => {
      clock.advance(2_000);
      return test.daemon.supervisor.find('web') === undefined;
    });
  });

  it('refuses a name that is taken and makes names up', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['true'], start: false });
    const again = test.create({ name: 'web', command: ['true'] });
    await expect(again).rejects.toMatchObject({ code: 'conflict', field: 'name', value: 'web' });
    const names = await Promise.all(Array.from({ length: 5 }, () => test.create({ command: ['true'], start: false })));
    expect(new Set(names.map((status) => status.spec.name)).size).toBe(5);
    expect(await test.client.inspect('web')).toMatchObject({ state: 'created' });
  });

  it('gives one of two racing creations the name', async () => {
    const test = await startDaemon();
    const results = await Promise.allSettled([1, 2, 3].map(() => test.create({ name: 'one', command: ['true'] })));
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
  });

  it('tells its story in events, in order and again from a number on', async () => {
    const test = await startDaemon();
    await test.create({ name: 'job', command: ['true'] });
    await test.client.wait('job');
    await test.client.remove('job');
    const types: string[] = [];
    let last = 0;
    for await (const event of test.client.events({ since: 0 })) {
      expect(event.sequence).toBe(last + 1);
      last = event.sequence;
      types.push(event.type);
      if (event.type === 'removed') break;
    }
    expect(types).toEqual(['created', 'starting', 'ready', 'stopping', 'exited', 'removed']);
    for await (const event of test.client.events({ since: last - 1 })) {
      expect(event.sequence).toBe(last);
      break;
    }
  });

  it('says what is wrong with a request', async () => {
    const test = await startDaemon();
    const refusal = async (request: object) =>
      test.client.create(request as never).then(
        () => undefined,
        (error) => error.toJSON(),
      );
    expect(await refusal({ comand: ['true'] })).toMatchObject({
      code: 'invalid',
      field: 'comand',
      hint: 'Did you mean command?',
    });
    expect(await refusal({ command: [] })).toMatchObject({ code: 'invalid', field: 'command' });
    expect(await refusal({ command: ['true'], cpus: 'two' })).toMatchObject({
      field: 'cpus',
      value: 'two',
      hint: expect.any(String),
    });
    expect(await refusal({ command: ['true'], cpus: 1000 })).toMatchObject({
      field: 'cpus',
      hint: 'Use --cpus 64 or less.',
    });
    expect(await refusal({ command: ['true'], name: 'Not Good' })).toMatchObject({
      field: 'name',
      hint: expect.stringContaining('not-good'),
    });
    expect(await refusal({ command: ['true'], image: 'nope' })).toMatchObject({ code: 'not-found', field: 'image' });
    expect(await refusal({ command: ['true'], root: '/no/such' })).toMatchObject({ code: 'not-found', field: 'root' });
    expect(await refusal({ command: ['true'], driver: 'uml' })).toMatchObject({ code: 'unavailable', field: 'driver' });
    expect(await refusal({ command: ['true'], attached: true, restart: 'always' })).toMatchObject({ field: 'restart' });
    expect(await test.client.list()).toEqual([]);
  });

  it('gives kernels user ids of their own where it may', async () => {
    const test = await startDaemon({ identities: await testRegistry() });
    const launches = await Promise.all(
      ['a', 'b'].map(async (name) => {
        await test.create({ name, command: ['sleep'] });
        await untilState(test, name, 'running');
        return test.daemon.supervisor.get(name).record.launch!.identity!;
      }),
    );
    expect(launches[0]).toMatchObject({ kind: 'range', count: 65_536 });
    expect(launches[0]).not.toEqual(launches[1]);
    await test.client.remove('a', { force: true });
    await test.create({ name: 'c', command: ['sleep'] });
    await untilState(test, 'c', 'running');
    expect(test.daemon.supervisor.get('c').record.launch!.identity).toEqual(launches[0]);
    // In the foreground, too, and there it sees the host's files with its caller's eyes.
    const { spec } = await test.create({ command: ['sleep'], attached: true });
    expect(test.daemon.supervisor.get(spec.name).record.identity).toMatchObject({ kind: 'range' });
    await test.client.remove(spec.name, { force: true });
  });

  it('keeps the socket to its owner and removes it at the end', async () => {
    const test = await startDaemon();
    const { statSync } = await import('node:fs');
    expect(statSync(test.daemon.socket).mode & 0o777).toBe(0o600);
    await test.client.shutdown();
    await eventually(() => !existsSync(test.daemon.socket));
  });
});
