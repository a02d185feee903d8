import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { Journal } from '../core/journal.ts';
import type { Provider } from './provider.ts';
import type { InstanceRecord } from './record.ts';
import { takeUp } from './take-up.ts';

const recordOf = (name: string, former?: InstanceRecord['former']) =>
  ({ id: name, spec: { name, driver: 'fake' }, networkNumber: null, ...(former && { former }) }) as InstanceRecord;

it('takes back what a changed one has no more once all are there, and before any is adopted', async () => {
  const instances = mkdtempSync(join(tmpdir(), 'pk-take-up-'));
  onTestFinished(() => rmSync(instances, { recursive: true }));
  const former = { spec: { name: 'web', driver: 'fake' } as InstanceRecord['spec'], networkNumber: 5 };
  const seen: string[] = [];
  const provider = {
    name: 'network',
    changed: async ({ spec }, { networkNumber }) => {
      seen.push(`${spec.name} had ${networkNumber}`);
      throw new Error('it fails');
    },
  } as Provider;
  const options = {
    paths: { instances },
    records: { all: () => [recordOf('web', former), recordOf('db')] },
    drivers: { find: () => ({}), all: [] },
    providers: [provider],
    journal: { error: (text: string) => seen.push(text), info() {} } as unknown as Journal,
    clock: new ManualClock(),
    owners: () => ({ ids: new Set(), names: new Set() }),
    isEnding: () => false,
  };
  await takeUp(options as unknown as Parameters<typeof takeUp>[0], {
    add: ({ id }) => void seen.push(`${id} is there`),
    settled: ({ id }) => void seen.push(`${id} is settled`),
    adopt: async ({ id }) => void seen.push(`${id} is adopted`),
  });
  expect(seen).toEqual([
    'web is there',
    'db is there',
    'web had 5',
    'taking back what web has no more',
    'web is settled',
    'web is adopted',
    'db is adopted',
  ]);
});
