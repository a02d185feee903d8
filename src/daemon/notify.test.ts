/** What a service manager hears, at a socket as systemd has one. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { notifyManager } from './notify.ts';

const c = (createRequire(import.meta.url)('koffi') as typeof import('koffi')).load(null);
const socket = c.func('int socket(int domain, int type, int protocol)');
const bind = c.func('int bind(int fd, const uint8_t *address, unsigned int size)');
const receive = c.func('long recv(int fd, _Out_ uint8_t *data, size_t bytes, int flags)');
const close = c.func('int close(int fd)');

let directory: string;
const ends: number[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-notify-'));
});
afterEach(() => {
  for (const fd of ends.splice(0)) close(fd);
  rmSync(directory, { recursive: true });
});

/** Gives what came to it next, without waiting; '' when nothing did. */
function listen(name: string): () => string {
  const fd = socket(1, 0o2000002, 0) as number;
  ends.push(fd);
  const address = Buffer.from(`\x01\0${name}${name.startsWith('\0') ? '' : '\0'}`, 'latin1');
  expect(bind(fd, address, address.length)).toBe(0);
  return () => {
    const data = Buffer.alloc(1024);
    const length = receive(fd, data, data.length, 0x40) as number;
    return data.toString('utf8', 0, Math.max(0, length));
  };
}

it.each([
  ['a path', () => join(directory, 'notify'), (path: string) => path],
  ['an abstract name', () => `\0pk-notify-${process.pid}`, (name: string) => `@${name.slice(1)}`],
])('tells of its start, its life and its end at a socket with %s', async (_, name, variable) => {
  const next = listen(name());
  const env = { NOTIFY_SOCKET: variable(name()), WATCHDOG_USEC: '4000', WATCHDOG_PID: '77' };
  const notifier = notifyManager(env, 77)!;
  expect(next()).toBe('READY=1\nMAINPID=77\nSTATUS=serving');
  let beat = '';
  for (const deadline = performance.now() + 30_000; beat === '' && performance.now() < deadline; beat = next())
    await new Promise((resolve) => setTimeout(resolve, 1));
  expect(beat).toBe('WATCHDOG=1');
  notifier.ending();
  let last = '';
  for (let text = next(); text !== ''; text = next()) last = text;
  expect(last).toBe('STOPPING=1');
  notifier.close();
});

it('says nothing of its life to who does not ask this process for it', () => {
  const next = listen(join(directory, 'notify'));
  const notifier = notifyManager(
    { NOTIFY_SOCKET: join(directory, 'notify'), WATCHDOG_USEC: '1', WATCHDOG_PID: '1' },
    77,
  )!;
  notifier.ending();
  expect([next(), next(), next()]).toEqual(['READY=1\nMAINPID=77\nSTATUS=serving', 'STOPPING=1', '']);
  notifier.close();
});

it('goes on where nobody listens, or no manager is', () => {
  expect(notifyManager({})).toBeUndefined();
  expect(notifyManager({ NOTIFY_SOCKET: 'relative' })).toBeUndefined();
  for (const path of [join(directory, 'absent'), `/${'x'.repeat(200)}`])
    notifyManager({ NOTIFY_SOCKET: path })!.close();
});
