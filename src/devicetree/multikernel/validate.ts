/**
 * What a kernel with the multikernel patches would refuse in a tree, or take otherwise than meant, without asking one: baselines and
 * overlays by the rules of its baseline.c and overlay.c.
 */
import { encode } from '../blob/encode.ts';
import { type DeviceNode, type DeviceTree, propertyOf, textOf } from '../tree.ts';
import { cellOf, childOf, numbersOf, wordOf } from './cells.ts';
import { OVERLAY_BYTES } from './overlay.ts';
import { INSTANCE_NAME } from './values.ts';

/** `error`: the kernel refuses it, with what is in brackets. `warning`: it takes it, and does less or something else. */
export interface Finding {
  readonly kind: 'error' | 'warning';
  readonly path: string;
  readonly problem: string;
}

const PAGE = 4096;
const PCI_ADDRESS = /^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/i;
const MOST_ALIAS = 31;

/** What the tree is taken for, and all that is wrong with it. */
export function validateMultikernel(tree: DeviceTree): { what: 'baseline' | 'overlay'; findings: Finding[] } {
  const isOverlay = tree.root.children.some(({ name }) => name.startsWith('fragment'));
  const findings: Finding[] = [];
  const say = (kind: Finding['kind']) => (path: string, problem: string) => findings.push({ kind, path, problem });
  const report = { error: say('error'), warning: say('warning') };
  if (isOverlay) overlay(tree, report);
  else baseline(tree.root, report);
  return { what: isOverlay ? 'overlay' : 'baseline', findings };
}

type Report = Record<Finding['kind'], (path: string, problem: string) => void>;

function baseline(root: DeviceNode, report: Report): void {
  const { error, warning } = report;
  if ((childOf(root, 'instances')?.children.length ?? 0) > 0)
    error('/instances', 'instances are made by overlays and not by the baseline (EINVAL)');
  const resources = childOf(root, 'resources');
  if (resources === undefined) return void error('/', 'there is no node resources (EINVAL)');
  const cpus = numbersOf(resources, 'cpus');
  if (cpus === undefined || cpus.length === 0)
    error('/resources', 'cpus has to be a list of one or more 64-bit numbers (EINVAL)');
  if (cpus?.includes(0))
    warning('/resources', 'the CPU with the physical id 0 boots the machine and cannot be given up');
  if (cpus !== undefined && new Set(cpus).size < cpus.length) error('/resources', 'cpus names a CPU twice (EBUSY)');
  const memory = resources.children.filter(({ name }) => name.startsWith('memory@'));
  if (memory.length === 0) {
    const first = propertyOf(resources, 'memory-base') !== undefined ? ', as kernels before August 2026 had it' : '';
    error('/resources', `there is no node memory@N with a size${first} (EINVAL)`);
  }
  for (const each of memory) {
    const at = `/resources/${each.name}`;
    size(each, at, report);
    if (propertyOf(each, 'numa-node-id') !== undefined && cellOf(each, 'numa-node-id') === undefined)
      error(at, 'numa-node-id has to be one 32-bit number (EINVAL)');
    if (propertyOf(each, 'reg') !== undefined) warning(at, 'the kernel chooses where memory is; reg is not looked at');
  }
  const devices = childOf(resources, 'devices')?.children ?? [];
  for (const device of devices) baselineDevice(device, report);
  aliases(root, devices, report);
}

function size(memory: DeviceNode, at: string, { error }: Report): void {
  const [bytes, ...more] = numbersOf(memory, 'size') ?? [];
  if (bytes === undefined || more.length > 0) error(at, 'size has to be one 64-bit number (EINVAL)');
  else if (bytes === 0 || bytes % PAGE !== 0)
    error(at, `size is ${bytes}, not one or more pages of ${PAGE} bytes (EINVAL)`);
}

function baselineDevice(device: DeviceNode, { error, warning }: Report): void {
  const at = `/resources/devices/${device.name}`;
  const type = wordOf(device, 'device-type');
  if (type === undefined) warning(at, 'without a device-type, pci or platform, it is passed over');
  else if (type !== 'pci' && type !== 'platform') warning(at, `of device-type ${type} it is passed over`);
  if (type !== 'pci') return;
  if (!PCI_ADDRESS.test(wordOf(device, 'pci-id') ?? '')) error(at, 'pci-id has to be like 0000:09:00.0 (EINVAL)');
  for (const id of ['vendor-id', 'device-id'])
    if (cellOf(device, id) === undefined) error(at, `${id} has to be one 32-bit number (EINVAL)`);
}

function aliases(root: DeviceNode, devices: readonly DeviceNode[], { warning }: Report): void {
  const paths = new Set(devices.map(({ name }) => `/resources/devices/${name}`));
  for (const { name, value } of childOf(root, 'aliases')?.properties ?? []) {
    if (name.length > MOST_ALIAS) warning('/aliases', `${name} is longer than ${MOST_ALIAS} characters`);
    if (!paths.has(textOf(value) ?? '')) warning('/aliases', `${name} is not the path of a device of this tree`);
  }
}

