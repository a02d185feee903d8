/** Baselines and overlays as the kernel takes them: what it reads in them, in which order, and where it stops. */
import { decode } from '../../../src/devicetree/index.ts';
import { Errno } from './fuse.ts';
import type { KernelModel } from './model.ts';

interface Node {
  name: string;
  properties: readonly { name: string; value: Uint8Array }[];
  children: readonly Node[];
}

export interface Transaction {
  id: number;
  status: 'applied' | 'failed' | 'removed';
  target: string;
  dtbo: Buffer;
  reason: string;
}

const child = (node: Node | undefined, name: string) => node?.children.find((each) => each.name === name);
const value = (node: Node | undefined, name: string): Buffer | undefined => {
  const found = node?.properties.find((each) => each.name === name)?.value;
  return found && Buffer.from(found.buffer, found.byteOffset, found.byteLength);
};
const text = (node: Node, name: string): string | undefined => value(node, name)?.toString('latin1').replace(/\0$/, '');
const cell = (node: Node, name: string): number | undefined => {
  const bytes = value(node, name);
  return bytes?.length === 4 ? bytes.readUInt32BE() : undefined;
};
function wide(node: Node | undefined, name: string): number[] | undefined {
  const bytes = value(node, name);
  if (bytes === undefined) return undefined;
  if (bytes.length % 8 !== 0) throw new Errno('EINVAL');
  return Array.from({ length: bytes.length / 8 }, (_, index) => Number(bytes.readBigUInt64BE(8 * index)));
}

function parsed(blob: Buffer): Node {
  if (blob.length < 40 || blob.readUInt32BE() !== 0xd00dfeed || blob.readUInt32BE(4) !== blob.length)
    throw new Errno('EINVAL');
  try {
    return decode(blob).root;
  } catch {
    throw new Errno('EINVAL');
  }
}

/** Not all or nothing: what was done before a failure stays. */
export function applyBaseline(model: KernelModel, blob: Buffer): void {
  const root = parsed(blob);
  // No memory was given to it by the module that it wants it from.
  if (model.machine.format === 'first') throw new Errno('ENODEV');
  if ((child(root, 'instances')?.children.length ?? 0) > 0) throw new Errno('EINVAL');
  const resources = child(root, 'resources');
  const cpus = wide(resources, 'cpus');
  if (resources === undefined || cpus === undefined || cpus.length === 0) throw new Errno('EINVAL');
  const memory = resources.children
    .filter(({ name }) => name.startsWith('memory@'))
    .map((each) => {
      const [bytes] = wide(each, 'size') ?? [];
      const node = cell(each, 'numa-node-id');
      if (!bytes || bytes % 4096 !== 0) throw new Errno('EINVAL');
      if (node !== undefined && !model.machine.memory.some((at) => at.node === node)) throw new Errno('EINVAL');
      return { bytes, node };
    });
  if (memory.length === 0) throw new Errno('EINVAL');
  if (model.hasPool) throw new Errno('EBUSY');
  for (const cpu of cpus) if (!model.machine.cpus.some(({ apic }) => apic === cpu)) throw new Errno('ENODEV');
  for (const { bytes, node } of memory) model.addChunk(bytes, node);
  for (const cpu of cpus) {
    if (model.fails('item')) throw new Errno('EBUSY');
    model.takeCpuFromHost(cpu);
  }
}

/** The transaction as it ended. Throws what a write is refused with. */
export function applyOverlay(model: KernelModel, id: number, blob: Buffer): Transaction {
  if (blob.length < 40 || blob.readUInt32BE() !== 0xd00dfeed) throw new Errno('EINVAL');
  const transaction: Transaction = { id, status: 'applied', target: 'unknown', dtbo: blob, reason: '' };
  try {
    // The length that the header says is believed: what was not handed over is missing then.
    const fragments = numbered(parsed(blob));
    transaction.target = text(fragments[0]!, 'target-path') ?? 'unknown';
    for (const fragment of fragments) applyFragment(model, fragment);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    transaction.status = 'failed';
    transaction.reason = error.name;
  }
  return transaction;
}

function numbered(root: Node): Node[] {
  const fragments = root.children.filter(({ name }) => name.startsWith('fragment'));
  if (fragments.length === 0) throw new Errno('EINVAL');
  const number = ({ name }: Node) => {
    const [, hex] = /^fragment@([0-9a-f]+)$/i.exec(name) ?? [];
    if (hex === undefined) throw new Errno('EINVAL');
    return Number.parseInt(hex, 16);
  };
  return [...fragments].sort((a, b) => number(a) - number(b));
}

