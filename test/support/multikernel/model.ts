/**
 * The state of a kernel with the multikernel patches, and what its interface does to it: written from a description of that interface, not
 * from the driver, of whose code it uses none but the codec of device trees.
 */
import { Errno } from './fuse.ts';
import { firstFit, lastFit, overlaps, type Range, within } from './memory.ts';
import type { FaultPoint, Faults, ModelMachine, Switches } from './switches.ts';

export interface Chunk extends Range {
  node: number;
}

export interface Instance {
  id: number;
  name: string;
  cpus: number[];
  functions: string[];
  regions: (Range & { node: number })[];
  /** What its kernel uses while it runs, whatever is booked for it. */
  used: Range[];
  status: 'ready' | 'loaded' | 'active' | 'failed';
  image: { kernel: string; initramfs: string; commandLine: string } | undefined;
  /** Left by a load that failed. */
  dangling: boolean;
  /** The pool's CPUs when it was booted: no others can come. */
  bootPool: ReadonlySet<number>;
  /** Forced halts until its CPUs have parked. */
  unparked: number;
}

/** Besides an instance's own memory: park area, page tables, control blocks. */
const SLACK = 96 * 1024;
const BLOCK = 128 * 2 ** 20;
const PAGE = 4096;

export class KernelModel {
  readonly machine: ModelMachine;
  switches: Switches;
  faults: Faults = {};
  readonly online: Set<number>;
  readonly poolCpus = new Set<number>();
  /** By address: of the pool, lent ones among them. */
  readonly poolFunctions = new Set<string>();
  chunks: Chunk[] = [];
  readonly instances = new Map<string, Instance>();
  #random = 1;

  constructor(machine: ModelMachine, switches: Switches) {
    this.machine = machine;
    this.switches = switches;
    this.online = new Set(machine.cpus.map(({ apic }) => apic));
  }

  seed(seed: number): void {
    this.#random = seed >>> 0 || 1;
  }

  /** Whether something goes wrong here now. */
  fails(point: FaultPoint): boolean {
    const among = this.faults[point];
    if (among === undefined) return false;
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return (this.#random >>> 8) % among === 0;
  }

  get hasPool(): boolean {
    return this.poolCpus.size > 0 || this.chunks.length > 0 || this.poolFunctions.size > 0;
  }

  freeCpus(): number[] {
    const lent = new Set([...this.instances.values()].flatMap(({ cpus }) => cpus));
    return [...this.poolCpus].filter((cpu) => !lent.has(cpu));
  }

  freeFunctions(): string[] {
    const lent = new Set([...this.instances.values()].flatMap(({ functions }) => functions));
    return [...this.poolFunctions].filter((address) => !lent.has(address));
  }

  takeFunctionFromHost(address: string): void {
    if (!this.machine.functions.some((each) => each.address === address)) throw new Errno('ENODEV');
    if (this.poolFunctions.has(address)) throw new Errno('EEXIST');
    this.poolFunctions.add(address);
  }

  giveFunctionToHost(address: string): void {
    if (!this.poolFunctions.has(address)) throw new Errno('ENOENT');
    if (!this.freeFunctions().includes(address)) throw new Errno('EBUSY');
    this.poolFunctions.delete(address);
  }

  giveFunction(instance: Instance, address: string): void {
    if (!this.freeFunctions().includes(address)) throw new Errno('ENOENT');
    instance.functions.push(address);
  }

  takeFunction(instance: Instance, address: string): void {
    const at = instance.functions.indexOf(address);
    if (at < 0) throw new Errno('ENOENT');
    instance.functions.splice(at, 1);
  }

  instance(name: string): Instance {
    const found = this.instances.get(name);
    if (found === undefined) throw new Errno('ENOENT');
    return found;
  }

  byId(id: number): Instance | undefined {
    return [...this.instances.values()].find((each) => each.id === id);
  }

  // The pool

  takeCpuFromHost(cpu: number): void {
    if (!this.machine.cpus.some(({ apic }) => apic === cpu)) throw new Errno('ENODEV');
    // The boot CPU never goes; one that is not online cannot join.
    if (cpu === this.machine.cpus[0]!.apic || !this.online.has(cpu)) throw new Errno('EBUSY');
    this.online.delete(cpu);
    this.poolCpus.add(cpu);
  }

  giveCpuToHost(cpu: number): void {
    if (!this.poolCpus.has(cpu)) throw new Errno('ENOENT');
    if (!this.freeCpus().includes(cpu)) throw new Errno('EBUSY');
    this.poolCpus.delete(cpu);
    this.online.add(cpu);
  }

  addChunk(bytes: number, node: number | undefined): void {
    if (bytes <= 0 || bytes % PAGE !== 0) throw new Errno('EINVAL');
    for (const whole of this.machine.memory) {
      if (node !== undefined && whole.node !== node) continue;
      const base = firstFit(whole, this.chunks, bytes, 2 * 2 ** 20);
      if (base === undefined) continue;
      this.chunks.push({ base, bytes, node: whole.node });
      return;
    }
    throw new Errno('ENOMEM');
  }

  removeChunk(range: Range): void {
    const at = this.chunks.findIndex(({ base, bytes }) => base === range.base && bytes === range.bytes);
    if (at < 0) throw new Errno('ENOENT');
    if (this.regions().some((region) => overlaps(region, this.chunks[at]!))) throw new Errno('EBUSY');
    this.chunks.splice(at, 1);
  }

  regions(): Range[] {
    return [...this.instances.values()].flatMap(({ regions }) => regions);
  }

  #allocate(bytes: number, node: number | undefined, otherEnd = false): Range & { node: number } {
    for (const chunk of this.chunks) {
      if (node !== undefined && chunk.node !== node) continue;
      // The slack of each chunk lies at its beginning.
      const usable = { base: chunk.base + SLACK, bytes: chunk.bytes - SLACK };
      const base = (this.switches.fillsFromTop !== otherEnd ? lastFit : firstFit)(usable, this.regions(), bytes);
      if (base !== undefined) return { base, bytes, node: chunk.node };
    }
    throw new Errno('ENOMEM');
  }

