/** What is on the disk when it is said to be: what was answered. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Layout, layout } from '../sys/paths.ts';
import { get, long, post, routes, served } from './route.ts';
import { createApi } from './server.ts';
import { Store } from './store.ts';

let paths: Layout;
let store: Store;

beforeEach(() => {
  paths = layout(mkdtempSync(join(tmpdir(), 'pk-store-')));
  store = Store.open(paths);
});
afterEach(() => {
  store.close();
  rmSync(paths.home, { recursive: true });
});

const word = () => store.value<number>('word', 'a word');

it('what was written settles on the disk, for all who wait at once', async () => {
  word().put(1);
  const first = store.settled();
  word().put(2);
  await Promise.all([first, store.settled(), store.settled()]);
});

it('without its log nothing new is said to be there, and where nothing is written nobody needs one', async () => {
  rmSync(`${paths.database}-wal`);
  await store.settled();
  word().put(1);
  await expect(store.settled()).rejects.toMatchObject({
    code: 'internal',
    message: expect.stringContaining('writing the state database'),
  });
});

it('who waits while it is closed is answered: closing takes all to the disk', async () => {
  word().put(1);
  const waiting = store.settled();
  store.close();
  await waiting;
  await store.settled();
  store = Store.open(paths);
  expect(word().get()).toBe(1);
});

it('what changes something is answered when that is on the disk, what only asks at once', async () => {
  const order: string[] = [];
  const act = (name: string) => async () => void order.push(name);
  const api = routes('words', {
    ask: get('/ask', { summary: '' }),
    change: post('/change', { summary: '' }),
    slowly: long('/slowly', { summary: '' }),
  });
  const server = createApi([served(api, { ask: act('ask'), change: act('change'), slowly: act('slowly') })], {
    ending: new AbortController().signal,
    settled: act('settled'),
    complain: () => {},
  });
  for (const [method, url] of [
    ['GET', '/ask'],
    ['POST', '/change'],
    ['POST', '/slowly'],
  ] as const) {
    await server.inject({ method, url });
    order.push('answered');
  }
  await server.close();
  expect(order).toEqual(['ask', 'answered', 'change', 'settled', 'answered', 'slowly', 'settled', 'answered']);
});
