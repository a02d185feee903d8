import { expect, it } from 'vitest';
import { checkLedger } from './ledger.ts';
import { reserved } from './reserved.ts';
import type { Ledger, Partition } from './types.ts';

const MIB = 2 ** 20;
const part = (cpus: number[], mib: number, more: Partial<Partition> = {}): Partition => ({
  ...{ cpus, shared: null, hugePageBytes: null, devices: [] },
  ...{ memory: [{ node: 0, bytes: mib * MIB }], ...more },
});
const share = (milliCpus: number): Partition => part([], 64, { shared: { cpus: [7], milliCpus, weight: 100 } });
const ledger: Ledger = {
  pool: {
    ...{ cpus: [2, 3, 4, 5, 6, 7], sharedCpus: [7], memory: [{ node: 0, bytes: 1024 * MIB }] },
    devices: ['0000:01:00.0'],
  },
  partitions: { web: part([2, 3], 512), job: share(400) },
};

it('is what nobody has of what is promised, nothing twice', () => {
  const promised = [
    { owner: 'web', partition: part([2, 3, 4], 256) },
    { owner: 'web', partition: part([2, 3], 512) },
    { owner: 'db', partition: part([3, 4, 5], 512, { devices: ['0000:01:00.0'] }) },
    { owner: 'more', partition: part([5, 6], 512) },
    { owner: 'job', partition: share(700) },
  ];
  const all = reserved(ledger, promised);
  expect(all).toEqual({
    'a change of web': { ...part([4], 0), memory: [] },
    'a change of db': part([5], 448, { devices: ['0000:01:00.0'] }),
    'a change of more': { ...part([6], 0), memory: [] },
    'a change of job': { ...share(300), memory: [] },
  });
  const beside = checkLedger({ ...ledger, partitions: { ...ledger.partitions, ...all } });
  expect(beside.filter((problem) => !problem.includes('either dedicated or shared'))).toEqual([]);
});

it('is nothing where all has its owner already', () => {
  expect(reserved(ledger, [{ owner: 'web', partition: part([2, 3], 512) }])).toEqual({});
  expect(reserved(ledger, [])).toEqual({});
});
