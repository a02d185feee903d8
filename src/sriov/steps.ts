/** The kinds of step by which a running kernel gets a function and loses it, and how each is carried out. */
import type { BareStep, Executors, Step } from '../core/step.ts';
import type { KernelFunctions, PassedFunction } from '../driver/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { DeviceWish } from './choose.ts';
import type { LeasedFunction } from './contract.ts';
import { type NetworkSettings, otherwise, settingsText } from './network-settings.ts';

/** Whose: id and name of an instance. */
interface OfInstance {
  instance: string;
  owner: string;
}

type Wish = Pick<DeviceWish, 'name' | 'network'>;

/** Records whose a function is, and has vfio-pci take it. */
interface LeaseFunction extends BareStep<'function.lease'>, OfInstance {
  /** What the owner calls it, and what its network is to be. */
  wish: Wish;
}

/** Resets a function that no kernel has, after which it is nobody's. */
interface ReturnFunction extends BareStep<'function.return'>, OfInstance {}

/** Gives a leased function to the kernel of its owner that runs; takes it from that. */
interface PlugFunction extends BareStep<'function.plug'>, OfInstance {}
interface UnplugFunction extends BareStep<'function.unplug'>, OfInstance {}

/** Gives the network of a leased function other settings. */
interface SetNetwork extends BareStep<'function.network'> {
  settings: NetworkSettings;
}

/** Each kind, and what takes it back. */
export type FunctionStep =
  | Step<LeaseFunction, ReturnFunction>
  | Step<SetNetwork, SetNetwork>
  | Step<ReturnFunction, null>
  | Step<PlugFunction, UnplugFunction>
  | Step<UnplugFunction, PlugFunction>;

export const leaseFunction = (address: string, of: OfInstance, { name, network }: Wish): FunctionStep => ({
  ...{ kind: 'function.lease', phase: 'assign', ...common(address, of), wish: { name, network } },
  text: `lease ${address} to ${of.owner}`,
  undo: returning(address, of),
  byHand: `pk sriov release ${address}`,
});

/** `before`: all that it is now. */
export const setNetwork = (
  name: string,
  { owner }: Pick<LeasedFunction, 'owner'>,
  before: NetworkSettings,
  change: NetworkSettings,
): FunctionStep => {
  const to = (settings: NetworkSettings): SetNetwork => ({
    ...{ kind: 'function.network', phase: 'assign', name, also: [`instance ${owner}`], settings },
    text: `give ${name} ${settingsText(settings)}`,
  });
  const undo = to(otherwise(before, { ...before, ...change }));
  return { ...to(change), undo, byHand: `pk sriov set ${name} ${settingsText(undo.settings)}` };
};

export const returnFunction = (address: string, of: OfInstance): FunctionStep => ({
  ...returning(address, of),
  undo: null,
  byHand: `pk device attach ${of.owner} ${address}`,
});

export const plugFunction = (address: string, of: OfInstance): FunctionStep => ({
  ...plug(address, of),
  undo: unplug(address, of),
  byHand: `pk device detach ${of.owner} ${address}`,
});

export const unplugFunction = (address: string, of: OfInstance): FunctionStep => ({
  ...unplug(address, of),
  undo: plug(address, of),
  byHand: `pk device attach ${of.owner} ${address}`,
});

/** What steps act on. */
export interface FunctionActs {
  /** Throws as Functions.take() does; then nothing is leased. */
  lease(address: string, of: OfInstance, wish: Wish): Promise<void>;
  /** What the network of a leased function is now, and what it is to be. Rejects as Leases.setNetwork(). */
  network(address: string): Promise<NetworkSettings>;
  setNetwork(address: string, settings: NetworkSettings): Promise<void>;
  giveBack(address: string): Promise<void>;
  isLeased(address: string, instance: string): boolean;
  /** What a kernel is given, ready for it. */
  ready(address: string): Promise<PassedFunction>;
  /** Of the kernel of an instance that runs now; undefined: none runs. Rejects with `unsupported` when it can be given none. */
  functionsOf(instance: string): Promise<KernelFunctions | undefined>;
}

export function functionExecutors(acts: FunctionActs): Executors<FunctionStep> {
  const has = async (instance: string, address: string) =>
    (await (await acts.functionsOf(instance))?.list())?.includes(address) ?? false;
  const mustRun = async ({ instance, owner, name }: OfInstance & BareStep): Promise<KernelFunctions> => {
    const functions = await acts.functionsOf(instance);
    if (functions !== undefined) return functions;
    throw new PolykernelError('conflict', `no kernel of ${owner} runs any more`, {
      field: 'name',
      value: owner,
      hint: `Give it ${name} for its next one: pk sriov assign ${name} --to ${owner}`,
    });
  };
  return {
    'function.lease': {
      check: () => {},
      run: ({ name, wish, ...of }) => acts.lease(name, of, wish),
      verify: ({ name, instance }) => acts.isLeased(name, instance),
      // It was to be plugged in after that.
      afterCrash: 'undo',
    },
    'function.network': {
      check: () => {},
      run: ({ name, settings }) => acts.setNetwork(name, settings),
      verify: async ({ name, settings }) => Object.keys(otherwise(settings, await acts.network(name))).length === 0,
      afterCrash: 'undo',
    },
    'function.return': {
      check: () => {},
      run: ({ name }) => acts.giveBack(name),
      verify: ({ name, instance }) => !acts.isLeased(name, instance),
      afterCrash: 'finish',
    },
    'function.plug': {
      check: async (step) => (await mustRun(step)).check(),
      run: async (step) => (await mustRun(step)).attach(await acts.ready(step.name)),
      verify: ({ instance, name }) => has(instance, name),
      afterCrash: 'undo',
    },
    'function.unplug': {
      check: () => {},
      run: async ({ instance, name }) => (await acts.functionsOf(instance))?.detach(name),
      verify: async ({ instance, name }) => !(await has(instance, name)),
      afterCrash: 'finish',
    },
  };
}

/** Nobody stops the instance, or has it restarted, by a step meanwhile. */
const common = (name: string, { instance, owner }: OfInstance) => ({
  name,
  also: [`instance ${owner}`],
  instance,
  owner,
});

const returning = (address: string, of: OfInstance): ReturnFunction => ({
  ...{ kind: 'function.return', phase: 'assign', ...common(address, of) },
  text: `take ${address} back from ${of.owner}, and reset it`,
});

const plug = (address: string, of: OfInstance): PlugFunction => ({
  ...{ kind: 'function.plug', phase: 'grow', ...common(address, of) },
  text: `give ${address} to the kernel of ${of.owner}`,
});

const unplug = (address: string, of: OfInstance): UnplugFunction => ({
  ...{ kind: 'function.unplug', phase: 'shrink', ...common(address, of) },
  text: `have the kernel of ${of.owner} let go of ${address}`,
});
