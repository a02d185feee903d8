/** A decoded function as text, in the manner of lspci. */
import {
  type Decoded,
  type DecodedCapability,
  type DecodedRegister,
  errorsText,
  type FunctionFacts,
  type FunctionHealth,
  linkText,
  type PciNames,
} from '../../pci/index.ts';
import { className, deviceName, ids } from './words.ts';

type Shown = FunctionFacts & Decoded & { health: FunctionHealth };

/** Registers of the header that have a line of their own. */
const HEADER_LINES = ['Control', 'Status', 'SecondaryStatus', 'BridgeCtl'];

export function functionText(of: Shown, names: PciNames): string {
  const revision = of.revision === 0 ? '' : ` (rev ${of.revision.toString(16).padStart(2, '0')})`;
  const name = deviceName(of, names);
  return [
    `${of.address} ${className(of, names)} [${(of.class >> 8).toString(16).padStart(4, '0')}]: ${name}${name && ' '}[${ids(of)}]${revision}`,
    ...subsystem(of, names),
    ...of.header.filter((each) => HEADER_LINES.includes(each.name)).map((each) => `\t${registerText(each)}`),
    ...details(of).map((line) => `\t${line}`),
    ...of.regions.map(
      ({ index, kind, address, bits, prefetchable, enabled }) =>
        `\t${kind === 'rom' ? 'Expansion ROM' : `Region ${index}: ${kind === 'io' ? 'I/O ports' : 'Memory'}`} at ${address}` +
        `${kind === 'memory' ? ` (${bits}-bit, ${prefetchable ? '' : 'non-'}prefetchable)` : ''}${enabled ? '' : ' [disabled]'}`,
    ),
    ...of.capabilities.flatMap(capabilityText),
    ...of.problems.map((problem) => `\tproblem: ${problem}`),
    ...healthLines(of.health),
    ...(of.driver === null ? [] : [`\tKernel driver in use: ${of.driver}`]),
    ...(of.physicalFunction === null ? [] : [`\tVirtual function of ${of.physicalFunction}`]),
    '',
  ].join('\n');
}

/** As the kernel counts, and not the registers. */
function healthLines({ link, errors }: FunctionHealth): string[] {
  const kinds = errors?.kinds.map(({ severity, name, count }) => `${count} ${severity} ${name}`) ?? [];
  return [
    ...(link === null ? [] : [`\tLink: ${linkText(link)}`]),
    ...(errors === null ? [] : [`\tErrors reported: ${kinds.length === 0 ? errorsText(errors) : kinds.join(', ')}`]),
  ];
}

function subsystem(of: Shown, names: PciNames): string[] {
  const { vendor, device, subsystemVendor, subsystemDevice } = of;
  if (of.headerType !== 0 || (subsystemVendor === 0 && subsystemDevice === 0)) return [];
  const name = names.subsystem(vendor, device, subsystemVendor, subsystemDevice) ?? names.vendor(subsystemVendor) ?? '';
  return [`\tSubsystem: ${name}${name && ' '}[${ids({ ...of, vendor: subsystemVendor, device: subsystemDevice })}]`];
}

function details(of: Shown): string[] {
  const value = (name: string) => of.header.find((each) => each.name === name)?.value ?? 0;
  const pin = value('IntPin');
  return [
    ...(of.headerType === 1
      ? [
          `Bus: primary=${bus(value('PrimaryBus'))}, secondary=${bus(value('SecondaryBus'))}, subordinate=${bus(value('SubordinateBus'))}`,
        ]
      : []),
    ...(pin > 0 && pin <= 4 ? [`Interrupt: pin ${'ABCD'[pin - 1]} routed to IRQ ${value('IntLine')}`] : []),
  ];
}

const bus = (number: number): string => number.toString(16).padStart(2, '0');

function capabilityText({ extended, version, offset, name, registers }: DecodedCapability): string[] {
  const place = extended ? `${offset.toString(16)} v${version}` : offset.toString(16);
  return [`\tCapabilities: [${place}] ${name}`, ...registers.map((each) => `\t\t${registerText(each)}`)];
}

/** `DevSta: CorrErr- UnsupReq+`, `LnkCap: Speed=8GT/s`. */
function registerText({ name, bytes, value, fields }: DecodedRegister): string {
  if (fields === null) return `${name}: ${value.toString(16).padStart(2 * bytes, '0')}`;
  const parts = Object.entries(fields).map(([field, of]) =>
    typeof of === 'boolean' ? `${field}${of ? '+' : '-'}` : `${field}=${of}`,
  );
  return `${name}: ${parts.join(' ')}`;
}
