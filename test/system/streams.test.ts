import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { fakeKernels } from '../../src/driver/fake/driver.ts';
import { eventually, gather, startDaemon, untilState } from '../support/harness.ts';

async function running(options: { command?: string[]; tty?: boolean } = {}) {
  const test = await startDaemon();
  await test.create({ name: 'web', command: ['sleep'], ...options });
  await untilState(test, 'web', 'running');
  return test;
}

describe('exec', () => {
  it('carries input, both outputs and the exit code', async () => {
    const test = await running();
    const cat = await test.client.exec('web', { command: ['cat'] });
    cat.stdin.end('to and fro');
    expect(await gather(cat)).toEqual({
      exit: { reason: 'exit', exitCode: 0, message: '' },
      stdout: 'to and fro',
      stderr: '',
    });
    const loud = await test.client.exec('web', { command: ['sh', '-c', 'echo out; echo err >&2; exit 7'] });
    expect(await gather(loud)).toMatchObject({ exit: { exitCode: 7 }, stdout: 'out\n', stderr: 'err\n' });
  });

  it('tells the pid, passes signals and environment', async () => {
    const test = await running();
    const sleeping = await test.client.exec('web', { command: ['sleep'] });
    expect((await sleeping.started).pid).toBeGreaterThan(0);
    sleeping.signal(15);
    expect((await gather(sleeping)).exit).toMatchObject({ reason: 'signal', exitCode: 143 });
    const env = await test.client.exec('web', { command: ['env'], env: { COLOUR: 'blue' } });
    expect((await gather(env)).stdout).toContain('COLOUR=blue\n');
  });

  it('passes a megabyte both ways unharmed', async () => {
    const test = await running();
    const cat = await test.client.exec('web', { command: ['cat'] });
    const sent = Buffer.alloc(1_000_000, 'abcdefghijklmnopqrstuvwxyz');
    cat.stdin.end(sent);
    const { stdout } = await gather(cat);
    expect(stdout.length).toBe(sent.length);
    expect(Buffer.from(stdout).equals(sent)).toBe(true);
  });

  it('holds a flood back while nobody reads', async () => {
    const test = await running();
    const flood = await test.client.exec('web', { command: ['yes'] });
    await flood.started;
    // Wait until it has come to rest, in whatever buffers there are.
    let before = -1;
    await eventually(async () => {
      const now = flood.stdout.readableLength;
      const rest = now > 0 && now === before;
      before = now;
      for (let turns = 0; turns < 50; turns++) await turn();
      return rest;
    });
    expect(before).toBeLessThan(2 * 1024 * 1024);
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(64 * 1024 * 1024);
    flood.close();
  });

  it('holds the client back while the process does not read', async () => {
    const test = await running();
    const deaf = await test.client.exec('web', { command: ['sleep'] });
    await deaf.started;
    const block = Buffer.alloc(64 * 1024);
    let written = 0;
    let over = false;
    const full = new Promise<void>((resolve) => {
      const write = () => {
        let callbackCame = false;
        deaf.stdin.write(block, () => {
          callbackCame = true;
          written += block.length;
          if (!over) write();
        });
        // Sixty-four blocks without news: it is full.
        setTimeout(() => !callbackCame && resolve(), 300);
      };
      write();
    });
    await full;
    over = true;
    expect(written).toBeLessThan(16 * 1024 * 1024);
    deaf.close();
  });

  it('ends the process when the client goes, even one that is not read from', async () => {
    const test = await running();
    const deaf = await test.client.exec('web', { command: ['sleep'] });
    await deaf.started;
    for (let blocks = 0; blocks < 64; blocks++) deaf.stdin.write(Buffer.alloc(64 * 1024));
    const quick = await test.client.exec('web', { command: ['sleep'] });
    await quick.started;
    quick.close();
    deaf.close();
    await expect(quick.exited).rejects.toMatchObject({ code: 'unavailable' });
    const { main } = test.daemon.supervisor.get('web');
    await eventually(async () => {
      const kernel = await test.daemon.supervisor.get('web').guest();
      // Only the workload is left: a further manager would find nothing else.
      void kernel;
      return main !== undefined && (await sessions(test)) === 1;
    });
  });

  it('refuses what makes no sense, in words', async () => {
    const test = await running();
    await expect(test.client.exec('nobody', { command: ['true'] })).rejects.toMatchObject({ code: 'not-found' });
    const bad = await test.client.exec('web', { command: [] as string[] });
    await expect(bad.exited).rejects.toMatchObject({ code: 'invalid', field: 'command' });
    await test.client.stop('web');
    const down = await test.client.exec('web', { command: ['true'] });
    await expect(down.exited).rejects.toMatchObject({
      code: 'conflict',
      hint: expect.stringContaining('pk start web'),
    });
  });

  it('names the panic that ended it', async () => {
    const test = await running();
    const crash = await test.client.exec('web', { command: ['sh', '-c', 'echo c > /proc/sysrq-trigger'] });
    expect((await gather(crash)).exit).toMatchObject({
      reason: 'panic',
      exitCode: 122,
      message: expect.stringContaining('Kernel panic'),
    });
  });
});

