/** Random planning problems, small enough to be solved by trying everything. */
import type { Partition, PlacementInput, PlacementRequest } from '../../src/ledger/index.ts';
import { modelHost, modelPool } from './model-host.ts';

const GIB = 2 ** 30;

/** Small planning problems that the exact solver can solve too: the same one for the same seed. */
export function randomPlacement(seed: number): PlacementInput {
  const random = generator(seed);
  const upTo = (least: number, most: number): number => least + Math.floor(random() * (most - least + 1));
  const chance = (probability: number): boolean => random() < probability;

  const nodes = upTo(1, 2);
  const l3PerNode = upTo(1, 2);
  const threads = upTo(1, 2);
  const coresPerL3 = upTo(2, Math.floor(16 / (nodes * l3PerNode)));
  const gibPerNode = upTo(4, 16);
  const topology = modelHost({
    packages: nodes,
    l3PerNode,
    coresPerL3: Math.min(coresPerL3, 8),
    threads,
    memoryBytesPerNode: gibPerNode * GIB,
  });
  const pool = modelPool(topology, chance(0.5) ? [0] : []);
  const count = upTo(2, 6);
  const perRequest = Math.max(1, Math.floor((pool.cpus.length / count) * (chance(0.3) ? 1.8 : 1.2)));
  const freeCores = new Map<number, number[]>();
  for (const { core, id } of topology.cpus) {
    if (pool.cpus.includes(id)) freeCores.set(core, [...(freeCores.get(core) ?? []), id]);
  }
  for (const [core, cpus] of freeCores) if (cpus.length < threads) freeCores.delete(core);
  const freeGib = topology.numaNodes.map(() => gibPerNode);

  const requests = Array.from({ length: count }, (_, index): PlacementRequest => {
    const gib = upTo(1, Math.max(1, Math.floor((gibPerNode * nodes * 1.3) / count)));
    const runs = chance(0.15);
    const numa = !runs && chance(0.15) ? upTo(0, nodes - 1) : null;
    const cpus = {
      kind: 'count' as const,
      count: upTo(1, perRequest),
      numa,
      smt: chance(0.75) ? ('whole-core' as const) : ('any' as const),
      cache: !runs && chance(0.2) ? ('shared-l3' as const) : ('any' as const),
      near: null,
    };
    const node = !runs && chance(0.15) ? upTo(0, nodes - 1) : null;
    const request = {
      cpus,
      memory: { kind: 'size' as const, bytes: gib * GIB, node, hugePageBytes: null },
      devices: [],
    };
    return { name: `i${index}`, request, current: runs ? running(cpus, gib) : null };
  });
  return { topology, pool, requests, fixed: {} };

  /** Somewhere on free cores and memory, as an earlier plan may have left it; null when there is no room. */
  function running(cpus: { count: number; smt: 'whole-core' | 'any' }, gib: number): Partition | null {
    const cores = Math.ceil(cpus.count / threads);
    const node = freeGib.findIndex((free) => free >= gib);
    if (cores > freeCores.size || node < 0) return null;
    const owned: number[] = [];
    for (let core = 0; core < cores; core++) {
      const keys = [...freeCores.keys()];
      const key = keys[Math.floor(random() * keys.length)]!;
      owned.push(...freeCores.get(key)!);
      freeCores.delete(key);
    }
    freeGib[node]! -= gib;
    const used = cpus.smt === 'any' ? owned.slice(0, cpus.count) : owned;
    const memory = [{ node, bytes: gib * GIB }];
    return { cpus: used.sort((a, b) => a - b), shared: null, memory, hugePageBytes: null, devices: [] };
  }
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
