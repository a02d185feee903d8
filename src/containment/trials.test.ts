/** What clones have written is removed as what any guest has: as removeTree() does it. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { EventLog } from '../core/events.ts';
import { silentJournal } from '../core/journal.ts';
import { systemClock } from '../sys/clock.ts';
import { layout } from '../sys/paths.ts';
import { Trials, type TrialsOptions } from './trials.ts';
import type { TrialRequest } from './types.ts';

it('the daemon does other work while it removes what clones have written', async () => {
  const home = mkdtempSync(join(tmpdir(), 'pk-trials-'));
  onTestFinished(() => rmSync(home, { recursive: true }));
  const disk = join(home, 'trials', 'abc', '0');
  mkdirSync(disk, { recursive: true });
  for (let file = 0; file < 200; file++) writeFileSync(join(disk, String(file)), '');
  const kept = new Set(['abc']);
  const records: Pick<TrialsOptions['records'], 'all' | 'delete'> = {
    all: () => [...kept].map((id) => ({ id, clones: [] })),
    delete: (id) => void kept.delete(id),
  };
  const around = { events: new EventLog(() => 1), clock: systemClock, journal: silentJournal, paths: layout(home) };
  const trials = new Trials({ ...around, records, health: () => {}, instances: () => {} } as unknown as TrialsOptions);
  let turns = 0;
  const count = () => {
    turns += 1;
    next = setImmediate(count);
  };
  let next = setImmediate(count);
  await trials.recover();
  clearImmediate(next);
  expect(existsSync(join(home, 'trials', 'abc'))).toBe(false);
  expect(kept.size).toBe(0);
  expect(turns).toBeGreaterThan(20);
});

it('a daemon that ends does not wait for the end of a trial that a kernel keeps back', async () => {
  const clock = new ManualClock();
  const asked = Promise.withResolvers<void>();
  const spec = {
    name: 'db',
    command: [],
    env: {},
    volumes: [],
    channels: [],
    publish: [],
    labels: {} as Record<string, string>,
  };
  const instances = {
    get: (name: string) => ({ name, record: { spec } }),
    find: () => ({ record: { spec } }),
    create: async ({ labels }: { labels: Record<string, string> }) => {
      spec.labels = labels;
      throw new Error('refused');
    },
    remove: () => {
      asked.resolve();
      return new Promise<void>(() => {});
    },
  };
  const around = { events: new EventLog(() => 1), clock, journal: silentJournal, paths: layout('/nowhere') };
  const records = { put: () => {}, delete: () => {} };
  const trials = new Trials({ ...around, records, instances: () => instances } as unknown as TrialsOptions);
  const request: TrialRequest = { victim: 'web', neighbours: ['db'], fault: 'panic' };
  void trials.prove(request, () => {}, new AbortController().signal);
  await asked.promise;
  const closed = trials.close(true);
  clock.advance(10_000);
  await closed;
});