/** Sessions in the guest, as its state file tells. */
async function sessions(test: Awaited<ReturnType<typeof running>>): Promise<number> {
  const { readFileSync } = await import('node:fs');
  const { directory } = test.daemon.supervisor.get('web').record.launch!;
  return Object.keys(JSON.parse(readFileSync(`${directory}/fake.json`, 'utf8')).sessions).length;
}

describe('foreground', () => {
  it('runs when the client comes and leaves nothing', async () => {
    const test = await startDaemon();
    const phases: string[] = [];
    const { spec } = await test.create({ command: ['sh', '-c', 'echo hello; exit 42'], attached: true });
    const process = await test.client.attach(spec.name, { phase: (text) => phases.push(text) });
    expect(await gather(process)).toEqual({
      exit: { reason: 'exit', exitCode: 42, message: 'exited with status 42' },
      stdout: 'hello\n',
      stderr: '',
    });
    await eventually(async () => (await test.client.list()).length === 0);
    expect(fakeKernels(test.home)).toEqual([]);
  });

  it('takes input that comes while the kernel boots', async () => {
    const test = await startDaemon();
    const { spec } = await test.create({ command: ['cat'], attached: true });
    const process = await test.client.attach(spec.name);
    process.stdin.end('early');
    expect((await gather(process)).stdout).toBe('early');
  });

  it('ends the kernel when the client goes, at any stage', async () => {
    const test = await startDaemon();
    for (const stage of ['booting', 'running', 'unread']) {
      const { spec } = await test.create({ command: stage === 'unread' ? ['yes'] : ['sleep'], attached: true });
      const process = await test.client.attach(spec.name);
      process.exited.catch(() => {});
      if (stage !== 'booting') await process.started;
      process.close();
      await eventually(async () => (await test.client.list()).length === 0);
      expect(fakeKernels(test.home)).toEqual([]);
    }
  });

  it('tells of a kernel that does not get ready', async () => {
    const test = await startDaemon();
    const { spec } = await test.create({
      command: ['true'],
      hostname: 'never-ready',
      readyTimeoutMs: 20,
      attached: true,
    });
    const process = await test.client.attach(spec.name);
    await expect(process.exited).rejects.toMatchObject({
      code: 'not-ready',
      message: expect.stringContaining('console'),
    });
    await eventually(async () => (await test.client.list()).length === 0);
  });

  it('tells of a panic', async () => {
    const test = await startDaemon();
    const { spec } = await test.create({ command: ['crash'], attached: true });
    expect((await gather(await test.client.attach(spec.name))).exit).toMatchObject({ reason: 'panic', exitCode: 122 });
  });

  it('frees the name for the next at once', async () => {
    const test = await startDaemon();
    for (let round = 0; round < 5; round++) {
      await test.create({ name: 'again', command: ['true'], attached: true });
      expect((await gather(await test.client.attach('again'))).exit).toMatchObject({ exitCode: 0 });
    }
  });

  it('has one client', async () => {
    const test = await startDaemon();
    await test.create({ name: 'mine', command: ['sleep'], attached: true });
    const first = await test.client.attach('mine');
    await first.started;
    const second = await test.client.attach('mine');
    await expect(second.exited).rejects.toMatchObject({ code: 'conflict' });
    first.exited.catch(() => {});
    first.close();
  });
});

