/** Functions that come to an instance, and go, while its kernel runs; where none runs, for its next one. */
import type { Steps } from '../core/steps.ts';
import type { Kernel, KernelFunctions } from '../driver/index.ts';
import type { Instance, Instances } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { normalizePciAddress } from '../topology/pci-address.ts';
import { deviceWish } from './choose.ts';
import type { AttachedFunction, NetworkChange } from './contract.ts';
import type { Functions } from './manager.ts';
import { networkSettings, otherwise, settingsText } from './network-settings.ts';
import { type FunctionStep, leaseFunction, plugFunction, returnFunction, setNetwork, unplugFunction } from './steps.ts';

interface AttachmentsOptions {
  functions: Functions;
  instances(): Pick<Instances, 'get' | 'list'>;
  steps(): Pick<Steps<FunctionStep>, 'submit'>;
}

export class Attachments {
  readonly #options: AttachmentsOptions;
  /** Those that run, by the id of their instance. */
  readonly #kernels = new Map<string, Kernel>();

  constructor(options: AttachmentsOptions) {
    this.#options = options;
  }

  kernelUp(instance: string, kernel: Kernel): void {
    this.#kernels.set(instance, kernel);
    void kernel.exited.then(() => {
      if (this.#kernels.get(instance) === kernel) this.#kernels.delete(instance);
    });
  }

  /** Undefined when no kernel of it runs. Rejects with `unsupported` when that can be given none, and as Instance.takenOver(). */
  async functionsOf(instance: string): Promise<KernelFunctions | undefined> {
    await this.#options
      .instances()
      .list()
      .find(({ record }) => record.id === instance)
      ?.takenOver();
    const kernel = this.#kernels.get(instance);
    if (kernel === undefined || kernel.functions !== undefined) return kernel?.functions;
    throw new PolykernelError('unsupported', 'its driver gives functions to no kernel that runs', {
      field: 'device',
      hint: 'Use a kernel of the qemu driver, or give it the function for its next kernel: stop it first.',
    });
  }

  /**
   * Leases a function and plugs it into the kernel that runs: all of it or nothing. Rejects with what Functions.assign() and
   * KernelFunctions.attach() do, and `conflict` while the kernel cannot take it.
   */
  async attach(
    name: string,
    text: string,
    progress: (text: string) => void,
    signal: AbortSignal,
  ): Promise<AttachedFunction> {
    const { functions, steps } = this.#options;
    const instance = this.#options.instances().get(name);
    const { id, spec } = instance.record;
    if (!instance.active) return { ...(await functions.assign(text, spec.name)), running: false };
    const kernel = await this.#running(instance);
    kernel.check();
    const of = { instance: id, owner: spec.name };
    const wish = deviceWish(text, 'device');
    const { address, isMine, warnings } = await functions.pick(wish, { instance: id, name: spec.name });
    if (isMine && (await kernel.list()).includes(address))
      throw new PolykernelError('conflict', `the kernel of ${name} has ${address} already`, {
        field: 'device',
        value: address,
      });
    const plug = plugFunction(address, of);
    const todo = isMine ? [plug] : [leaseFunction(address, of, wish), plug];
    await steps().submit(todo, { progress, signal, onFailure: 'undo', whenBusy: 'refuse' });
    functions.tell('function-attached', address, `the kernel of ${spec.name} has it`);
    return { ...functions.lease(address)!, warnings, running: true };
  }

  /**
   * Has the kernel let go of a function, which is reset then and nobody's. Rejects with `not-found`, `conflict`, and `not-ready` when the guest does not
   * let go: it has it still.
   */
  async detach(name: string, text: string, signal: AbortSignal): Promise<void> {
    const { functions, steps } = this.#options;
    const instance = this.#options.instances().get(name);
    const { id, spec } = instance.record;
    const address = normalizePciAddress(text, 'device');
    if (functions.lease(address)?.instance !== id)
      throw new PolykernelError('not-found', `${spec.name} has no function ${address}`, {
        field: 'device',
        value: address,
        hint: '`pk sriov ls` shows whose each is.',
      });
    if (!instance.active) return await functions.release(address);
    await this.#running(instance);
    const of = { instance: id, owner: spec.name };
    await steps().submit([unplugFunction(address, of), returnFunction(address, of)], { signal, whenBusy: 'refuse' });
    functions.tell('function-detached', address, `the kernel of ${spec.name} let go of it`);
  }

  /**
   * Gives the network of a leased function other settings, or only says what would be. Rejects with `invalid`, and as
   * Leases.setNetwork(); then all is as it was.
   */
  async setNetwork(text: string, words: readonly string[], dry: boolean, signal: AbortSignal): Promise<NetworkChange> {
    const { functions, steps } = this.#options;
    const address = normalizePciAddress(text, 'device');
    const wanted = networkSettings(words, 'settings');
    const before = await functions.acts.network(address);
    const change = otherwise(wanted, before);
    const now = { ...before, ...change };
    if (!dry && Object.keys(change).length > 0) {
      const step = setNetwork(address, functions.lease(address)!, before, change);
      await steps().submit([step], { signal, onFailure: 'undo', whenBusy: 'refuse' });
      functions.tell(
        'function-network',
        address,
        `${settingsText(change)}, was ${settingsText(otherwise(before, now))}`,
      );
    }
    return { address, before, now, change: settingsText(change) };
  }

  async #running(instance: Instance): Promise<KernelFunctions> {
    const functions = await this.functionsOf(instance.record.id);
    const { name, state } = instance;
    if (state === 'running' && functions !== undefined) return functions;
    throw new PolykernelError('conflict', `the kernel of ${name} can take no part in this now: it is ${state}`, {
      field: 'name',
      value: name,
      hint: state === 'paused' ? `Resume it: pk resume ${name}` : 'Try again when it runs, or when it has ended.',
    });
  }
}
