/** The trees and texts that the kernel makes of its state. */
import { type DeviceNode, encode } from '../../../src/devicetree/index.ts';
import type { Instance, KernelModel } from './model.ts';

const words = (...numbers: number[]): Buffer => {
  const bytes = Buffer.alloc(8 * numbers.length);
  for (const [index, number] of numbers.entries()) bytes.writeBigUInt64BE(BigInt(number), 8 * index);
  return bytes;
};
const cell = (number: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return bytes;
};
const text = (value: string): Buffer => Buffer.from(`${value}\0`);
const blob = (properties: Record<string, Buffer>, children: DeviceNode[]): Buffer =>
  Buffer.from(encode({ reservations: [], bootCpu: 0, root: node('', properties, children) }));
const node = (name: string, properties: Record<string, Buffer>, children: DeviceNode[] = []): DeviceNode => ({
  name,
  properties: Object.entries(properties).map(([key, value]) => ({ name: key, value })),
  children,
});

const head = (model: KernelModel): Record<string, Buffer> => ({
  compatible: text('multikernel-v1'),
  ...((model.machine.format === 'second' || model.switches.firstHasCells) && {
    '#address-cells': cell(2),
    '#size-cells': cell(2),
  }),
});

/** The topology below the root: functions under the bridges of their buses. */
function topology({ machine }: KernelModel, addresses: readonly string[]): DeviceNode[] {
  const buses = Map.groupBy(addresses, (address) => address.slice(0, 7));
  return [...buses].map(([bus, of]) =>
    node(
      `pci@${Number.parseInt(bus.slice(5), 16).toString(16)}`,
      {
        compatible: text('multikernel,pci-host-bridge'),
        device_type: text('pci'),
        'linux,pci-domain': cell(Number.parseInt(bus.slice(0, 4), 16)),
      },
      of.map((address) => {
        const [, at, device, number] = /^.{4}:(.{2}):(.{2})\.(.)$/.exec(address)!;
        const place = [at, device, number].map((part) => Number.parseInt(part!, 16)) as [number, number, number];
        const { vendor, device: id } = machine.functions.find((each) => each.address === address)!;
        return node(`pci@${place[1].toString(16)},${place[2]}`, {
          reg: Buffer.concat([cell((place[0] << 16) | (place[1] << 11) | (place[2] << 8)), Buffer.alloc(16)]),
          'vendor-id': cell(vendor),
          'device-id': cell(id),
        });
      }),
    ),
  );
}

export function poolTree(model: KernelModel): Buffer {
  const own = model.machine.cpus.map(({ apic }) => apic);
  if (!model.hasPool) return blob({ ...head(model), id: cell(0) }, [node('resources', { cpus: words(...own) })]);
  const free = model.freeCpus();
  const chunks = model.chunks.map(({ base, bytes, node: at }) =>
    node(`memory@${base.toString(16)}`, {
      device_type: text('memory'),
      reg: words(base, bytes),
      'numa-node-id': cell(at),
    }),
  );
  return blob({ ...head(model), id: cell(0) }, [
    node(
      'resources',
      { cpus: words(...model.poolCpus), ...(free.length > 0 && { 'cpus-available': words(...free) }) },
      chunks,
    ),
    ...topology(model, model.freeFunctions()),
  ]);
}

export function instanceTree(model: KernelModel, instance: Instance): Buffer {
  const { name, id, cpus, regions, functions } = instance;
  return blob({ ...head(model), model: text(name), id: cell(id) }, [
    node('resources', {
      'memory-base': words(regions[0]?.base ?? 0),
      'memory-bytes': words(regions.reduce((sum, { bytes }) => sum + bytes, 0)),
      cpus: words(...cpus),
    }),
    ...topology(model, functions),
  ]);
}

const range = (base: number, bytes: number): string =>
  `${base.toString(16).padStart(8, '0')}-${(base + bytes - 1).toString(16).padStart(8, '0')}`;

export function iomem(model: KernelModel): string {
  const lines = ['00001000-0009fbff : System RAM'];
  for (const chunk of model.chunks) {
    lines.push(`${range(chunk.base, chunk.bytes)} : Multikernel Memory Pool`);
    for (const { id, name, regions } of model.instances.values())
      regions.forEach(({ base, bytes }, index) => {
        if (base >= chunk.base && base < chunk.base + chunk.bytes)
          lines.push(`  ${range(base, bytes)} : mk-instance-${id}-${name}-region-${index}`);
      });
  }
  return `${lines.join('\n')}\n`;
}

/** Of the CPUs that are the host's: those in the pool are gone. */
export const cpuinfo = ({ machine, online }: KernelModel): string =>
  machine.cpus
    .map(({ apic }, logical) => ({ apic, logical }))
    .filter(({ apic }) => online.has(apic))
    .map(
      ({ apic, logical }) =>
        `processor\t: ${logical}\nvendor_id\t: GenuineIntel\napicid\t\t: ${apic}\ninitial apicid\t: ${apic + 64}\n`,
    )
    .join('\n');
