/** The capability that leases functions, on a database in memory, with instances that are only names. */
import { DatabaseSync } from 'node:sqlite';
import { EventLog } from '../../src/core/events.ts';
import { silentJournal } from '../../src/core/journal.ts';
import { stepTable } from '../../src/core/step-journal.ts';
import { Steps } from '../../src/core/steps.ts';
import type { Surroundings } from '../../src/core/surroundings.ts';
import { Table } from '../../src/core/table.ts';
import type { Instances } from '../../src/instance/contract.ts';
import { type FunctionHost, type FunctionStep, sriovCapability } from '../../src/sriov/index.ts';
import type { Sysfs } from '../../src/sriov/sysfs.ts';
import { systemClock } from '../../src/sys/clock.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { modelHost } from './model-host.ts';

const PATIENCE = { change: 120_000, links: 60_000, bind: 60_000, reset: 60_000 };
const NOTHING = () => {};

export function functionsOn(sysfs: Sysfs, patience = {}, more: Partial<FunctionHost> = {}) {
  const database = new DatabaseSync(':memory:');
  const held = { yes: false };
  const names = new Map(
    ['web', 'other'].map((name) => [name, { active: false, record: { id: `id-${name}`, spec: { name } } }]),
  );
  const known = {
    find: (name: string) => names.get(name),
    get(name: string) {
      const found = names.get(name);
      if (found === undefined) throw new PolykernelError('not-found', `there is no ${name}`);
      return found;
    },
    ledger: () => ({ pool: null, partitions: {} }),
  };
  const around = {
    store: { table: (definition: never) => new Table(database, definition) },
    events: new EventLog(() => 1),
    clock: systemClock,
    journal: silentJournal,
  } as unknown as Surroundings;
  const hold = (yes: boolean) => () => {
    held.yes = yes;
  };
  const start = () => {
    const capability = sriovCapability(
      around,
      { sysfs, patience: { ...PATIENCE, ...patience }, take: hold(true), drop: hold(false), ...more },
      { instances: () => known as unknown as Instances, topology: () => modelHost(), steps: () => steps },
    );
    const { executors } = capability;
    const steps = new Steps<FunctionStep>({
      executors,
      table: new Table(database, stepTable),
      journal: silentJournal,
    });
    return capability;
  };
  const at = { now: start() };
  const functions = () => at.now.functions;
  return {
    ...{ held, names },
    list: () => functions().list(),
    plan: () => functions().plan(),
    set: async (count: number, address: string, say: (text: string) => void = NOTHING) =>
      functions().setCount(address, count, say, new AbortController().signal),
    assign: async (device: string, to: string) => functions().assign(device, to),
    release: async (address: string) => functions().release(address),
    /** What the next kernel of an instance that asked for `devices` is given; `way`: how its driver does that. */
    launched: async (name: string, devices: string[], way: 'boot' | 'host') =>
      at.now.provider.launch!(
        { id: `id-${name}`, spec: { name, driver: 'some', devices }, placement: null } as never,
        { devices: way } as never,
      ),
    /** As the daemon does when an instance is removed. */
    removed: (name: string) => functions().giveBackOf(`id-${name}`),
    /** Another daemon takes up what this one leaves. */
    async restart() {
      at.now = start();
      await at.now.recover();
      const ids = new Set([...names.values()].map(({ record }) => record.id));
      await at.now.provider.releaseAllBut!(() => ({ ids, names: new Set(names.keys()) }));
    },
    end: () => at.now.close(),
  };
}
