/**
 * One instance of the host kernel, from its making to its end. Every step looks at what came of it, and may be repeated: what is
 * done already is not done again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Change } from '../../devicetree/multikernel/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { converge, refused, unlessBusy } from './converge.ts';
import { errnoOfCall, type MultikernelHost, type SpawnImage } from './host.ts';
import type { KernelFiles } from './interface.ts';

/** What a host that verifies what kexec loads answers: another key, none, or no signature. */
const UNSIGNED: readonly string[] = ['EKEYREJECTED', 'ENOKEY', 'ENODATA', 'EBADMSG'];

/** A forced halt is an interrupt that cannot be masked; a CPU that has not parked by then gets another. */
const FORCE_PAUSES_MS = [5, 20, 100, 400, 1000];

const isBusy = (error: unknown): boolean => errnoOfCall(error) === 'EBUSY';

export interface Wanted {
  cpus: readonly number[];
  bytes: number;
  node: number | undefined;
}

export class SpawnInstance {
  readonly name: string;
  readonly #host: MultikernelHost;
  readonly #files: KernelFiles;

  constructor(name: string, host: MultikernelHost, files: KernelFiles) {
    this.name = name;
    this.#host = host;
    this.#files = files;
  }

  get status(): string | undefined {
    return this.#files.status(this.name);
  }

  /**
   * Makes it, and gives its id. The kernel makes one also where CPUs are missing: that one is removed, and made once more. The
   * order of CPUs counts, for the first boots.
   */
  async create(wanted: Wanted): Promise<number> {
    const { name } = this;
    const difference = (): Change[] => {
      const found = this.#files.instance(name);
      const { cpus, bytes: memoryBytes, node } = wanted;
      const create = { target: 'create', name, cpus, memoryBytes, node } as const;
      if (found === undefined) return [create];
      const isRight = found.memoryBytes >= memoryBytes && sameOrder(found.cpus, cpus);
      return isRight ? [] : [{ target: 'remove', name }, create];
    };
    await converge(this.#files, this.#host, `making the instance ${name}`, difference);
    const { id } = this.#files.instance(name)!;
    if (id > 2047) {
      await this.remove();
      throw new PolykernelError(
        'unavailable',
        `the host kernel gave the instance the id ${id}, above 2047: it cannot be loaded`,
      );
    }
    return id;
  }

  /** Gives it PCI functions of the pool, in a transaction of its own: in one with the making, what cannot be had is only logged. */
  async giveFunctions(addresses: readonly string[]): Promise<void> {
    const { name } = this;
    await converge(this.#files, this.#host, `giving PCI functions to ${name}`, () => {
      const has = (this.#files.instance(name)?.functions ?? []).map(({ address }) => address);
      const addDevices = addresses.filter((address) => !has.includes(address)).map((address) => ({ address }));
      return addDevices.length === 0 ? [] : [{ target: 'instance', name, addDevices }];
    });
  }

  /** Gives it a kernel. Whatever a failed load leaves, the instance has to be removed. */
  async load(id: number, image: SpawnImage): Promise<void> {
    await unlessBusy(this.#host, () => this.#host.calls.load(this.name, id, image), isBusy).catch((error) => {
      throw UNSIGNED.includes(errnoOfCall(error) ?? '') ? unsigned() : refused('loading the kernel', error);
    });
    if (this.status !== 'loaded') throw refused('loading the kernel', new Error(`the instance is ${this.status}`));
  }

  async boot(id: number): Promise<void> {
    await unlessBusy(this.#host, () => this.#host.calls.boot(this.name, id), isBusy).catch((error) => {
      throw refused('booting the kernel', error);
    });
  }

  /**
   * Ends what runs in it. `patienceMs`: for the kernel to stop by itself; then, or with 0, its CPUs are stopped. Rejects with `internal`
   * when it goes on all the same: nothing of it may be given to others then.
   */
  async halt(id: number, patienceMs: number): Promise<void> {
    if (this.status !== 'active') return;
    if (patienceMs > 0) await this.#askToHalt(id, patienceMs);
    if (this.status !== 'active') return;
    let last: unknown;
    for (const pause of FORCE_PAUSES_MS) {
      last = await this.#host.calls.force(this.name, id).then(
        () => undefined,
        (error: unknown) => error,
      );
      // The status says `loaded` before all CPUs have parked, so once more.
      await this.#host.pause(pause);
      if (last === undefined && this.status !== 'active') {
        await this.#host.calls.force(this.name, id).catch(() => {});
        return;
      }
      if (this.status !== 'active') return;
    }
    throw refused('stopping the kernel by force', last);
  }

  /** The call itself blocks until the host kernel gives up, which may be later than who asks does. */
  async #askToHalt(id: number, patienceMs: number): Promise<void> {
    const patience = new AbortController();
    const asked = this.#host.calls.halt(this.name, id).catch(() => {});
    await Promise.race([asked, delay(patienceMs, undefined, { signal: patience.signal }).catch(() => {})]);
    patience.abort();
  }

  /** Takes the kernel out again: only from `loaded`, for the host kernel would take it from one that runs. */
  async unload(id: number): Promise<void> {
    const unloadOnce = async () => {
      if (this.status === 'loaded') await this.#host.calls.unload(this.name, id);
    };
    await unlessBusy(this.#host, unloadOnce, isBusy).catch((error) => {
      if (this.status === 'loaded') throw refused('unloading the kernel', error);
    });
  }

  async remove(): Promise<void> {
    const { name } = this;
    const difference = (): Change[] => (this.status === undefined ? [] : [{ target: 'remove', name }]);
    await converge(this.#files, this.#host, `removing the instance ${name}`, difference);
  }

  /** Ends it, and all that is of it. Nothing is there afterwards, or it rejects. */
  async end(): Promise<void> {
    const id = this.#files.instance(this.name)?.id;
    if (id === undefined) return;
    // By what says so its CPUs may not have stopped, nor can they be made to: nobody else may have them.
    if (this.status === 'failed')
      throw new PolykernelError('internal', `the host kernel says that the instance ${this.name} has failed`, {
        hint: 'What it had stays with it until this machine boots anew. The kernel log (dmesg) may have the reason.',
      });
    await this.halt(id, 0);
    await this.unload(id);
    await this.remove();
  }

  /** Exchanges CPUs of it, by what it has: back to `before` when that does not come off. The first stays. */
  async setCpus(cpus: readonly number[]): Promise<void> {
    const before = this.cpus();
    try {
      await this.#towards(cpus);
    } catch (error) {
      await this.#towards(before).catch(() => {});
      throw error;
    }
  }

  cpus(): readonly number[] {
    const found = this.#files.instance(this.name);
    if (found === undefined) throw new PolykernelError('kernel-died', 'the kernel has ended');
    return found.cpus;
  }

  #towards(cpus: readonly number[]): Promise<void> {
    const { name } = this;
    return converge(this.#files, this.#host, `moving CPUs of ${name}`, () => {
      const now = this.cpus();
      const removeCpus = now.filter((cpu) => !cpus.includes(cpu));
      const addCpus = cpus.filter((cpu) => !now.includes(cpu));
      return removeCpus.length + addCpus.length === 0 ? [] : [{ target: 'instance', name, removeCpus, addCpus }];
    });
  }
}

const unsigned = (): PolykernelError =>
  new PolykernelError('unavailable', 'this machine loads only kernels that are signed with a key that it trusts', {
    field: 'image',
    hint: 'Sign it and import it again: pk image sign vmlinux --key KEY --cert CERT -o vmlinux.signed',
  });

const sameOrder = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((cpu, index) => cpu === b[index]);
