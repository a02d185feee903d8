/** How many virtual functions there are: made once at the wanted number, kept in mind, and made again after a reboot. */
import { Claims } from '../core/claims.ts';
import type { Records } from '../core/table.ts';
import type { Clock } from '../sys/clock.ts';
import { PolykernelError } from '../sys/errors.ts';
import { normalizePciAddress } from '../topology/pci-address.ts';
import type { CountReport, PlannedChange } from './contract.ts';
import { countError } from './count-errors.ts';
import { DEVICES, type SeenFunction, seeAll, seeFunction, virtualFunctions } from './functions.ts';
import type { CountRecord } from './record.ts';
import { type Sysfs, SysfsFault } from './sysfs.ts';
import { until, within } from './waits.ts';

/** In milliseconds. */
export interface Patience {
  /** Of a change of the number: a driver that probes each of them takes minutes. */
  change: number;
  /** For links to virtual functions, once there are to be some. */
  links: number;
  /** For a driver to be bound. */
  bind: number;
  /** Of a reset: 100 ms, and then as long as the function is not ready, which the kernel bounds at 60 s. */
  reset: number;
}

export const PATIENCE: Patience = { change: 600_000, links: 60_000, bind: 30_000, reset: 90_000 };

export interface CountsOptions {
  sysfs: Sysfs;
  clock: Clock;
  records: Records<CountRecord>;
  patience: Patience;
  /** Throws `conflict` when one of these virtual functions is somebody's, naming whose. */
  checkUnused(physicalFunction: string, virtual: readonly string[]): void;
  /** Takes the right to change functions of this machine. Throws `conflict` when another daemon has it. */
  takeMachine(): void;
}

/** Class and subclass of NVMe controllers. */
const NVME = 0x0108;

type Told = (text: string) => void;

/** INVARIANT: of one physical function the number is changed by one at a time, until the kernel has answered. */
export class Counts {
  readonly #options: CountsOptions;
  readonly #claims = new Claims();
  readonly #wanted = new Map<string, number>();

  constructor(options: CountsOptions) {
    this.#options = options;
  }