describe('attach to a detached instance', () => {
  it('shows further output and the end, and may leave', async () => {
    const held = join(mkdtempSync(join(tmpdir(), 'pk-held-')), 'held');
    onTestFinished(() => rmSync(dirname(held), { recursive: true, force: true }));
    writeFileSync(held, '');
    const test = await running({ command: ['sh', '-c', `gone ${held}; echo later; exit 5`] });
    const leaving = await test.client.attach('web');
    leaving.exited.catch(() => {});
    leaving.close();
    const staying = await test.client.attach('web');
    await staying.started;
    rmSync(held);
    expect(await gather(staying)).toMatchObject({
      stdout: 'later\n',
      exit: { reason: 'exit', exitCode: 5 },
    });
    const late = await test.client.attach('web');
    await expect(late.exited).rejects.toMatchObject({ code: 'conflict', hint: expect.stringContaining('pk logs web') });
  });

  it('leaves nothing of those that looked on while the workload runs on', async () => {
    const test = await running({ command: ['cat'], tty: true });
    const main = test.daemon.supervisor.get('web').main!;
    const listeners = () => main.stdin.listenerCount('drain') + main.stdin.listenerCount('close');
    const waiting = vi.spyOn(main.exited, 'then');
    const before = listeners();
    for (let count = 0; count < 3; count++) {
      const process = await test.client.attach('web');
      process.exited.catch(() => {});
      await process.started;
      process.close();
      await eventually(() => listeners() === before);
    }
    // Once for all of them: a promise remembers who waits for it.
    expect(waiting.mock.calls.length).toBeLessThanOrEqual(1);
  });

  it('types into one that has a terminal', async () => {
    const test = await running({ command: ['cat'], tty: true });
    const process = await test.client.attach('web');
    let seen = '';
    process.stdout.on('data', (data) => {
      seen += data;
    });
    process.exited.catch(() => {});
    process.stdin.write('typed');
    await eventually(() => seen === 'typed');
    process.close();
  });
});

describe('console and files', () => {
  it('carries raw bytes both ways', async () => {
    const test = await running();
    const console = await test.client.console('web');
    console.write('login');
    const [first] = await new Promise<[Buffer]>((resolve) => console.once('data', (data) => resolve([data])));
    expect(String(first)).toBe('login');
    console.destroy();
  });

  it('ends with the kernel', async () => {
    const test = await running();
    const console = await test.client.console('web');
    console.resume();
    const ended = new Promise((resolve) => console.on('end', resolve));
    await test.client.kill('web');
    await ended;
  });

  it('an agent of an earlier version is not asked for what it does not know', async () => {
    const test = await startDaemon();
    await test.create({ name: 'web', command: ['sleep', 'inf'] });
    await untilState(test, 'web', 'running');
    const tooOld = { code: 'unavailable', message: expect.stringContaining('earlier version') };
    await expect(test.client.getTree('web', '/srv')).rejects.toMatchObject(tooOld);
    await expect(test.client.putTree('web', '/srv', Buffer.alloc(1024))).rejects.toMatchObject(tooOld);
    const detached = await test.client.exec('web', { command: ['true'], detached: true });
    await expect(detached.exited).rejects.toMatchObject(tooOld);
  });

  it('copies in and out and names what fails', async () => {
    const test = await running();
    const content = Buffer.alloc(300_000, 'polykernel');
    await test.client.putFile('web', '/srv/a', content, { mode: '0600' });
    const parts: Buffer[] = [];
    for await (const part of await test.client.getFile('web', '/srv/a')) parts.push(part as Buffer);
    expect(Buffer.concat(parts).equals(content)).toBe(true);
    await expect(test.client.getFile('web', '/no/such')).rejects.toMatchObject({ code: 'not-found' });
    await expect(test.client.putFile('web', '/read-only/x', content)).rejects.toMatchObject({ code: 'permission' });
    await expect(test.client.putFile('web', 'relative', content)).rejects.toMatchObject({
      code: 'invalid',
      field: 'path',
    });
  });
});
