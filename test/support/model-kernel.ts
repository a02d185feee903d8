/** A host kernel's control files in memory, with the kernel's own behaviour: what it refuses, what it makes of a value. */
import type { HostFiles } from '../../src/sys/host-files.ts';

export interface ModelKernelOptions {
  cpus: number;
  /** `list` is the CPUs the interrupt may fire on now. */
  interrupts: readonly { irq: number; list: string; managed: boolean }[];
  cgroups: 'v1' | 'v2' | 'none';
  /** v2: kinds of cpuset partition that really become valid, and those the kernel has never heard of. */
  partitions: { valid: readonly string[]; unknown: readonly string[] };
  /** Controllers that are on for the children of the root group already. */
  enabled: readonly string[];
  hugePages: { now: number; free: number; most: number };
  root: boolean;
}

const CGROUP = '/sys/fs/cgroup';
const HUGE = '/sys/devices/system/node/node0/hugepages/hugepages-2048kB';

/** Of version 1. */
const CPU_FILES = ['cpu.shares', 'cpu.cfs_quota_us', 'cpu.cfs_period_us'];

export class ModelKernel implements HostFiles {
  /** Content by path; a directory ends with a slash. */
  readonly files = new Map<string, string>();
  /** Groups in which something runs. */
  readonly busy = new Set<string>();
  readonly #options: ModelKernelOptions;

  constructor(options: ModelKernelOptions) {
    this.#options = options;
    for (const { irq, list } of options.interrupts) this.files.set(`/proc/irq/${irq}/smp_affinity_list`, list);
    this.files.set('/proc/irq/default_smp_affinity', (2 ** options.cpus - 1).toString(16));
    this.files.set(`${HUGE}/nr_hugepages`, String(options.hugePages.now));
    this.files.set(`${HUGE}/free_hugepages`, String(options.hugePages.free));
    if (options.cgroups === 'v2') {
      this.#addGroup(CGROUP, ['cgroup.procs']);
      this.files.set(`${CGROUP}/cgroup.controllers`, 'cpuset cpu memory');
      this.files.set(`${CGROUP}/cgroup.subtree_control`, options.enabled.join(' '));
    } else if (options.cgroups === 'v1') {
      for (const name of ['cpuset', 'cpu']) this.#addGroup(`${CGROUP}/${name}`, this.#filesOf(name));
      this.files.set(`${CGROUP}/cpuset/cpuset.cpus`, `0-${options.cpus - 1}`);
      this.files.set(`${CGROUP}/cpuset/cpuset.mems`, '0');
    }
  }

  snapshot(): Record<string, string> {
    return Object.fromEntries([...this.files].sort());
  }

  read(path: string): string | undefined {
    return this.files.get(path);
  }

  list(path: string): string[] {
    const below = [...this.files.keys()].filter((file) => file.startsWith(`${path}/`) && file !== `${path}/`);
    return [...new Set(below.map((file) => file.slice(path.length + 1).split('/')[0]!))].sort();
  }

  directories(path: string): string[] {
    return this.list(path).filter((name) => this.files.has(`${path}/${name}/`));
  }

  isWritable(): boolean {
    return this.#options.root;
  }

  makeDirectory(path: string): void {
    if (!this.#options.root) refuse('EACCES');
    if (this.files.has(`${path}/`)) return;
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (!this.files.has(`${parent}/`)) refuse('ENOENT');
    if (this.#options.cgroups === 'v1') {
      this.#addGroup(path, this.#filesOf(path.split('/')[4]!));
    } else {
      this.#addGroup(path, ['cgroup.procs', 'cgroup.threads', 'cgroup.type', 'cgroup.subtree_control']);
      for (const name of this.#controllersOf(parent)) this.#addController(path, name);
    }
  }

  removeDirectory(path: string): void {
    if (!this.files.has(`${path}/`)) return;
    if (this.busy.has(path) || this.directories(path).length > 0) refuse('EBUSY');
    for (const file of [...this.files.keys()]) if (file.startsWith(`${path}/`)) this.files.delete(file);
  }

  write(path: string, text: string): void {
    if (!this.#options.root) refuse('EACCES');
    if (!this.files.has(path)) refuse('ENOENT');
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (name === 'smp_affinity_list') this.#steer(path, text);
    else if (name === 'nr_hugepages')
      this.files.set(path, String(Math.min(Number(text), this.#options.hugePages.most)));
    else if (name === 'cgroup.subtree_control') this.#toggle(path.slice(0, -name.length - 1), text.split(' '));
    else if (name === 'cpuset.cpus.partition') this.#partition(path, text);
    else this.files.set(path, text.trim());
  }

  #steer(path: string, text: string): void {
    const irq = Number(path.split('/')[3]);
    if (this.#options.interrupts.find((each) => each.irq === irq)?.managed) refuse('EIO');
    this.files.set(path, text);
  }

  #partition(path: string, text: string): void {
    const { valid, unknown } = this.#options.partitions;
    if (unknown.includes(text)) refuse('EINVAL');
    const holds = text === 'member' || valid.includes(text);
    this.files.set(path, holds ? text : `${text} invalid (Cpu list in cpuset.cpus not exclusive)`);
  }

  #toggle(group: string, changes: readonly string[]): void {
    const enabled = new Set(this.#controllersOf(group));
    const children = this.directories(group).map((name) => `${group}/${name}`);
    for (const change of changes) {
      const name = change.slice(1);
      if (change.startsWith('+') && !enabled.has(name)) {
        enabled.add(name);
        for (const child of children) this.#addController(child, name);
      } else if (change.startsWith('-') && enabled.has(name)) {
        if (children.some((child) => this.#controllersOf(child).includes(name))) refuse('EBUSY');
        enabled.delete(name);
        for (const file of this.files.keys()) {
          if (children.some((child) => file.startsWith(`${child}/${name}.`))) this.files.delete(file);
        }
      }
    }
    this.files.set(`${group}/cgroup.subtree_control`, [...enabled].join(' '));
  }

  #controllersOf(group: string): string[] {
    return (this.files.get(`${group}/cgroup.subtree_control`) ?? '').split(' ').filter((name) => name !== '');
  }

  #addController(group: string, name: string): void {
    const files =
      name === 'cpuset'
        ? ['cpuset.cpus', 'cpuset.mems', 'cpuset.cpus.partition']
        : name === 'cpu'
          ? ['cpu.weight', 'cpu.max']
          : [];
    for (const file of files) this.files.set(`${group}/${file}`, file.endsWith('partition') ? 'member' : '');
  }

  #filesOf(hierarchy: string): string[] {
    return ['cgroup.procs', 'tasks', ...(hierarchy === 'cpuset' ? ['cpuset.cpus', 'cpuset.mems'] : CPU_FILES)];
  }

  #addGroup(path: string, files: readonly string[]): void {
    this.files.set(`${path}/`, '');
    for (const file of files) this.files.set(`${path}/${file}`, '');
  }
}

function refuse(code: string): never {
  throw Object.assign(new Error(`${code}: refused`), { code });
}