  /** Reads what is wanted. `complain` is told of what cannot be read. */
  load(complain: (id: string, name: string, error: unknown) => void): void {
    for (const { id, count } of this.#options.records.all(complain)) this.#wanted.set(id, count);
  }

  get isEmpty(): boolean {
    return this.#wanted.size === 0;
  }

  /** Those of which a number is wanted. */
  get functions(): string[] {
    return [...this.#wanted.keys()];
  }

  wanted(address: string): number | null {
    return this.#wanted.get(address) ?? null;
  }

  /**
   * Makes as many virtual functions of one function, 0 for none, and has it so after each start of the machine too. Others than
   * there were are made anew. Rejects with `not-found`, `invalid`, `conflict` while one is in use, and what countError() gives.
   */
  async set(text: string, count: number, progress: Told, signal: AbortSignal): Promise<CountReport> {
    const address = normalizePciAddress(text, 'address');
    const giveBack = await this.#claims.take([`function ${address}`], 'refuse', signal);
    let atWork: Promise<unknown> = Promise.resolve();
    try {
      const seen = await this.#physical(address, count);
      const virtual = [...(await virtualFunctions(this.#options.sysfs, address)).values()];
      if (virtual.length !== count) this.#options.checkUnused(address, virtual);
      this.#options.takeMachine();
      const before = this.#wanted.get(address);
      this.#want(address, count === 0 ? undefined : count);
      const write = (number: number) => {
        const written = this.#write(address, number);
        atWork = written.catch(() => {});
        return within(
          written,
          this.#options.patience.change,
          this.#options.clock,
          `${address}: ${number} virtual functions`,
        );
      };
      try {
        const notes = await this.#change(seen, virtual.length, count, { progress, write });
        return { address, before: virtual.length, now: await this.#count(address), notes };
      } catch (error) {
        this.#want(address, before);
        throw error;
      }
    } finally {
      // A change that is taking too long is not over: nobody else may begin one.
      void atWork.then(giveBack);
    }
  }

  /** What would make all as wanted. */
  async plan(): Promise<PlannedChange[]> {
    const changes = await Promise.all([...this.#wanted].map(([address, wanted]) => this.#planOne(address, wanted)));
    return changes.flatMap((change) => change ?? []);
  }

  /** Makes again what a reboot took away. Never rejects: `complain` is told. */
  async restore(signal: AbortSignal, complain: (doing: string, error: unknown) => void, tell: Told): Promise<void> {
    // The kernel makes those of several functions one after the other anyhow.
    for (const { address, wanted, obstacle } of await this.plan().catch(() => [])) {
      if (obstacle !== null || signal.aborted) continue;
      try {
        const { now } = await this.set(address, wanted, () => {}, signal);
        tell(`${address} has its ${now} virtual functions again`);
      } catch (error) {
        // It stays wanted.
        this.#want(address, wanted);
        complain(`making the ${wanted} virtual functions of ${address}`, error);
      }
    }
  }

  async #planOne(address: string, wanted: number): Promise<PlannedChange | undefined> {
    const seen = await seeFunction(this.#options.sysfs, address);
    const now = seen === undefined ? 0 : await this.#count(address);
    if (now === wanted) return undefined;
    const text = `${address}: make ${wanted} virtual functions${now > 0 ? `, and take its ${now} away before` : ''}`;
    const obstacle =
      seen === undefined
        ? 'there is no such function'
        : seen.most < wanted
          ? `it can have ${seen.most} at most`
          : now > 0
            ? 'others made those that are there: enable it again to replace them'
            : null;
    return { address, now, wanted, text, obstacle };
  }

  async #physical(address: string, count: number): Promise<SeenFunction> {
    const seen = await seeFunction(this.#options.sysfs, address);
    if (seen === undefined) throw noFunction(address);
    if (seen.most === 0) {
      const others = [...(await seeAll(this.#options.sysfs)).values()].filter(({ most }) => most > 0);
      throw new PolykernelError('unsupported', `${address} has no virtual functions (no SR-IOV)`, {
        field: 'address',
        value: address,
        hint:
          others.length === 0
            ? 'No function of this machine has any.'
            : `Those that have: ${others
                .slice(0, 8)
                .map((each) => each.address)
                .join(', ')}.`,
      });
    }
    if (count > seen.most) {
      throw new PolykernelError('invalid', `${address} can have ${seen.most} virtual functions, not ${count}`, {
        field: '--vfs',
        value: count,
        hint: 'Where a card can have more, its firmware must be told so by a tool of its vendor, and restarted.',
      });
    }
    return seen;
  }

  async #change(
    { address, class: kind }: SeenFunction,
    before: number,
    count: number,
    { progress, write }: { progress: Told; write(number: number): Promise<void> },
  ): Promise<string[]> {
    if (before === count) return [`there were ${count} already`];
    const { sysfs } = this.#options;
    if (before > 0) {
      progress(`${address}: taking ${before} virtual functions away (1 s or more)`);
      await write(0);
      await this.#untilLinked(address, 0, progress);
      if (count === 0) return [];
    }
    const [autoprobe] = await sysfs.read(`${DEVICES}/${address}`, ['sriov_drivers_autoprobe']);
    // Else the host's drivers would take each of them, which costs most of the time, and would have to give it back.
    if (autoprobe === '1') await sysfs.write(`${DEVICES}/${address}/sriov_drivers_autoprobe`, '0');
    progress(`${address}: making ${count} virtual functions`);
    try {
      await write(count);
    } catch (error) {
      if (before > 0) await write(before).catch(() => {});
      throw error;
    }
    const made = Number(await sysfs.slowRead(`${DEVICES}/${address}/sriov_numvfs`));
    await this.#untilLinked(address, made, progress);
    const notes = made === count ? [] : [`its driver made ${made} and not ${count}: \`dmesg\` may say why`];
    if (kind >> 8 === NVME) notes.push(...(await this.#setOnline(address, made, progress)));
    return notes;
  }

  /** Virtual NVMe controllers have neither queues nor interrupts at first, and are offline; nobody could use them. */
  async #setOnline(address: string, count: number, progress: Told): Promise<string[]> {
    const { sysfs, clock, patience } = this.#options;
    const [controller] = (await sysfs.list(`${DEVICES}/${address}/nvme`)).filter((name) => /^nvme\d+$/.test(name));
    if (controller === undefined) return ['its NVMe controller does not run: the virtual ones are offline'];
    progress(`${address}: giving ${count} controllers queues and interrupts`);
    try {
      const work = sysfs.secondariesOnline(controller, count);
      const online = await within(work, patience.change, clock, `setting controllers of ${address} online`);
      return online === count ? [] : [`${online} of ${count} controllers are online`];
    } catch (error) {
      return [
        `its virtual controllers are offline: ${error instanceof SysfsFault ? `the kernel says ${error.code}` : (error as Error).message}`,
      ];
    }
  }

  async #untilLinked(address: string, count: number, progress: Told): Promise<void> {
    const { sysfs, clock, patience } = this.#options;
    let last = -1;
    const all = await until(
      async () => {
        const found = await this.#count(address);
        if (found !== last && found !== count) progress(`${address}: ${found} of ${count} are there`);
        last = found;
        return found === count ? true : undefined;
      },
      patience.links,
      clock,
    );
    if (all) return;
    throw new PolykernelError(
      'internal',
      `${address} is to have ${count} virtual functions, and after ${Math.round(patience.links / 1000)} s ${(await virtualFunctions(sysfs, address)).size} are there`,
      { hint: 'See `dmesg` for those that failed.' },
    );
  }

  async #count(address: string): Promise<number> {
    return (await virtualFunctions(this.#options.sysfs, address)).size;
  }

  async #write(address: string, count: number): Promise<void> {
    try {
      await this.#options.sysfs.write(`${DEVICES}/${address}/sriov_numvfs`, String(count));
    } catch (error) {
      throw error instanceof SysfsFault ? countError(address, count, error.code, error) : error;
    }
  }

  #want(address: string, count: number | undefined): void {
    if (count === undefined) {
      this.#options.records.delete(address);
      this.#wanted.delete(address);
    } else {
      this.#options.records.put({ id: address, count });
      this.#wanted.set(address, count);
    }
  }
}

export const noFunction = (address: string): PolykernelError =>
  new PolykernelError('not-found', `there is no PCI function ${address}`, {
    field: 'address',
    value: address,
    hint: '`pk pci ls` lists them.',
  });