  // Instances

  create(of: {
    name: string;
    id?: number | undefined;
    cpus: number[];
    bytes: number;
    node?: number | undefined;
  }): void {
    if (of.name === '' || of.name.includes('/')) throw new Errno('EINVAL');
    if (of.id === 0) throw new Errno('ENOMEM');
    if (this.instances.has(of.name) || (of.id !== undefined && this.byId(of.id))) throw new Errno('EEXIST');
    if (of.bytes % PAGE !== 0) throw new Errno('EINVAL');
    let id = of.id ?? this.machine.firstId;
    while (this.byId(id)) id++;
    const regions = of.bytes > 0 ? [this.#allocate(of.bytes, of.node)] : [];
    // A shortage of CPUs is told to the log alone.
    const free = new Set(this.freeCpus());
    const cpus = of.cpus.filter((cpu) => free.has(cpu) && !this.fails('reserve'));
    const { name } = of;
    const rest = {
      functions: [],
      image: undefined,
      used: [],
      dangling: false,
      bootPool: new Set<number>(),
      unparked: 0,
    };
    this.instances.set(name, { id, name, cpus, regions, status: 'ready', ...rest });
  }

  remove(name: string): void {
    if (this.instance(name).status !== 'ready') throw new Errno('EBUSY');
    this.instances.delete(name);
  }

  giveCpu(instance: Instance, cpu: number): void {
    if (!this.freeCpus().includes(cpu)) throw new Errno('EBUSY');
    if (instance.status === 'active' && !instance.bootPool.has(cpu)) throw new Errno('ENODEV');
    instance.cpus.push(cpu);
  }

  takeCpu(instance: Instance, cpu: number): void {
    const at = instance.cpus.indexOf(cpu);
    if (at < 0) throw new Errno('ENOENT');
    if (instance.status === 'active' && at === 0) throw new Errno('EINVAL');
    instance.cpus.splice(at, 1);
  }

  giveMemory(instance: Instance, { base, bytes }: Range): void {
    if (bytes <= 0 || bytes % PAGE !== 0) throw new Errno('EINVAL');
    if (instance.status !== 'active') return void instance.regions.push(this.#allocate(bytes, undefined));
    if (base % BLOCK !== 0 || bytes % BLOCK !== 0) throw new Errno('EINVAL');
    const chunk = this.chunks.find((each) => within({ base, bytes }, each));
    if (chunk === undefined) throw new Errno('EINVAL');
    // What it has of it already it cannot be given once more.
    if (instance.used.some((each) => overlaps(each, { base, bytes }))) throw new Errno('EEXIST');
    if (!this.switches.bookedElsewhere && this.regions().some((each) => overlaps(each, { base, bytes })))
      throw new Errno('EBUSY');
    instance.used.push({ base, bytes });
    if (this.switches.bookedElsewhere) {
      // Not where it was a moment ago, should somebody else have been quicker.
      instance.regions.push(this.#allocate(bytes, undefined, this.fails('elsewhere')));
      return;
    }
    instance.regions.push({ base, bytes, node: chunk.node });
  }

  takeMemory(instance: Instance, range: Range): void {
    const at = instance.regions.findIndex(({ base, bytes }) => base === range.base && bytes === range.bytes);
    if (at < 0) throw new Errno('ENOENT');
    if (at === 0 && instance.image !== undefined) throw new Errno('EBUSY');
    if (instance.status === 'active') {
      // What it uses it does not let go of.
      if (this.fails('offline')) throw new Errno('EBUSY');
      const used = instance.used.findIndex(({ base, bytes }) => base === range.base && bytes === range.bytes);
      if (used < 0) throw new Errno('EINVAL');
      instance.used.splice(used, 1);
    }
    instance.regions.splice(at, 1);
  }
}
