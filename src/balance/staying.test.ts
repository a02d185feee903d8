import { describe, expect, it } from 'vitest';
import { modelHost } from '../../test/support/model-host.ts';
import { type Staying, stayingCpus } from './staying.ts';

const kernel = (name: string, vcpuCpus: number[], count: number, more: Partial<Staying> = {}): Staying => ({
  name,
  request: { kind: 'count', count, numa: null, smt: 'whole-core', cache: 'any', near: null },
  vcpuCpus,
  cpus: vcpuCpus,
  ...more,
});
/** CPUs 0-3 on one L3, 4-7 on another, 8-15 on another node. */
const HOST = modelHost({ packages: 2, l3PerNode: 2, coresPerL3: 4, threads: 1 });
const chosen = (kernels: Staying[], free: number[], host = HOST) =>
  Object.fromEntries(stayingCpus(kernels, free, host));

describe('stayingCpus', () => {
  it('keeps the first and gives up the last', () => {
    expect(chosen([kernel('a', [5, 2, 3], 1)], [])).toEqual({ a: [5] });
    expect(chosen([kernel('a', [5, 2, 3], 2)], [0])).toEqual({ a: [5, 2] });
  });

  it('takes the nearest: of the same cache, then of the same node, then any', () => {
    expect(chosen([kernel('a', [6], 4)], [0, 7, 9])).toEqual({ a: [6, 7, 0, 9] });
  });

  it('gives one what the other gives up, in whatever order they are named', () => {
    const [less, more] = [kernel('less', [4, 5], 1), kernel('more', [6], 2)];
    for (const kernels of [
      [less, more],
      [more, less],
    ])
      expect(chosen(kernels, [])).toEqual({ less: [4], more: [6, 5] });
  });

  it('owns whole cores where they are asked for, and threads where any will do', () => {
    const host = modelHost({ coresPerL3: 4, threads: 2 });
    expect(chosen([kernel('a', [2], 3, { cpus: [2, 3] })], [0, 4, 5], host)).toEqual({ a: [2, 3, 4, 5] });
    const request: Staying['request'] = { kind: 'count', count: 3, numa: null, smt: 'any', cache: 'any', near: null };
    expect(chosen([kernel('a', [2], 3, { request })], [0, 4, 5], host)).toEqual({ a: [2, 0, 4] });
  });

  it('takes none that its cache or node forbids', () => {
    const of = (more: object) => ({ request: { ...kernel('a', [6], 2).request, ...more } as Staying['request'] });
    expect(chosen([kernel('a', [6], 2, of({ cache: 'shared-l3' }))], [0])).toEqual({});
    expect(chosen([kernel('a', [6], 2, of({ cache: 'shared-l3' }))], [0, 7])).toEqual({ a: [6, 7] });
    expect(chosen([kernel('a', [6], 3, of({ numa: 0, count: 3 }))], [0, 7, 9])).toEqual({ a: [6, 7, 0] });
    expect(chosen([kernel('a', [6], 4, of({ numa: 0, count: 4 }))], [0, 7, 9])).toEqual({});
  });

  it('leaves out whom it cannot give enough', () => {
    expect(chosen([kernel('a', [2], 3)], [1])).toEqual({});
  });
});
