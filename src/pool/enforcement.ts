/** Carries out the acts that make the pool real on the host kernel: control groups, huge pages, interrupts. */

import { cpusText, parseCpuList } from '../sys/cpu-list.ts';
import type { HostFiles } from '../sys/host-files.ts';
import { perform, planHostActs, readBack, undo } from './acts.ts';
import type { PoolEnforcement } from './host-pool.ts';

/** On the machine whose files are given. */
export function hostEnforcement(host: HostFiles): PoolEnforcement {
  return {
    plan: ({ cpus }, housekeeping, previous) => planHostActs(host, { poolCpus: cpus, housekeeping, previous }),
    perform: async (act) => (await perform(host, act)).note,
    undo: async (act) => (await undo(host, act)).note,
    readBack: (acts) => {
      const rows = readBack(host, acts);
      const steered = rows.filter(({ act, holds }) => act.kind === 'irq' && act.irq !== 'default' && holds);
      const interrupts =
        steered.length === 0
          ? []
          : [`${steered.length} interrupts keep to ${cpusText(parseCpuList(steered[0]!.wanted))}`];
      const others = rows.filter(({ act, holds }) => act.kind !== 'irq' && holds);
      const lost = rows.filter(({ holds }) => !holds);
      return {
        holds: [...interrupts, ...others.map(({ what, real }) => `${what}: ${real || 'there'}`)],
        lost: lost.map(({ what, wanted, real }) => ({ what, text: `${what} is ${real ?? 'gone'}, not ${wanted}` })),
      };
    },
  };
}
