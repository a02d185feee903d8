/** Random reads, writes, resets and changes by others, through the cache and past it: what the cache says is held against the model. */
import { CachedBus } from '../../src/pci/cache/bus.ts';
import type { CachedFunction } from '../../src/pci/cache/function.ts';
import type { Width } from '../../src/pci/source.ts';
import { AT, ModelBus, type ModelFunction } from './pci-bus.ts';
import { randomOf } from './pci-images.ts';

const BOUND_MS = 1;

/** What people and kernels write most, and what has consequences. */
const TARGETS: readonly number[] = [
  ...[
    0x04,
    0x10,
    0x14,
    0x3c,
    0x3e,
    AT.pm + 4,
    AT.msi + 2,
    AT.msi + 4,
    AT.express + 8,
    AT.express + 0x10,
    AT.express + 0x28,
  ],
  ...[AT.msix, AT.aer + 8, AT.sriov + 8, AT.sriov + 0x10, AT.sriov + 0x20, AT.rebar + 8],
];

export interface ModelRun {
  reads: number;
  hits: number;
  /** In words; empty when all was true. */
  stale: string[];
}

/** @param owned whether nobody else writes: then everything has to be as it is now */
export function runModel(seed: number, operations: number, owned: boolean): ModelRun {
  const random = randomOf(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const bus = new ModelBus();
  const cache = new CachedBus({ boundMs: BOUND_MS, now: () => bus.now });
  bus.addBridge('0000:00:01.0');
  bus.addPhysical('0000:01:00.0', '0000:00:01.0');
  for (const number of [1, 2, 3]) bus.addVirtual(`0000:01:00.${number}`, '0000:01:00.0', '0000:00:01.0');
  bus.addPhysical('0000:00:02.0');
  const all = [...bus.functions.values()].map((model) => ({ model, cached: cache.add(model) }));
  for (const { cached } of all) cached.owned = owned;
  const run: ModelRun = { reads: 0, hits: 0, stale: [] };

  const place = (size: number): [offset: number, width: Width] => {
    const width = ([1, 2, 4] as const)[below(3)]!;
    // Most go to the bytes in which something lies.
    const offset = random() < 0.1 ? below(size) : below(0x1c8);
    return [Math.min(offset - (offset % width), size - width), width];
  };
  const read = (model: ModelFunction, cached: CachedFunction) => {
    const [offset, width] = place(model.size);
    const since = bus.now - BOUND_MS;
    const before = model.answer(offset, width);
    const got = cached.read(offset, width);
    run.reads += 1;
    if (got === before || got === model.answer(offset, width)) return;
    for (let index = 0; index < width; index++) {
      const at = offset + index;
      const byte = Math.floor(got! / 2 ** (8 * index)) & 0xff;
      const isShared = !owned && !model.volatile.includes(at) && model.mayChange.has(at);
      if (!model.had(at, byte, isShared ? since : bus.now + 1))
        run.stale.push(`${model.address} 0x${at.toString(16)}: ${byte} is not there any more`);
    }
  };
  const write = (model: ModelFunction, cached: CachedFunction) => {
    const [anywhere, width] = place(model.size);
    const target = TARGETS[below(TARGETS.length)]!;
    const offset = random() < 0.3 ? anywhere : Math.min(target - (target % width), model.size - width);
    cached.write(offset, width, below(2 ** (8 * width)));
  };
  const happen = (model: ModelFunction, cached: CachedFunction) => {
    const what = below(owned ? 4 : 7);
    if (what === 0) model.set(model.volatile[below(model.volatile.length)]!, below(256));
    else if (what === 1) bus.now += random() * BOUND_MS;
    else if (what === 2) {
      model.reset(below(3));
      cached.note('reset');
    } else if (what === 3) {
      if (random() > 0.1) return;
      model.present = random() < 0.5 && model.physicalFunction === undefined;
      cached.note('removed');
      if (model.physicalFunction === undefined) model.present = true;
    } else if (what === 4) model.writeBehind(model.writable[below(model.writable.length)]!, below(256));
    else if (what === 5) model.setState(`driver${below(3)} D0`);
    else bus.now += random() * BOUND_MS;
  };
  for (let step = 0; step < operations && run.stale.length < 5; step++) {
    const { model, cached } = all[below(all.length)]!;
    const dice = random();
    if (dice < 0.99) read(model, cached);
    else if (dice < 0.995) write(model, cached);
    else happen(model, cached);
  }
  run.hits = cache.statistics().hits;
  return run;
}
