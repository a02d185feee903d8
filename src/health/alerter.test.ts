import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { EventLog } from '../core/events.ts';
import { silentJournal } from '../core/journal.ts';
import { type AlertTarget, checkProgram, deliver, webHook } from './alert-target.ts';
import { Alerter } from './alerter.ts';

let sequence = 0;
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** Alerts that are handed over when the test says so. */
function setUp(take: (alert: string) => Promise<void>) {
  const events = new EventLog(() => ++sequence);
  const clock = new ManualClock();
  let kept: AlertTarget | null = null;
  const alerter = new Alerter({
    kept: {
      get: () => kept,
      put: (value) => {
        kept = value;
      },
    },
    deliver: (_, alert) => take(alert),
    healthOf: () => undefined,
    ...{ events, clock, journal: silentJournal },
  });
  ends.push(() => alerter.close());
  const tell = (type: string, id = 'x') => events.tell({ at: '', type, name: 'web', id, message: 'why' });
  return { alerter, events, clock, tell };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

it('loss and return of health are told, one after the other, and nothing else is', async () => {
  const taken: string[] = [];
  const gates: (() => void)[] = [];
  const { alerter, tell } = setUp((alert) => {
    taken.push((JSON.parse(alert) as { type: string }).type);
    return new Promise((resolve) => gates.push(resolve));
  });
  tell('health-lost');
  alerter.set({ command: ['/bin/page'] });
  for (const type of ['health-lost', 'ready', 'health-regained']) tell(type);
  await turn();
  expect(taken).toEqual(['health-lost']);
  gates.shift()!();
  await turn();
  expect(taken).toEqual(['health-lost', 'health-regained']);
  gates.shift()!();
  await turn();
  expect(alerter.status()).toMatchObject({ command: ['/bin/page'], sent: 2, failed: 0, dropped: 0 });
});

it('what is beyond thirty a minute is dropped and counted', async () => {
  const { alerter, clock, tell } = setUp(async () => {});
  alerter.set({ url: 'unix:/x' });
  for (let alert = 0; alert < 50; alert++) {
    tell('health-lost');
    await turn();
  }
  expect(alerter.status()).toMatchObject({ sent: 30, dropped: 20 });
  clock.advance(60_000);
  tell('health-lost');
  await turn();
  expect(alerter.status()).toMatchObject({ sent: 31 });
});

it('one whose health comes and goes keeps no alert of another back', async () => {
  const { alerter, tell } = setUp(async () => {});
  alerter.set({ url: 'unix:/x' });
  for (let alert = 0; alert < 50; alert++) {
    tell('health-lost');
    await turn();
  }
  for (const type of ['health-lost', 'health-regained']) tell(type, 'y');
  await turn();
  expect(alerter.status()).toMatchObject({ sent: 32, dropped: 20 });
});

it('nor does it where each takes long: whose last one is longest ago is next', async () => {
  const taken: string[] = [];
  const gates: (() => void)[] = [];
  const { alerter, clock, tell } = setUp((alert) => {
    taken.push((JSON.parse(alert) as { id: string }).id);
    return new Promise((resolve) => gates.push(resolve));
  });
  alerter.set({ url: 'unix:/x' });
  for (let minute = 0; minute < 3; minute++) {
    for (let alert = 0; alert < 40; alert++) tell('health-lost');
    clock.advance(60_000);
  }
  tell('health-lost', 'y');
  gates.shift()!();
  await turn();
  expect(taken).toEqual(['x', 'y']);
});

it('that alerts fail is told once, until one is taken', async () => {
  let fails = true;
  const { alerter, events, tell } = setUp(async () => {
    if (fails) throw new Error('no such page');
  });
  alerter.set({ url: 'unix:/x' });
  const told = () => events.since(0).filter(({ type }) => type === 'alert-failed').length;
  for (const _ of [1, 2]) {
    tell('health-lost');
    await turn();
  }
  expect([told(), alerter.status()]).toEqual([1, expect.objectContaining({ failed: 2, failure: 'no such page' })]);
  fails = false;
  tell('health-lost');
  await turn();
  fails = true;
  tell('health-lost');
  await turn();
  expect(told()).toBe(2);
});

it.each([
  'https://127.0.0.1/',
  'http://example.org/',
  'http://128.0.0.1/',
  'unix:relative',
  'http://127.0.0.1.example.org',
  '',
])('%j is no web hook on this machine', (url) =>
  expect(() => webHook(url)).toThrow(expect.objectContaining({ code: 'invalid', field: 'url' })),
);

it('a program is named by its path, and not beside a web hook', () => {
  const { alerter } = setUp(async () => {});
  for (const target of [{ command: ['page'] }, { command: ['/bin/page'], url: 'unix:/x' }])
    expect(() => alerter.set(target)).toThrow(expect.objectContaining({ code: 'invalid' }));
});

const { signal } = new AbortController();

it('a program gets it on its standard input, and its failure is one', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-alert-'));
  ends.push(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'alert');
  await deliver({ command: ['/bin/sh', '-c', 'cat > "$0"', file] }, '{"name":"web"}\n', signal);
  expect(readFileSync(file, 'utf8')).toBe('{"name":"web"}\n');
  await expect(deliver({ command: ['/bin/false'] }, '{}', signal)).rejects.toMatchObject({ code: 'internal' });
});

it('a web hook gets it by POST, through a socket too, and may refuse it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-alert-'));
  ends.push(() => rmSync(directory, { recursive: true }));
  const socket = join(directory, 'hook.sock');
  const got: string[] = [];
  const server = createServer((request, response) => {
    request.on('data', (data: Buffer) => got.push(`${request.method} ${request.url} ${data}`));
    request.on('end', () => response.writeHead(request.url === '/no' ? 500 : 204).end());
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  ends.push(() => void server.close());
  await deliver({ url: `unix:${socket}:/alerts` }, '{}', signal);
  await expect(deliver({ url: `unix:${socket}:/no` }, '{}', signal)).rejects.toThrow(/500/);
  await expect(deliver({ url: `unix:${directory}/none:/` }, '{}', signal)).rejects.toMatchObject({
    code: 'unavailable',
  });
  expect(got).toEqual(['POST /alerts {}', 'POST /no {}']);
});

it.each([
  ['/nowhere', 'not-found'],
  ['/etc', 'invalid'],
  ['/etc/passwd', 'permission'],
])('%s is told to be no program when it is given, not when it should tell', async (path, code) => {
  await expect(checkProgram(path)).rejects.toMatchObject({ code, field: 'command', value: path });
  await checkProgram('/bin/sh');
});
