import { describe, expect, it } from 'vitest';
import { hostNames, hostTopology } from '../../test/fixtures/hosts/index.ts';
import { normalizePciAddress, parseTopology, siblingsOf, summarize } from './index.ts';

const json = (name: string) => JSON.parse(JSON.stringify(hostTopology(name)));

describe('parseTopology', () => {
  it.each(hostNames)('reads %s as it was written, with a summary or without', (name) => {
    expect(parseTopology(json(name))).toEqual(hostTopology(name));
    expect(parseTopology({ summary: summarize(hostTopology(name)), ...json(name) })).toEqual(hostTopology(name));
  });

  it.each([
    ['format', 'format', 2],
    ['extra', 'extra', 1],
    ['pageBytes', 'pageBytes', 5000],
    ['cpus', 'cpus', []],
    ['cpus[3].core', 'cpus.3.core', undefined],
    ['cpus[2].id', 'cpus.2.id', 1],
    ['cpus[4].package', 'cpus.4.package', -1],
    ['cpus[40].core', 'cpus.40.core', 31],
    ['cpus[5].node', 'cpus.5.node', 7],
    ['caches[0].cpus[1]', 'caches.0.cpus', [1, 1]],
    ['caches[1].cpus', 'caches.1.cpus', [32, 33]],
    ['numaNodes[1].distances', 'numaNodes.1.distances', [10]],
    ['numaNodes[0].cpus', 'numaNodes.0.cpus.32', 63],
    ['numaNodes[0].freeBytes', 'numaNodes.0.freeBytes', 2 ** 50],
    ['pci[0].address', 'pci.0.address', '00:00.0'],
    ['pci[6].physicalFunction', 'pci.6.physicalFunction', '0000:ff:00.0'],
    ['limits.cpus', 'limits.cpus', [999]],
  ])('refuses a wrong %s by name', (field, path, value) => {
    const wrong = JSON.parse(JSON.stringify(hostTopology('xeon-2s')));
    const keys = path.split('.');
    const last = keys.pop()!;
    keys.reduce((at, key) => at[key], wrong)[last] = value;
    const seen = JSON.parse(JSON.stringify(wrong));
    expect(() => parseTopology(seen)).toThrow(expect.objectContaining({ code: 'invalid', field }));
  });

  it.each([null, 1, 'x', [], undefined])('refuses %j', (value) => {
    expect(() => parseTopology(value)).toThrow(expect.objectContaining({ code: 'invalid', field: 'topology' }));
  });
});

it('finds SMT siblings', () => {
  expect(siblingsOf(hostTopology('xeon-2s'), 3).map(({ id }) => id)).toEqual([35]);
});

it('normalises PCI addresses', () => {
  expect(normalizePciAddress('3B:00.1')).toBe('0000:3b:00.1');
  expect(normalizePciAddress('10000:e1:1f.7')).toBe('10000:e1:1f.7');
  for (const bad of ['', '3b:00', '0000:3b:20.0', '0000:3b:00.8', 'x'.repeat(9)]) {
    expect(() => normalizePciAddress(bad, '--device')).toThrow(
      expect.objectContaining({ code: 'invalid', field: '--device' }),
    );
  }
});
