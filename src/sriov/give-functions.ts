/** The PCI functions that an instance is to have. */
import type { Kernel } from '../driver/index.ts';
import type { Provider } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { deviceWish } from './choose.ts';
import type { Choice, Functions } from './manager.ts';

/** `kernelUp` is told of each kernel that runs, by the id of its instance. */
export function functionProvider(functions: Functions, kernelUp: (id: string, kernel: Kernel) => void): Provider {
  /** What there was to choose from when they were asked for, by the id of the instance. */
  const choices = new Map<string, Choice>();
  const take = (id: string, name: string, devices: readonly string[], choice: Choice, nodes: readonly number[]) =>
    functions.take(
      devices.map((text) => deviceWish(text, 'devices')),
      choice,
      { instance: id, name },
      { nodes },
    );
  return {
    name: 'its PCI functions',
    async prepare({ id, spec }) {
      if (spec.devices.length > 0) choices.set(id, await functions.choice());
    },
    reserve({ id, spec }, { placement }) {
      const choice = choices.get(id);
      choices.delete(id);
      if (choice !== undefined) take(id, spec.name, spec.devices, choice, nodesOf(placement));
      return {};
    },
    async launch({ id, spec, placement }, { devices }) {
      const owned = placement?.partition.devices ?? [];
      await functions.giveBackFormer(id, owned);
      // One that was released meanwhile is leased again, or another one of its kind.
      const all = [...spec.devices, ...owned];
      if (all.length > 0) take(id, spec.name, all, await functions.choice(), nodesOf(placement));
      const passed = await functions.readyAll(id, devices);
      if (passed.length === 0) return {};
      if (devices === 'none') throw cannot(spec.name, spec.driver, passed[0]!.address);
      return { devices: passed };
    },
    changed: ({ id, spec, placement }, before) =>
      functions.giveBackUnwished(id, before.spec.devices, spec.devices, placement?.partition.devices ?? []),
    kernelUp: ({ id }, kernel) => kernelUp(id, kernel),
    release({ id }) {
      choices.delete(id);
      return functions.giveBackOf(id);
    },
    releaseAllBut: (owners) => functions.giveBackAllBut(owners().ids),
  };
}

type Placed = { partition: { memory: readonly { node: number }[] } } | null | undefined;

const nodesOf = (placement: Placed): number[] => placement?.partition.memory.map(({ node }) => node) ?? [];

/** It was assigned to an instance of another driver. */
const cannot = (name: string, driver: string, address: string): PolykernelError =>
  new PolykernelError('unsupported', `${name} has ${address}, and the ${driver} driver cannot give it to a kernel`, {
    field: 'devices',
    value: address,
    hint: `Take it back: pk sriov release ${address}`,
  });
