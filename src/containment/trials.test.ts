/** What clones have written is removed as what any guest has: as removeTree() does it. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { EventLog } from '../core/events.ts';
import { silentJournal } from '../core/journal.ts';
import { systemClock } from '../sys/clock.ts';
import { layout } from '../sys/paths.ts';
import { Trials, type TrialsOptions } from './trials.ts';

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
