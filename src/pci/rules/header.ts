/** The first 64 bytes (PCIe 7.5.1, Type 0/1 Configuration Space Header). */
import { bytes, flags, hex, oneOf, type Register, register, value } from '../register.ts';

/** PCIe 7.5.1.1.3. Firmware, error handling and drivers change it behind everybody's back: never kept. */
const COMMAND = register(
  'Control',
  0x04,
  2,
  'N',
  flags('I/O Mem BusMaster SpecCycle MemWINV VGASnoop ParErr Stepping SERR FastB2B DisINTx'),
);

/** PCIe 7.5.1.1.4 and 7.5.1.3.7: bits that the device sets, and that a write of one clears. */
const status = (name: string, at: number, own: boolean): Register =>
  register(
    name,
    at,
    2,
    'N',
    own ? flags('INTx Cap', 3) : [],
    flags('66MHz UDF FastB2B ParErr', 5),
    value('DEVSEL', 9, 2, oneOf('fast', 'medium', 'slow', '??')),
    flags(own ? '>TAbort <TAbort <MAbort >SERR <PERR' : '>TAbort <TAbort <MAbort <SERR <PERR', 11),
  );

const address = (name: string, at: number): Register => ({ ...register(name, at, 4, 'W'), hidden: true });

/** Of every function. */
const COMMON: readonly Register[] = [
  register('Vendor', 0x00, 2, 'S'),
  register('Device', 0x02, 2, 'S'),
  COMMAND,
  status('Status', 0x06, true),
  register('Revision', 0x08, 1, 'S'),
  { ...register('Class', 0x09, 3, 'S'), fields: value('code', 0, 24, (code) => hex(code, 6)) },
  register('CacheLine', 0x0c, 1, 'W'),
  register('Latency', 0x0d, 1, 'W'),
  register('HeaderType', 0x0e, 1, 'S', value('layout', 0, 7), flags('MultiFunction', 7)),
  // PCIe 7.5.1.1.8: bit 6 starts a self test, and the device clears it.
  bytes('BIST', 0x0f, 1, 'N'),
];

const INTERRUPT = [register('IntLine', 0x3c, 1, 'W'), register('IntPin', 0x3d, 1, 'S')];

/** PCIe 7.5.1.2. */
export const TYPE_0: readonly Register[] = [
  ...COMMON,
  ...[0, 1, 2, 3, 4, 5].map((index) => address(`BAR${index}`, 0x10 + 4 * index)),
  bytes('CardbusCIS', 0x28, 4, 'S'),
  register('SubsystemVendor', 0x2c, 2, 'S'),
  register('SubsystemDevice', 0x2e, 2, 'S'),
  address('ROM', 0x30),
  bytes('CapabilitiesPointer', 0x34, 1, 'S'),
  // Zero for ever. Kept, so that reads of the whole dword need no hardware.
  bytes('reserved', 0x35, 7, 'S'),
  ...INTERRUPT,
  register('MinGnt', 0x3e, 1, 'S'),
  register('MaxLat', 0x3f, 1, 'S'),
];

/**
 * Of a virtual function: what the physical one has in its place is zero for ever (PCIe 9.3.4.1), and it tests itself never. Of Command it has
 * Bus Master alone, which only who drives it writes.
 */
export const VIRTUAL: readonly Register[] = TYPE_0.map((each) => {
  if (each === COMMAND) return { ...each, class: 'W' };
  return each.class === 'W' || each.name === 'BIST' ? { ...each, class: 'S' } : each;
});

/** Of these it is known beforehand, as of its ids: BARs and ROM (PCIe 9.3.4.1.11, 9.3.4.1.14). */
export const VIRTUAL_ZEROS: readonly number[] = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30];

/** PCIe 7.5.1.3. */
export const TYPE_1: readonly Register[] = [
  ...COMMON,
  address('BAR0', 0x10),
  address('BAR1', 0x14),
  register('PrimaryBus', 0x18, 1, 'W'),
  register('SecondaryBus', 0x19, 1, 'W'),
  register('SubordinateBus', 0x1a, 1, 'W'),
  register('SecondaryLatency', 0x1b, 1, 'W'),
  bytes('IOWindow', 0x1c, 2, 'W'),
  status('SecondaryStatus', 0x1e, false),
  bytes('Windows', 0x20, 0x14, 'W'),
  bytes('CapabilitiesPointer', 0x34, 1, 'S'),
  bytes('reserved', 0x35, 3, 'S'),
  address('ROM', 0x38),
  ...INTERRUPT,
  // PCIe 7.5.1.3.13: bit 6 resets the bus below, bits 10 and 11 are set by the device.
  register(
    'BridgeCtl',
    0x3e,
    2,
    'N',
    flags('Parity SERR NoISA VGA VGA16 MAbort >Reset FastB2B PriDiscTmr SecDiscTmr DiscTmrStat DiscTmrSERREn'),
  ),
];

/** What other layouts have in common with these. */
export const UNKNOWN_LAYOUT: readonly Register[] = COMMON;