const NAMESPACE = ['instance-create', 'instance-remove'];
const OF_POOL = ['cpu-remove', 'device-remove', 'memory-remove', 'memory-add', 'cpu-add', 'device-add'];
const OF_INSTANCE = ['memory-remove', 'memory-add', 'cpu-remove', 'cpu-add', 'device-remove', 'device-add'];

function applyFragment(model: KernelModel, fragment: Node): void {
  const body = child(fragment, '__overlay__');
  const target = text(fragment, 'target-path');
  if (body === undefined || target === undefined || model.machine.format === 'first') throw new Errno('EINVAL');
  if (target === '/instances') {
    if (body.children.some(({ name }) => !NAMESPACE.includes(name))) throw new Errno('EINVAL');
    for (const operation of body.children) namespace(model, operation);
    return;
  }
  const [, name] = /^\/instances\/([^/]+)$/.exec(target) ?? [];
  if (name === undefined && target !== '/resources') throw new Errno('EINVAL');
  if (name === undefined && !model.hasPool) throw new Errno('EPERM');
  if (name !== undefined) model.instance(name);
  for (const operation of name === undefined ? OF_POOL : OF_INSTANCE) {
    for (const item of child(body, operation)?.children ?? []) applyItem(model, name, operation, item);
  }
}

function namespace(model: KernelModel, operation: Node): void {
  const name = text(operation, 'instance-name') ?? '';
  if (model.fails('item')) throw new Errno('EBUSY');
  if (operation.name === 'instance-remove') return void model.remove(name);
  const resources = child(operation, 'resources');
  if (resources === undefined || value(resources, 'device-names') !== undefined) throw new Errno('EINVAL');
  const nodes = value(resources, 'numa-nodes');
  model.create({
    name,
    id: cell(operation, 'id'),
    cpus: wide(resources, 'cpus') ?? [],
    bytes: wide(resources, 'memory-bytes')?.[0] ?? 0,
    node: nodes === undefined ? undefined : nodes.readUInt32BE(),
  });
}

function applyItem(model: KernelModel, name: string | undefined, operation: string, item: Node): void {
  const [kind, verb] = operation.split('-') as [string, string];
  if (!item.name.startsWith({ cpu: 'cpu@', memory: 'memory@', device: 'pci@' }[kind]!)) return;
  if (model.fails('item')) throw new Errno('EBUSY');
  if (kind === 'device') {
    const address = text(item, 'pci-id');
    if (address === undefined) throw new Errno('EINVAL');
    if (name === undefined)
      return void (verb === 'add' ? model.takeFunctionFromHost(address) : model.giveFunctionToHost(address));
    const owner = model.instance(name);
    return void (verb === 'add' ? model.giveFunction(owner, address) : model.takeFunction(owner, address));
  }
  if (kind === 'cpu') {
    const cpu = cell(item, 'reg') ?? wide(item, 'reg')?.[0];
    if (cpu === undefined) throw new Errno('EINVAL');
    if (name === undefined) return void (verb === 'add' ? model.takeCpuFromHost(cpu) : model.giveCpuToHost(cpu));
    const instance = model.instance(name);
    return void (verb === 'add' ? model.giveCpu(instance, cpu) : model.takeCpu(instance, cpu));
  }
  const [base, bytes] = wide(item, 'reg') ?? [];
  if (name === undefined && verb === 'add') {
    if (base !== undefined) throw new Errno('EINVAL');
    return void model.addChunk(wide(item, 'size')?.[0] ?? 0, cell(item, 'numa-node-id'));
  }
  if (base === undefined || bytes === undefined) throw new Errno('EINVAL');
  if (name === undefined) return void model.removeChunk({ base, bytes });
  const instance = model.instance(name);
  if (verb === 'add') model.giveMemory(instance, { base, bytes });
  else model.takeMemory(instance, { base, bytes });
}

/** The opposite of all that the blob says, from its end, whatever of it was done. */
export function rollBack(model: KernelModel, { dtbo }: Transaction): void {
  for (const fragment of numbered(parsed(dtbo)).reverse()) {
    const name = /^\/instances\/([^/]+)$/.exec(text(fragment, 'target-path') ?? '')?.[1];
    for (const operation of [...(child(fragment, '__overlay__')?.children ?? [])].reverse()) {
      if (operation.name === 'instance-create') model.remove(text(operation, 'instance-name') ?? '');
      const opposite = { 'cpu-add': 'cpu-remove', 'cpu-remove': 'cpu-add' }[operation.name];
      if (opposite !== undefined)
        for (const item of [...operation.children].reverse()) applyItem(model, name, opposite, item);
    }
  }
}
