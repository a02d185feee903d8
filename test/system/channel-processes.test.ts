/** `pk channel send` and `recv` as processes, on a channel of the host that no daemon is needed for. */
import { spawn } from 'node:child_process';
import {
  chownSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createRing, encodeDescriptor, readStatistics, ringBytes, SharedMemory } from '../../src/ring/index.ts';
import { nativeBinary } from '../../src/sys/paths.ts';
import { eventually } from '../support/harness.ts';
import { finished, Sandbox } from '../support/pk.ts';

let home: string;
let memory: SharedMemory;
let sandbox: Sandbox;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pk-unit-'));
  const path = join(home, 'memory');
  const bytes = ringBytes(4096);
  memory = SharedMemory.create(path, bytes);
  createRing(memory);
  mkdirSync(join(home, 'channels'));
  const sides = ['send', 'recv'] as const;
  const bell = join(home, 'bell');
  const descriptor = { memory: path, offset: 0, bytes, sides, bell, number: 1, peer: 'futex' as const };
  writeFileSync(join(home, 'channels', 'orders'), encodeDescriptor({ ...descriptor, sleep: undefined }));
  sandbox = new Sandbox(home, { ...process.env, POLYKERNEL_HOME: home, NO_COLOR: '1' });
});
afterEach(() => {
  memory[Symbol.dispose]();
  rmSync(home, { recursive: true, force: true });
});

const send = (input: string, ...options: string[]) => sandbox.pk(['channel', 'send', ...options, 'orders'], input);
const receive = (...options: string[]) => sandbox.pk(['channel', 'recv', ...options, 'orders']);
const sides = () => readStatistics(memory);

it('lines pass from one to the other, more than the channel holds', async () => {
  const lines = Array.from({ length: 2000 }, (_, i) => `order ${i}`).join('\n');
  const [sent, received] = await Promise.all([send(lines), receive()]);
  expect(sent).toMatchObject({ code: 0, stderr: '' });
  expect(received).toMatchObject({ code: 0, stderr: '', stdout: `${lines}\n` });
  expect([sides().producer.state, sides().consumer.state]).toEqual(['closed', 'detached']);
});

it('a sender that keeps it open does not end the receiver, whom the time-out ends with 124', async () => {
  expect(await send('a\nb', '--keep-open')).toMatchObject({ code: 0 });
  expect(sides().producer.state).toBe('detached');
  expect(await receive('--count', '1', '--raw')).toMatchObject({ code: 0, stdout: 'a' });
  const late = await receive('--timeout', '0.05');
  expect(late).toMatchObject({ code: 124, stdout: 'b\n', stderr: 'pk: no message came through orders within 50ms\n' });
});

it.each(['send', 'recv'] as const)('Ctrl-C leaves the %s side in order and ends with 130', async (side) => {
  const child = sandbox.start('channel', side, 'orders');
  const end = finished(child);
  const mine = () => (side === 'send' ? sides().producer : sides().consumer);
  await eventually(() => mine().state === 'open' && (side === 'send' || mine().asleep));
  child.kill('SIGINT');
  expect(await end).toMatchObject({ code: 130, signal: null, stdout: '', stderr: '' });
  expect(mine().state).toBe('detached');
});

it('a reader that goes away costs no message', async () => {
  await send('x\n'.repeat(50), '--keep-open');
  const child = sandbox.start('channel', 'recv', 'orders');
  child.stdout!.destroy();
  expect((await finished(child)).code).toBe(141);
  expect(sides().consumer).toMatchObject({ state: 'detached', messages: 0n });
});

it.each([
  [['send', 'nowhere'], 125, /^pk: no channel nowhere has an end here .*\n {4}See which there are/],
  [['recv', '--count', '0', 'orders'], 2, /--count: "0"/],
  [['recv', '--timeout', 'soon', 'orders'], 2, /--timeout: "soon" is not a duration/],
  [['recv'], 2, /an argument is missing/],
] as const)('%j is refused', async (args, code, message) => {
  const ran = await sandbox.pk(['channel', ...args]);
  expect(ran.code).toBe(code);
  expect(ran.stderr).toMatch(message);
});

it.runIf(process.getuid?.() === 0)(
  "another user's memory, where the process that had it is gone, is refused by both languages",
  async () => {
    const path = join(home, 'channels', 'orders');
    const description = readFileSync(path, 'utf8');
    const memory = /^memory=(.*)$/m.exec(description)![1]!;
    const theirs = join(home, 'theirs');
    copyFileSync(memory, theirs);
    chownSync(theirs, 65534, 65534);
    const file = openSync(theirs, 'r');
    writeFileSync(path, description.replace(memory, `/proc/${process.pid}/fd/${file}`), { mode: 0o600 });
    try {
      expect(await send('a')).toMatchObject({
        code: 125,
        stderr: expect.stringContaining('is no memory of this user'),
      });
      const env = { PK_CHANNELS: join(home, 'channels') };
      const child = spawn(nativeBinary('pk-ring'), ['send', 'orders'], { env });
      child.stdin.on('error', () => {}).end('a');
      const ran = await finished(child);
      expect(ran.stderr).toContain('Permission denied');
      expect(ran.code).not.toBe(0);
      expect(readFileSync(theirs).equals(readFileSync(memory))).toBe(true);
    } finally {
      closeSync(file);
      writeFileSync(path, description, { mode: 0o600 });
    }
  },
);

it.runIf(process.getuid?.() === 0)(
  "another user's description of a channel is refused, by both languages",
  async () => {
    const path = join(home, 'channels', 'orders');
    chownSync(path, 65534, 65534);
    expect(await send('a')).toMatchObject({
      code: 125,
      stderr: expect.stringContaining(`${path} belongs to uid 65534`),
    });
    const child = spawn(nativeBinary('pk-ring'), ['send', 'orders'], { env: { PK_CHANNELS: join(home, 'channels') } });
    child.stdin.on('error', () => {}).end('a');
    const ran = await finished(child);
    expect(ran.stderr).toContain('it belongs to another user');
    expect(ran.code).not.toBe(0);
  },
);
