/** Capabilities of the first 256 bytes, a row for each id (PCI Code and ID Assignment Specification, section 2). */
import { bytes, flags, type Register, register, value } from '../register.ts';
import { PCI_EXPRESS } from './express.ts';
import { type CapabilityRule, fixed, type Look, opaque, type Shape } from './rule.ts';

const POWER_REGISTERS: readonly Register[] = [
  register(
    'Flags',
    2,
    2,
    'S',
    value('version', 0, 3),
    flags('PMEClk', 3),
    flags('DSI', 5),
    value('AuxCurrent', 6, 3, (index) => `${[0, 55, 100, 160, 220, 270, 320, 375][index]}mA`),
    flags('D1 D2 PME(D0) PME(D1) PME(D2) PME(D3hot) PME(D3cold)', 9),
  ),
  // PME status changes by itself.
  register(
    'Status',
    4,
    2,
    'N',
    value('state', 0, 2, (state) => `D${state}`),
    flags('NoSoftRst', 3),
    flags('PME-Enable', 8),
    value('DSel', 9, 4),
    value('DScale', 13, 2),
    flags('PME', 15),
  ),
  bytes('BridgeExtensions', 6, 1, 'N'),
  // PCI Power Management 1.2, 3.2.6: a window that DSel selects.
  bytes('Data', 7, 1, 'N'),
];

/** In bits 15 to 11 of Flags: from which states it can tell of events. */
const PME_SUPPORT = 0xf800;

/** One that tells of no events has no status: its state is as it was written last, or as a reset leaves it. */
const POWER: CapabilityRule = {
  ...{ id: 0x01, name: 'Power Management', source: 'PCIe 7.5.2' },
  shape: (look) => ({
    bytes: 8,
    registers:
      (look.u16(2) & PME_SUPPORT) !== 0
        ? POWER_REGISTERS
        : POWER_REGISTERS.map((each) => (each.name === 'Status' ? { ...each, class: 'W' } : each)),
  }),
};

/** PCIe 7.9.18 (PCI 3.0 Appendix I). The device flips bit 15 of the address when it is done: polling a kept one never ends. */
const VPD: CapabilityRule = fixed(0x03, 'Vital Product Data', 'PCIe 7.9.18', 8, [
  bytes('Address', 2, 2, 'N'),
  bytes('Data', 4, 4, 'N'),
]);

/** Four shapes, by bits 7 (64-bit address) and 8 (a mask for each vector) of the control register. */
function msi(look: Look): Shape {
  const control = look.u16(2);
  const wide = (control & 0x80) !== 0;
  const maskable = (control & 0x100) !== 0;
  const data = wide ? 0x0c : 8;
  const vectors = (index: number) => String(2 ** index);
  return {
    bytes: data + (maskable ? 12 : 2),
    registers: [
      register(
        'Control',
        2,
        2,
        'W',
        flags('Enable'),
        value('Capable', 1, 3, vectors),
        value('Count', 4, 3, vectors),
        flags('64bit Maskable', 7),
      ),
      register('Address', 4, 4, 'W'),
      ...(wide ? [register('AddressHigh', 8, 4, 'W')] : []),
      register('Data', data, 2, 'W'),
      ...(maskable
        ? [
            bytes('reserved', data + 2, 2, 'N'),
            register('Masking', data + 4, 4, 'W'),
            // PCIe 7.7.1.8: set and cleared by the device.
            register('Pending', data + 8, 4, 'N'),
          ]
        : []),
    ],
  };
}

const WINDOW = 'the device answers through it: reading or writing one register moves another';

