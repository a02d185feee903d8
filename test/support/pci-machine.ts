/** Functions of the modelled bus behind caches, for tests of what goes wrong. */
import { CachedBus } from '../../src/pci/cache/bus.ts';
import type { CachedFunction } from '../../src/pci/cache/function.ts';
import { ModelBus, type ModelFunction } from './pci-bus.ts';

export const BOUND_MS = 10;
export const BRIDGE = '0000:00:01.0';
const [PF, VF] = ['0000:01:00.0', '0000:01:00.1'];

/** A bridge, below it a physical function with one virtual one; nobody else writes. */
export function machine(owned = true) {
  const bus = new ModelBus();
  const cache = new CachedBus({ boundMs: BOUND_MS, now: () => bus.now });
  const models: Record<string, ModelFunction> = {
    bridge: bus.addBridge(BRIDGE),
    pf: bus.addPhysical(PF, BRIDGE),
    vf: bus.addVirtual(VF, PF, BRIDGE),
  };
  const add = (model: ModelFunction): CachedFunction => {
    const cached = cache.add(model);
    cached.owned = owned;
    return cached;
  };
  return {
    bus,
    model: models as { bridge: ModelFunction; pf: ModelFunction; vf: ModelFunction },
    bridge: add(models.bridge!),
    pf: add(models.pf!),
    vf: add(models.vf!),
  };
}

/** Transactions that `act` takes. */
export function readsOf(model: ModelFunction, act: () => unknown): number {
  const before = model.reads;
  act();
  return model.reads - before;
}
