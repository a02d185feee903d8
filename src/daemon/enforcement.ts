/** The acts of src/host, as the pool uses them. */
import { type HostFiles, perform, planHostActs, readBack, undo } from '../host/index.ts';
import type { PoolEnforcement } from './host-pool.ts';

/** On the machine whose files are given. */
export function hostEnforcement(host: HostFiles): PoolEnforcement {
  return {
    plan: ({ cpus }, housekeeping) => planHostActs(host, { poolCpus: cpus, housekeeping }),
    perform: async (act) => (await perform(host, act)).note,
    undo: async (act) => (await undo(host, act)).note,
    readBack: (acts) => {
      const rows = readBack(host, acts);
      const steered = rows.filter(({ act, holds }) => act.kind === 'irq' && holds);
      const interrupts =
        steered.length === 0 ? [] : [`${steered.length} interrupt settings keep to CPUs ${steered[0]!.wanted}`];
      const others = rows.filter(({ act, holds }) => act.kind !== 'irq' && holds);
      const lost = rows.filter(({ holds }) => !holds);
      return [
        ...interrupts,
        ...others.map(({ what, real }) => `${what}: ${real || 'there'}`),
        ...lost.map(({ what, wanted, real }) => `${what} is ${real ?? 'gone'}, not ${wanted}`),
      ];
    },
  };
}
