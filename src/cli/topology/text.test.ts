import { expect, it } from 'vitest';
import { hostNames, hostTopology } from '../../../test/fixtures/hosts/index.ts';
import { wrap } from '../kit/wrap.ts';
import { topologyText } from './text.ts';

it.each(hostNames)('%s fits 80 columns', (name) => {
  for (const line of topologyText(hostTopology(name)).split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
});

const lines = (name: string) => topologyText(hostTopology(name)).split('\n');

it('shows cores in the shortest true form', () => {
  expect(lines('xeon-2s')).toContain('    L3 37.5 MiB: 16 cores x 2 threads: 16-31 / 48-63');
  expect(lines('power9')).toContain('    L3 10 MiB: 3 cores x 8 threads: 88-95 96-103 120-127');
  expect(lines('hybrid-laptop')).toContain('      4 performance cores x 2 threads: 0-1 2-3 4-5 6-7');
  expect(lines('hybrid-laptop')).toContain('      8 efficiency cores in 2 clusters: 8-15');
  expect(lines('offline-isolated')).toEqual(
    expect.arrayContaining(['      isolated: 2-3,10-11', '      offline: 12-15']),
  );
  expect(lines('vm-bare')).toContain('  part of node 0');
});

it('shows memory, distances, functions and limits', () => {
  expect(lines('xeon-2s')).toContain('   1  128 GiB  64 GiB  2048 x 2 MiB (2048 free)  16-31,48-63');
  expect(lines('cxl-memory')).toContain('       1  21  10  34');
  expect(lines('xeon-2s')).toContain('    0 of 63 virtual functions; used by the host: default route br0 over eno1');
  expect(lines('container-v1')).toContain('limited by its control group to CPUs 16-19,48-51, nodes 1, 8 GiB');
});

it('wraps at spaces and after commas', () => {
  expect(wrap('  ab cd,ef gh', 7, 4)).toEqual(['  ab', '    cd,', '    ef', '    gh']);
  expect(wrap('unbreakable-word next', 5, 0)).toEqual(['unbreakable-word', 'next']);
  expect(wrap('', 10, 0)).toEqual(['']);
});
