/** Hosts that kerf manages, taken over and handed back, as one thing that a daemon can do. */
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import type { MultikernelHost } from '../driver/multikernel/host.ts';
import { instanceName } from '../driver/multikernel/record.ts';
import type { Instances } from '../instance/contract.ts';
import type { PoolLease } from '../pool/contract.ts';
import type { LeasedFunction } from '../sriov/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { Topology } from '../topology/index.ts';
import type { Adoption } from './adoption.ts';
import { kerfApi } from './api.ts';
import type { KerfFiles } from './kerf-files.ts';
import { kerfHandlers } from './routes.ts';
import type { AdoptionRecord } from './types.ts';

/** The machine whose kernel kerf has parted. */
export interface KerfMachine {
  /** Throws `unavailable` where there is none. */
  host(): Promise<MultikernelHost>;
  /** Where launches keep which CPU is which. */
  cache: string;
  /** Default: where kerf has them. */
  files?: KerfFiles;
  lease: PoolLease;
}

interface Given {
  bootId: string;
  instances: () => Instances;
  /** Whose PCI functions are. */
  leases: () => readonly LeasedFunction[];
}

/** `machine`: undefined where nothing can be taken over. */
export function kerfCapability(
  { store, mutex, journal }: Surroundings,
  machine: KerfMachine | undefined,
  given: Given,
) {
  const kept = store.value<AdoptionRecord>('kerf', 'what was taken over of kerf');
  /** Most daemons never need it. */
  let made: Promise<Adoption> | undefined;
  const adoption = () => {
    if (machine === undefined) throw onlyRoot();
    made ??= makeAdoption(machine);
    return made;
  };
  async function makeAdoption({ host, cache, files, lease }: KerfMachine): Promise<Adoption> {
    const [{ Adoption }, { KERF_FILES }] = await Promise.all([import('./adoption.ts'), import('./kerf-files.ts')]);
    return new Adoption({
      ...{ kept, lease, mutex, bootId: given.bootId },
      files: files ?? KERF_FILES,
      async host() {
        const found = await host();
        return new (await import('../driver/multikernel/foreign.ts')).ForeignHost(found, cache);
      },
      owners({ cpus }) {
        const instances = given.instances();
        const { pool, partitions } = instances.ledger();
        const functionOwners = new Map(given.leases().map(({ address, owner }) => [address, `leased to ${owner}`]));
        for (const address of pool?.devices ?? []) functionOwners.set(address, "in Polykernel's pool");
        for (const [owner, { devices }] of Object.entries(partitions))
          for (const address of devices) functionOwners.set(address, `of ${owner}`);
        return {
          ours: new Set(instances.list().map(({ record }) => instanceName(record.id))),
          cpuOwners: new Map(
            (pool?.cpus ?? []).flatMap((cpu) => {
              const physical = cpus.get(cpu);
              return physical === undefined ? [] : [[physical, `in Polykernel's pool, as CPU ${cpu}`] as const];
            }),
          ),
          functionOwners,
        };
      },
    });
  }
  return {
    name: 'what was taken over of kerf',
    routes: served(kerfApi, kerfHandlers(adoption)),
    /** The topology in which its functions are in use: nobody else may have them. */
    withAdopted(seen: Topology): Topology {
      const record = kept.get();
      if (record === null || record.pool.functions.length === 0) return seen;
      const owners = new Map(record.pool.functions.map((address) => [address, "kerf's pool"]));
      for (const { name, functions } of record.kernels)
        for (const address of functions) owners.set(address, `kerf's kernel ${name}`);
      return {
        ...seen,
        pci: seen.pci.map((each) =>
          owners.has(each.address) ? { ...each, hostUse: owners.get(each.address)! } : each,
        ),
      };
    },
    async recover() {
      const record = kept.get();
      if (record?.bootId === given.bootId) machine?.lease.take();
      else {
        if (record !== null) journal.info('the machine was booted anew: what was taken over of kerf is gone');
        if (record !== null) kept.put(null);
        machine?.lease.drop();
      }
    },
  };
}

const onlyRoot = (): PolykernelError =>
  new PolykernelError('unavailable', 'only the daemon of root can take over what kerf has made', {
    hint: 'Run the daemon as root.',
  });
