/** What there is of functions, as the kernel says now, with whose each is. */
import type { FunctionsReport, LeasedFunction, VirtualFunction } from './contract.ts';
import type { Counts } from './counts.ts';
import { seeAll, seeHealth, virtualFunctions } from './functions.ts';
import type { Leases } from './leases.ts';
import type { Sysfs } from './sysfs.ts';

interface Known {
  sysfs: Sysfs;
  counts: Pick<Counts, 'wanted'>;
  leases: Pick<Leases, 'of' | 'all'>;
}

export async function functionsReport({ sysfs, counts, leases }: Known): Promise<FunctionsReport> {
  const seen = await seeAll(sysfs);
  const able = [...seen.values()].filter(({ most }) => most > 0);
  const physical = await Promise.all(
    able.map(async ({ iommuGroup: _, physicalFunction: __, ...each }) => ({
      ...each,
      wanted: counts.wanted(each.address),
      health: await seeHealth(sysfs, each.address),
      virtual: [...(await virtualFunctions(sysfs, each.address))].flatMap(([index, address]): VirtualFunction[] => {
        const found = seen.get(address);
        const lease = leases.of(address);
        if (found === undefined) return [];
        const { driver, node, iommuGroup } = found;
        return [{ index, address, driver, node, iommuGroup, lease: lease === undefined ? null : ownerOf(lease) }];
      }),
    })),
  );
  return { physical, leases: leases.all() };
}

const ownerOf = ({ owner, instance, name, generation, state, reason }: LeasedFunction) => ({
  owner,
  instance,
  name,
  generation,
  state,
  reason,
});
