/** Channels between real kernels: programs in User Mode Linux, in QEMU and on the host. */
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChannelStatus } from '../../src/channel/contract.ts';
import { nativeProgram } from '../support/native.ts';
import { finished, Sandbox, until } from '../support/pk.ts';

const CHECKOUT = join(import.meta.dirname, '../..');
const RING = join(CHECKOUT, 'src/ring/index.ts');
const CHECK = join(CHECKOUT, 'test/support/ring-check.ts');

describe('channels', () => {
  let sandbox: Sandbox;
  /** Read by all kernels as /sandbox. */
  let shared: string;

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    shared = await mkdtemp(join(tmpdir(), 'pk-shared-'));
    await chmod(shared, 0o755);
    for (const [name, driver, memory] of [
      ['web', 'uml', '256M'],
      ['db', 'uml', '256M'],
      ['vm', 'qemu', '512M'],
    ]) {
      // The checkout is shown where it is: programs in the guest use it as those of the host do.
      const share = ['-v', `${CHECKOUT}:${CHECKOUT}:ro`, '-v', `${shared}:/sandbox:ro`];
      await sandbox.ok(
        'run',
        '-d',
        '--name',
        name!,
        '--driver',
        driver!,
        '--memory',
        memory!,
        ...share,
        '--',
        'sleep',
        '100000',
      );
    }
  });
  afterAll(async () => {
    for (const { name } of await sandbox.json<ChannelStatus[]>('channel', 'ls'))
      await sandbox.ok('channel', 'rm', '--force', name);
    const { home } = sandbox;
    await sandbox[Symbol.asyncDispose]();
    await rm(shared, { recursive: true });
    const { hostProcesses } = await import('../support/host-processes.ts');
    expect(await hostProcesses(home)).toEqual([]);
  });

  const create = (name: string, from: string, to: string, size = '64K') =>
    sandbox.ok('channel', 'create', name, '--from', from, '--to', to, '--size', size);
  const inspect = (name: string) => sandbox.json<ChannelStatus>('channel', 'inspect', name);
  const exec = (instance: string, ...command: string[]) => sandbox.start('exec', '-i', instance, '--', ...command);
  const isAttached = (name: string, end: 'from' | 'to') =>
    until(`the ${end} end of ${name} is open`, async () => (await inspect(name))[end].state === 'open');

  it('from TypeScript in one kernel to C in another, and in QEMU, which gets it while it runs', async () => {
    await create('orders', 'web', 'db');
    await create('copies', 'web', 'vm');
    // User Mode Linux takes memory at boot alone, and says so; QEMU has it already.
    expect((await inspect('orders')).from).toMatchObject({
      visible: 'pending',
      reason: expect.stringMatching(/Restart/),
    });
    expect((await inspect('copies')).to).toMatchObject({ visible: 'attached', reason: null });
    await sandbox.ok('restart', 'web');
    await sandbox.ok('restart', 'db');
    for (const name of ['orders', 'copies']) {
      const { from, to } = await inspect(name);
      expect([from.visible, to.visible]).toEqual(['attached', 'attached']);
    }
    await writeFile(
      join(shared, 'sender.ts'),
      `import { openChannel } from ${JSON.stringify(RING)};
       const [orders, copies] = [await openChannel('orders', 'send'), await openChannel('copies', 'send')];
       for (let i = 0; i < 20000; i++) {
         const message = Buffer.from('order ' + i);
         orders.send(message);
         copies.send(message);
       }
       orders.close();
       copies.close();`,
    );
    const received = [exec('db', 'pk-ring', 'recv', 'orders'), exec('vm', 'pk-ring', 'recv', 'copies')].map(finished);
    await isAttached('orders', 'to');
    await isAttached('copies', 'to');
    const sent = await finished(exec('web', process.execPath, '/sandbox/sender.ts'));
    expect(sent).toMatchObject({ code: 0, stderr: '' });
    const expected = Array.from({ length: 20_000 }, (_, i) => `order ${i}\n`).join('');
    for (const each of received) expect((await each).stdout === expected).toBe(true);
    for (const name of ['orders', 'copies'])
      expect(await inspect(name)).toMatchObject({
        state: 'ok',
        depthBytes: 0,
        from: { messages: 20_000 },
        to: { messages: 20_000 },
      });
  });

  it('wakes a sleeper in each kind of kernel, and one on the host', async () => {
    for (const [from, to] of [
      ['host', 'web'],
      ['host', 'vm'],
      ['web', 'host'],
      ['vm', 'host'],
      ['vm', 'web'],
    ] as const) {
      const name = `${from}-${to}`;
      await create(name, from, to);
      for (const end of [from, to]) if (end === 'web') await sandbox.ok('restart', 'web');
      const reading = to === 'host' ? sandbox.start('channel', 'recv', name) : exec(to, 'pk-ring', 'recv', name);
      const lines: string[] = [];
      reading.stdout!.on('data', (chunk: Buffer) => lines.push(...chunk.toString().split('\n').filter(Boolean)));
      await isAttached(name, 'to');
      const writing = from === 'host' ? sandbox.start('channel', 'send', name) : exec(from, 'pk-ring', 'send', name);
      for (const message of ['one', 'two']) {
        await until(`${to} sleeps`, async () => (await inspect(name)).to.asleep);
        writing.stdin!.write(`${message}\n`);
        await until(`${to} has "${message}"`, () => lines.includes(message));
      }
      writing.stdin!.end();
      const [code] = await once(reading, 'close');
      expect(code).toBe(0);
      await sandbox.ok('channel', 'rm', name);
    }
  });

  it('keeps what was committed when the kernel of either end dies, and the daemon', async () => {
    await create('lasting', 'host', 'db');
    await sandbox.ok('restart', 'db');
    expect(await sandbox.pk(['channel', 'send', '--keep-open', 'lasting'], 'first\nsecond\n')).toMatchObject({
      code: 0,
    });
    await sandbox.ok('kill', 'db');
    const { pid } = await sandbox.json<{ pid: number }>('daemon', 'status');
    process.kill(pid, 'SIGKILL');
    expect(await sandbox.pk(['channel', 'send', 'lasting'], 'third\n')).toMatchObject({ code: 0 });
    await sandbox.ok('start', 'db');
    const received = await finished(exec('db', 'pk-ring', 'recv', 'lasting'));
    expect(received).toMatchObject({ code: 0, stdout: 'first\nsecond\nthird\n' });
    expect((await inspect('lasting')).from).toMatchObject({ epoch: 2, messages: 3 });
    await sandbox.ok('channel', 'rm', 'lasting');
  });

  it('a kernel that overwrites its channel harms that channel alone', async () => {
    await create('broken', 'db', 'host');
    await create('whole', 'db', 'host');
    await sandbox.ok('restart', 'db');
    const reading = finished(sandbox.start('channel', 'recv', 'broken'));
    await isAttached('broken', 'to');
    const script = `
      . /dev/stdin <<END
$(sed 's/-/_/' /run/pk/channels/broken)
END
      yes garbage | dd of=$memory bs=4096 seek=$((offset / 4096)) count=17 iflag=fullblock conv=notrunc 2>&1 && echo done`;
    const written = await finished(exec('db', 'sh', '-c', script));
    expect(written.stdout).toContain('done');
    const ended = await reading;
    expect(ended.code).not.toBe(0);
    expect(ended.stderr).toMatch(/ring|channel/);
    expect(ended.stderr).not.toMatch(/\n\s+at /);
    await until('the channel is in error', async () => (await inspect('broken')).state === 'error');
    const other = finished(sandbox.start('channel', 'recv', 'whole'));
    const sent = exec('db', 'pk-ring', 'send', 'whole');
    sent.stdin!.end('unharmed\n');
    expect(await other).toMatchObject({ code: 0, stdout: 'unharmed\n' });
    expect(await sandbox.json<unknown[]>('ps')).toHaveLength(3);
    for (const name of ['broken', 'whole']) await sandbox.ok('channel', 'rm', '--force', name);
  });

  it('run --channel takes an end for the time of the run', async () => {
    const command = ['sh', '-c', 'while read line; do echo "$line"; done | pk-ring send shortly'];
    const ran = await sandbox.pk(['run', '--driver', 'uml', '--channel', 'shortly:send', '--', ...command], 'a\nb\n');
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(await inspect('shortly')).toMatchObject({ from: { owner: 'host', state: 'closed' } });
    expect(await sandbox.pk(['channel', 'recv', 'shortly'])).toMatchObject({ code: 0, stdout: 'a\nb\n' });
    await sandbox.ok('channel', 'rm', 'shortly');
  });

  it('loses, doubles and tears nothing between two kernels whose programs die', async () => {
    const pkRing = await nativeProgram('pk-ring');
    expect(pkRing).toContain('pk-ring');
    await create('soaked', 'web', 'db', '16K');
    await create('ledger', 'web', 'db', '8K');
    for (const name of ['web', 'db']) await sandbox.ok('restart', name);
    // Consumers that are killed would not end by themselves, however fast they are.
    const consumer = (language: string, count = 4_000_000_000) =>
      language === 'ts'
        ? exec('db', process.execPath, CHECK, 'recv', 'soaked', String(count), 'ledger', '5000')
        : exec('db', 'pk-ring', 'check-recv', 'soaked', String(count), 'ledger');
    const kill = async (name: string, pid: number) => sandbox.ok('exec', name, '--', 'sh', '-c', `kill -9 ${pid}`);
    let received = finished(consumer('c'));
    for (const [round, language] of ['ts', 'c', 'ts', 'c'].entries()) {
      const before = (await inspect('soaked')).to.messages;
      const producer =
        language === 'ts'
          ? exec('web', process.execPath, CHECK, 'send', 'soaked', '4000000000', '200', 'ledger')
          : exec('web', 'pk-ring', 'check-send', 'soaked', '4000000000', '200', 'ledger');
      const ended = finished(producer);
      await until('messages come', async () => (await inspect('soaked')).to.messages > before + 2000);
      if (round === 1) {
        await kill('db', (await inspect('soaked')).to.pid!);
        expect((await received).code).toBe(137);
        received = finished(consumer('ts'));
        const respawned = (await inspect('soaked')).to.messages;
        await until('messages come again', async () => (await inspect('soaked')).to.messages > respawned + 2000);
      }
      if (round === 3) break;
      await kill('web', (await inspect('soaked')).from.pid!);
      expect((await ended).code).toBe(137);
    }
    await kill('db', (await inspect('soaked')).to.pid!);
    expect((await received).code).toBe(137);
    const last = (await inspect('soaked')).to.messages + 10_000;
    expect(await finished(consumer('c', last))).toMatchObject({ code: 0, stderr: '' });
    await kill('web', (await inspect('soaked')).from.pid!);
  });
});