/** Ascending by id. */
export const STANDARD: readonly CapabilityRule[] = [
  POWER,
  opaque(0x02, 'AGP', 'AGP 3.0 2.1', 'status and command share it'),
  VPD,
  fixed(0x04, 'Slot ID', 'PCI-to-PCI Bridge 1.2, 13.4', 4, [
    register('Slots', 2, 1, 'S', value('number', 0, 5), flags('First', 5)),
    register('Chassis', 3, 1, 'W'),
  ]),
  { id: 0x05, name: 'MSI', source: 'PCIe 7.7.1', shape: msi },
  opaque(0x06, 'CompactPCI hot-swap', 'PICMG 2.1', 'the device sets its bits'),
  opaque(0x07, 'PCI-X', 'PCI-X 2.0, 7.2', 'its status bits are set by the device'),
  opaque(0x08, 'HyperTransport', 'HyperTransport 3.1, 7', WINDOW),
  {
    id: 0x09,
    name: 'Vendor Specific Information',
    source: 'PCIe 7.9.4',
    why: 'only the vendor knows what it is; virtio looks into its BARs through it',
    shape: (look) => ({ bytes: Math.max(look.u8(2), 3), registers: [register('Len', 2, 1, 'S')] }),
  },
  fixed(0x0a, 'Debug port', 'EHCI 1.0, C.2', 4, [
    register('Port', 2, 2, 'S', value('Offset', 0, 13), value('BAR', 13, 3)),
  ]),
  opaque(0x0b, 'CompactPCI central resource control', 'PICMG 2.13', 'its layout is not public'),
  opaque(0x0c, 'Hot-plug capable', 'SHPC 1.0, 4.3', WINDOW),
  fixed(0x0d, 'Subsystem', 'PCI-to-PCI Bridge 1.2, 3.2.5.13', 8, [
    bytes('reserved', 2, 2, 'S'),
    register('SubsystemVendor', 4, 2, 'S'),
    register('SubsystemDevice', 6, 2, 'S'),
  ]),
  opaque(0x0e, 'AGP3', 'AGP 3.0 2.1', 'status and command share it'),
  opaque(0x0f, 'Secure device', 'PCI Code and ID Assignment 2', 'its layout is not public'),
  PCI_EXPRESS,
  fixed(0x11, 'MSI-X', 'PCIe 7.7.2', 12, [
    // Table size is the device's, but of a virtual function the physical one can change it.
    register(
      'Control',
      2,
      2,
      'W',
      value('Count', 0, 11, (last) => String(last + 1)),
      flags('Masked Enable', 14),
    ),
    register('VectorTable', 4, 4, 'S', value('BAR', 0, 3), value('offset', 3, 29, place)),
    register('PBA', 8, 4, 'S', value('BAR', 0, 3), value('offset', 3, 29, place)),
  ]),
  fixed(0x12, 'SATA HBA', 'AHCI 1.3, 2.6', 8, [
    register('Revision', 2, 2, 'S', value('minor', 0, 4), value('major', 4, 4)),
    register('Place', 4, 4, 'S', value('BAR', 0, 4), value('Offset', 4, 20)),
  ]),
  fixed(0x13, 'PCI Advanced Features', 'PCI ECN Advanced Capabilities', 6, [
    bytes('Length', 2, 1, 'S'),
    register('AFCap', 3, 1, 'S', flags('TP FLR')),
    // Bit 0 resets the function and reads as zero; the other is whether transactions are pending.
    register('AFCtrl', 4, 1, 'N', flags('FLR')),
    register('AFStatus', 5, 1, 'N', flags('TP')),
  ]),
  { id: 0x14, name: 'Enhanced Allocation (EA)', source: 'PCIe 7.8.5', shape: enhancedAllocation },
  opaque(0x15, 'Flattening Portal Bridge', 'PCIe 7.8.10', 'its vectors are windows, index and data'),
];

function place(eights: number): string {
  return (eights * 8).toString(16).padStart(8, '0');
}

/** Entries of 4 bytes and 4 more for each unit of their size field (bits 2:0); a bridge has 4 bytes of bus numbers before them. */
function enhancedAllocation(look: Look): Shape {
  const entries = look.u8(2) & 0x3f;
  const registers = [register('Entries', 2, 1, 'S', value('NumEntries', 0, 6)), bytes('reserved', 3, 1, 'S')];
  let at = 4;
  if (look.bridge) {
    registers.push(register('Secondary', 4, 1, 'S'), register('Subordinate', 5, 1, 'S'), bytes('reserved', 6, 2, 'S'));
    at = 8;
  }
  for (let index = 0; index < entries && at < 0xfc; index++) {
    const size = 4 * (1 + (look.u32(at) & 7));
    registers.push(
      register(
        `Entry${index}`,
        at,
        4,
        // Bit 30 says whether its base can be written, bit 31 enables it.
        'W',
        value('BEI', 4, 4),
        value('PrimaryProperties', 8, 8),
        value('SecondaryProperties', 16, 8),
        flags('Writable Enable', 30),
      ),
      bytes(`Entry${index}Range`, at + 4, size - 4, 'W'),
    );
    at += size;
  }
  return { bytes: at, registers };
}

/** A rule for ids that no row has. */
export const UNKNOWN_STANDARD: CapabilityRule = opaque(
  0,
  'unknown',
  'PCIe 7.5.3',
  'nobody knows what an unknown capability does; only its header has a known form',
);
