/** State that is handed over by an upgrade, through a whole daemon on the fake driver; test/kernel/upgrade.test.ts has real ones. */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { HandOver } from '../../src/upgrade/contract.ts';
import { startDaemon, untilState } from '../support/harness.ts';

const OLD = ['sleep', 'inf'];

async function withWeb() {
  const test = await startDaemon();
  await test.create({ name: 'web', command: OLD, stopGraceMs: 0 });
  await untilState(test, 'web', 'running');
  const said: string[] = [];
  const { id } = await test.client.inspect('web');
  const file = join(test.home, 'hand-over', id, 'first');
  /** What can be seen of the file, before a `gone marker` that is there when it begins to read goes on. */
  const seen: string[] = [];
  const marker = join(test.home, 'marker');
  const upgrade = (handOver: HandOver, command = ['stubborn']) =>
    test.client.upgrade('web', { command, watchMs: 0, handOver }, (text) => {
      said.push(text.replace(/^\S+ /, ''));
      if (!text.includes('read the state') || !existsSync(marker)) return;
      seen.push(readFileSync(file, 'utf8'), (statSync(file).mode & 0o777).toString(8));
      rmSync(marker);
    });
  return { test, said, seen, marker, upgrade };
}

it('is written before the old one is stopped and read before the new one counts, and nothing of it stays', async () => {
  const { test, said, seen, marker, upgrade } = await withWeb();
  writeFileSync(marker, '');
  await upgrade({ save: 'echo state', load: `gone ${marker}` });
  expect(seen).toEqual(['state\n', '600']);
  expect(said).toEqual([
    'have web write its state',
    'stop web and start it with another command',
    'wait until web is well',
    'have web read the state',
    'watch web for 0 s',
  ]);
  const { id } = await test.client.inspect('web');
  expect(existsSync(join(test.home, 'hand-over', id))).toBe(false);
});

it.each<[string, HandOver, RegExp]>([
  [
    'cannot be written',
    { save: 'echo no room für it >&2; exit 3', load: 'cat' },
    /^have web write its state: it ended with exit 3: no room für it/,
  ],
  [
    'fails with several lines',
    { save: 'echo bad >&2; echo pk: done >&2; exit 3', load: 'cat' },
    /exit 3: bad pk: done;/,
  ],
  ['is too large', { save: 'echo state', load: 'cat', limitBytes: 3 }, /larger than 3 B/],
  ['takes too long to be written', { save: 'sleep inf', load: 'cat', deadlineMs: 20 }, /longer than 20 ms/],
])('when it %s the old kernel runs on', async (_, handOver, words) => {
  const { test, said, upgrade } = await withWeb();
  const before = await test.client.inspect('web');
  await expect(upgrade(handOver)).rejects.toThrow(words);
  expect(said).toEqual(['have web write its state']);
  expect(await test.client.inspect('web')).toMatchObject({ bootId: before.bootId, spec: { command: OLD } });
});

it('when the new one cannot read it, or ends after that, the old one runs again and is given it', async () => {
  const { test, upgrade } = await withWeb();
  await expect(upgrade({ save: 'echo state', load: 'echo bad; exit 4' })).rejects.toThrow(
    /have web read the state: it ended with exit 4/,
  );
  expect(await test.client.inspect('web')).toMatchObject({ state: 'running', spec: { command: OLD } });
  // What the old one is given back it reads, so that nothing is left that could not be taken back.
  await expect(upgrade({ save: 'echo state', load: 'cat' }, ['false'])).rejects.toThrow(
    /what was done before was taken back/,
  );
  expect(await test.client.inspect('web')).toMatchObject({ state: 'running', spec: { command: OLD } });
});

it('of what does not run there is none, and both commands are to be said', async () => {
  const { test, upgrade } = await withWeb();
  await test.client.stop('web');
  await expect(upgrade({ save: 'true', load: 'true' })).rejects.toMatchObject({ code: 'conflict', field: 'handOver' });
  await expect(upgrade({ save: 'true' } as never)).rejects.toMatchObject({ code: 'invalid' });
});