function overlay(tree: DeviceTree, report: Report): void {
  const { error } = report;
  const { length } = encode(tree);
  if (length > OVERLAY_BYTES)
    error(
      '/',
      `it takes ${length} bytes as a blob, and one write hands over ${OVERLAY_BYTES}: make several of it (EINVAL)`,
    );
  for (const fragment of tree.root.children) {
    const at = `/${fragment.name}`;
    if (!/^fragment@[0-9a-f]+$/i.test(fragment.name))
      error(at, 'is not called fragment@ and a hexadecimal number (EINVAL)');
    const body = childOf(fragment, '__overlay__');
    if (body === undefined) error(at, 'there is no node __overlay__ (EINVAL)');
    const target = wordOf(fragment, 'target-path');
    if (target === undefined) error(at, 'there is no target-path; kernels before August 2026 had none (EINVAL)');
    if (body !== undefined && target !== undefined) operations(body, target, `${at}/__overlay__`, report);
  }
}

const ITEMS = ['cpu-add', 'cpu-remove', 'memory-add', 'memory-remove', 'device-add', 'device-remove'];

function operations(body: DeviceNode, target: string, at: string, report: Report): void {
  const { error, warning } = report;
  const instance = /^\/instances\/([^/]+)$/.exec(target)?.[1];
  const known = target === '/instances' ? ['instance-create', 'instance-remove'] : ITEMS;
  if (target !== '/resources' && target !== '/instances' && instance === undefined)
    return void error(at, `target-path is ${target}, neither /resources, nor /instances, nor one of these (EINVAL)`);
  for (const each of body.children) {
    const path = `${at}/${each.name}`;
    if (!known.includes(each.name)) {
      if (target === '/instances') error(path, 'only instance-create and instance-remove are done there (EINVAL)');
      else warning(path, 'is no operation there, and passed over');
    } else if (each.name === 'instance-create') creation(each, path, report);
    else if (each.name === 'instance-remove') {
      if (!wordOf(each, 'instance-name')) error(path, 'instance-name is missing (EINVAL)');
    } else items(each, target === '/resources', path, report);
  }
}

function creation(create: DeviceNode, at: string, { error, warning }: Report): void {
  const name = wordOf(create, 'instance-name');
  if (!name || name.includes('/')) error(at, 'instance-name is missing or has a slash in it (EINVAL)');
  else if (!INSTANCE_NAME.test(name))
    warning(at, `instance-name ${name} becomes the name of a directory: keep to letters, digits and ._-`);
  if (cellOf(create, 'id') === 0) error(at, 'id is 0, which no instance can have (ENOMEM)');
  if ((cellOf(create, 'id') ?? 0) > 2047) warning(at, 'an instance with an id above 2047 cannot be given a kernel');
  const resources = childOf(create, 'resources');
  if (resources === undefined) return void error(at, 'there is no node resources (EINVAL)');
  if (propertyOf(resources, 'device-names') !== undefined)
    error(`${at}/resources`, 'device-names was of kernels before August 2026: use device-add (EINVAL)');
  const cpus = propertyOf(resources, 'cpus');
  if (cpus === undefined) warning(`${at}/resources`, 'without cpus it cannot be booted');
  else if (numbersOf(resources, 'cpus') === undefined)
    error(`${at}/resources`, 'cpus has to be a list of 64-bit numbers (EINVAL)');
  if (propertyOf(resources, 'memory-base') !== undefined)
    warning(`${at}/resources`, 'the kernel chooses where memory is; memory-base is not looked at');
  const bytes = propertyOf(resources, 'memory-bytes');
  const [number, ...more] = numbersOf(resources, 'memory-bytes') ?? [];
  if (bytes !== undefined && (!number || number % PAGE !== 0 || more.length > 0))
    error(`${at}/resources`, `memory-bytes has to be one or more pages of ${PAGE} bytes (EINVAL)`);
}

/** Recognised by how they begin: others are passed over. */
const PREFIX: Readonly<Record<string, string>> = { cpu: 'cpu@', memory: 'memory@', device: 'pci@' };

function items(operation: DeviceNode, isPool: boolean, at: string, report: Report): void {
  const { error, warning } = report;
  const kind = operation.name.split('-', 1)[0]!;
  const isAdd = operation.name.endsWith('-add');
  for (const item of operation.children) {
    const path = `${at}/${item.name}`;
    if (!item.name.startsWith(PREFIX[kind]!)) warning(path, `does not begin with ${PREFIX[kind]} and is passed over`);
    else if (kind === 'device') {
      if (!PCI_ADDRESS.test(wordOf(item, 'pci-id') ?? '')) error(path, 'pci-id has to be like 0000:09:00.0 (EINVAL)');
    } else if (kind === 'memory' && isPool && isAdd) {
      size(item, path, report);
      if (propertyOf(item, 'reg') !== undefined)
        error(path, 'the kernel chooses where memory is: reg is refused (EINVAL)');
    } else {
      const cells = kind === 'cpu' ? 1 : 2;
      const isShort = kind === 'cpu' && cellOf(item, 'reg') !== undefined;
      if (!isShort && numbersOf(item, 'reg')?.length !== cells)
        error(path, `reg has to be ${cells === 1 ? 'one 64-bit number' : 'a base and a size of 64 bits'} (EINVAL)`);
    }
  }
}
