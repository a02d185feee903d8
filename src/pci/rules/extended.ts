/** Capabilities from byte 256 on, a row for each id (PCI Code and ID Assignment Specification, section 3). */
import { bytes, flags, hex, type Register, register, value } from '../register.ts';
import { AER, DPC } from './errors.ts';
import { type CapabilityRule, fixed, type Look, opaque, type Shape } from './rule.ts';
import { SR_IOV } from './sriov.ts';

const STATUS = 'its status bits are set by the device';
const SELECTS = 'one register selects what another shows';
const VENDOR = 'only the vendor knows what it is';

/** PCIe 7.8.6: registers of 8 bytes, as many as the first says (bits 7:5 of its control). */
function resizable(first: string) {
  return (look: Look): Shape => {
    const count = Math.min(Math.max((look.u32(8) >>> 5) & 7, 1), 6);
    const registers = Array.from({ length: count }, (_, index): Register[] => [
      register(
        `${first}${index}Cap`,
        4 + 8 * index,
        4,
        'S',
        value('sizes', 4, 28, (sizes) => hex(sizes, 7)),
      ),
      register(
        `${first}${index}Ctl`,
        8 + 8 * index,
        4,
        'W',
        value('BAR', 0, 3),
        value('current', 8, 6, (size) => `2^${size + 20} bytes`),
      ),
    ]);
    return { bytes: 4 + 8 * count, registers: registers.flat() };
  };
}

/** PCIe 7.7.11: with an egress control vector of a bit for each port or function (8 bits of size; 0 is 256). */
function accessControl(look: Look): Shape {
  const of = look.u16(4);
  const vector = (of & 0x20) === 0 ? 0 : 4 * Math.ceil(((of >> 8) & 0xff || 256) / 32);
  const names = 'SrcValid TransBlk ReqRedir CmpltRedir UpstreamFwd EgressCtrl DirectTrans';
  return {
    bytes: 8 + vector,
    registers: [
      register('ACSCap', 4, 2, 'S', flags(names)),
      register('ACSCtl', 6, 2, 'W', flags(names)),
      ...(vector === 0 ? [] : [bytes('EgressVector', 8, vector, 'W')]),
    ],
  };
}

/**
 * PCIe 7.8.8: groups of functions are enabled in function 0 alone. If that one knows none, those of all others are zero for ever
 * (7.8.8.3).
 */
function routing(look: Look): Shape {
  const control = register('ARICtl', 6, 2, 'W', flags('MFVC ACS'), value('Function Group', 4, 3));
  return {
    bytes: 8,
    registers: [
      register('ARICap', 4, 2, 'S', flags('MFVC ACS'), value('Next Function', 8, 8)),
      look.virtual && look.ungrouped() ? { ...control, class: 'S', zeroBut: 0 } : control,
    ],
  };
}

/** PCIe 7.9.13: with a steering table in it when bits 10:9 of its capability say so. */
function tph(look: Look): Shape {
  const of = look.u32(4);
  const entries = ((of >>> 9) & 3) === 1 ? ((of >>> 16) & 0x7ff) + 1 : 0;
  return {
    bytes: 12 + 2 * entries,
    registers: [
      register('TPHCap', 4, 4, 'S', flags('NoST IntVec DevSpec'), flags('ExtReq', 8), value('STPlace', 9, 2)),
      register('TPHCtl', 8, 4, 'W', value('Mode', 0, 3), value('Requester', 8, 2)),
      ...(entries === 0 ? [] : [bytes('SteeringTable', 12, 2 * entries, 'W')]),
    ],
  };
}

const scaled = (what: string, at: number): Register =>
  register(
    what,
    at,
    2,
    'W',
    value('value', 0, 10),
    value('scale', 10, 3, (power) => `${32 ** power}ns`),
  );

/** The length is in the header that follows the common one (PCIe 7.9.5, 7.9.6); what comes after it is the vendor's. */
const vendor =
  (name: string) =>
  (look: Look): Shape => ({
    bytes: Math.max(look.u32(4) >>> 20, 8),
    registers: [
      register(
        name,
        4,
        4,
        'S',
        value('ID', 0, 16, (id) => hex(id, 4)),
        value('Rev', 16, 4),
        value('Len', 20, 12, (length) => hex(length, 3)),
      ),
    ],
  });

function dvsec(look: Look): Shape {
  return {
    bytes: Math.max(look.u32(4) >>> 20, 10),
    registers: [
      register(
        'DVSEC',
        4,
        4,
        'S',
        value('Vendor', 0, 16, (id) => hex(id, 4)),
        value('Rev', 16, 4),
        value('Len', 20, 12),
      ),
      register(
        'DVSECID',
        8,
        2,
        'S',
        value('ID', 0, 16, (id) => hex(id, 4)),
      ),
    ],
  };
}

/** Ascending by id. */
export const EXTENDED: readonly CapabilityRule[] = [
  AER,
  opaque(0x02, 'Virtual Channel', 'PCIe 7.9.1', STATUS),
  fixed(0x03, 'Device Serial Number', 'PCIe 7.9.3', 12, [register('Low', 4, 4, 'S'), register('High', 8, 4, 'S')]),
  opaque(0x04, 'Power Budgeting', 'PCIe 7.8.1', SELECTS),
  opaque(0x05, 'Root Complex Link', 'PCIe 7.9.8', 'as long as its link entries, which nobody here decodes'),
  opaque(0x06, 'Root Complex Internal Link', 'PCIe 7.9.9', STATUS),
  fixed(0x07, 'Root Complex Event Collector', 'PCIe 7.9.10', 8, [register('RCECAssociation', 4, 4, 'S')]),
  opaque(0x08, 'Multi-Function Virtual Channel', 'PCIe 7.9.2', STATUS),
  opaque(0x09, 'Virtual Channel', 'PCIe 7.9.1', STATUS),
  opaque(0x0a, 'Root Bridge Control Block', 'PCIe 7.9.7', 'it lies in memory, not here'),
  { id: 0x0b, name: 'Vendor Specific Information', source: 'PCIe 7.9.5', shape: vendor('VSEC'), why: VENDOR },
  opaque(0x0c, 'Configuration Access Correlation', 'PCIe 1.1 ECN Trusted Configuration Space', 'obsolete'),
  { id: 0x0d, name: 'Access Control Services', source: 'PCIe 7.7.11', shape: accessControl },
  { id: 0x0e, name: 'Alternative Routing-ID Interpretation (ARI)', source: 'PCIe 7.8.8', shape: routing },
  fixed(0x0f, 'Address Translation Service (ATS)', 'PCIe 10.5.1', 8, [
    register('ATSCap', 4, 2, 'S', value('Invalidate Queue Depth', 0, 5), flags('PageAligned Global Relaxed', 5)),
    register('ATSCtl', 6, 2, 'W', value('Smallest Translation Unit', 0, 5), flags('Enable', 15)),
  ]),
  SR_IOV,
  opaque(0x11, 'Multi-Root I/O Virtualization', 'MR-IOV 1.0', STATUS),
  fixed(0x12, 'Multicast', 'PCIe 7.9.11', 0x30, [
    register(
      'McastCap',
      4,
      2,
      'S',
      value('MaxGroups', 0, 6, (last) => String(last + 1)),
      flags('ECRCRegen', 15),
    ),
    register(
      'McastCtl',
      6,
      2,
      'W',
      value('NumGroups', 0, 6, (last) => String(last + 1)),
      flags('Enable', 15),
    ),
    bytes('Addresses', 8, 0x20, 'W'),
    // Only ports have an overlay BAR.
    bytes('Overlay', 0x28, 8, 'W'),
  ]),
  fixed(0x13, 'Page Request Interface (PRI)', 'PCIe 10.5.2', 16, [
    // Bit 1 resets, and reads as zero.
    register('PRICtl', 4, 2, 'W', flags('Enable Reset')),
    register('PRISta', 6, 2, 'N', flags('RF UPRGI'), flags('Stopped', 8), flags('PASID', 15)),
    register('PageRequestCapacity', 8, 4, 'S'),
    register('PageRequestAllocation', 12, 4, 'W'),
  ]),
  opaque(0x14, 'AMD reserved', 'PCI Code and ID Assignment 3', VENDOR),
  { id: 0x15, name: 'Physical Resizable BAR', source: 'PCIe 7.8.6', shape: resizable('BAR') },
  opaque(0x16, 'Dynamic Power Allocation', 'PCIe 7.9.12', STATUS),
  { id: 0x17, name: 'Transaction Processing Hints', source: 'PCIe 7.9.13', shape: tph },
  fixed(0x18, 'Latency Tolerance Reporting', 'PCIe 7.8.2', 8, [scaled('MaxSnoop', 4), scaled('MaxNoSnoop', 6)]),
  opaque(0x19, 'Secondary PCI Express', 'PCIe 7.7.3', STATUS),
  opaque(0x1a, 'Protocol Multiplexing', 'PCIe 3.1 G.5', STATUS),
  fixed(0x1b, 'Process Address Space ID (PASID)', 'PCIe 7.8.9', 8, [
    register(
      'PASIDCap',
      4,
      2,
      'S',
      flags('Exec Priv', 1),
      value('Max PASID Width', 8, 5, (bits) => hex(bits, 2)),
    ),
    register('PASIDCtl', 6, 2, 'W', flags('Enable Exec Priv')),
  ]),
  opaque(0x1c, 'LN Requester', 'PCIe 4.0 7.9.21', 'obsolete'),
  DPC,
  fixed(0x1e, 'L1 PM Substates', 'PCIe 7.8.3', 16, [
    register(
      'L1SubCap',
      4,
      4,
      'S',
      flags('PCI-PM_L1.2 PCI-PM_L1.1 ASPM_L1.2 ASPM_L1.1 L1_PM_Substates'),
      value('CommonModeRestoreTime', 8, 8, (time) => `${time}us`),
      value('PowerOnScale', 16, 2),
      value('PowerOnValue', 19, 5),
    ),
    register(
      'L1SubCtl1',
      8,
      4,
      'W',
      flags('PCI-PM_L1.2 PCI-PM_L1.1 ASPM_L1.2 ASPM_L1.1'),
      value('CommonMode', 8, 8, (time) => `${time}us`),
      value('LTRThreshold', 16, 10),
      value('LTRScale', 29, 3),
    ),
    register('L1SubCtl2', 12, 4, 'W', value('PowerOnScale', 0, 2), value('PowerOnValue', 3, 5)),
  ]),
  fixed(0x1f, 'Precision Time Measurement', 'PCIe 7.9.15', 12, [
    register('PTMCap', 4, 4, 'S', flags('Requester Responder Root'), value('LocalClock', 8, 8)),
    register('PTMControl', 8, 4, 'W', flags('Enabled RootSelected'), value('Granularity', 8, 8)),
  ]),
  opaque(0x20, 'PCI Express over M-PHY', 'PCIe 3.1 8', STATUS),
  opaque(0x21, 'FRS Queueing', 'PCIe 7.8.11', STATUS),
  opaque(0x22, 'Readiness Time Reporting', 'PCIe 7.9.16', 'times change until the device says that they are valid'),
  { id: 0x23, name: 'Designated Vendor-Specific', source: 'PCIe 7.9.6', shape: dvsec, why: VENDOR },
  { id: 0x24, name: 'VF Resizable BAR', source: 'PCIe 7.8.7', shape: resizable('VFBAR') },
  opaque(0x25, 'Data Link Feature', 'PCIe 7.7.4', STATUS),
  opaque(0x26, 'Physical Layer 16.0 GT/s', 'PCIe 7.7.5', STATUS),
  opaque(0x27, 'Lane Margining at the Receiver', 'PCIe 7.7.7', STATUS),
  opaque(0x28, 'Hierarchy ID', 'PCIe 7.9.17', STATUS),
  opaque(0x29, 'Native PCIe Enclosure Management', 'PCIe 7.9.19', STATUS),
  opaque(0x2a, 'Physical Layer 32.0 GT/s', 'PCIe 7.7.6', STATUS),
  opaque(0x2b, 'Alternate Protocol', 'PCIe 7.9.21', SELECTS),
  opaque(0x2c, 'System Firmware Intermediary', 'PCIe 7.9.22', STATUS),
  opaque(0x2d, 'Shadow Functions', 'PCIe 7.9.25', 'one function answers in the name of another'),
  // A mailbox: busy and ready change, and each write to the read mailbox shows its next dword. Nothing of it is kept.
  fixed(0x2e, 'Data Object Exchange', 'PCIe 7.9.24', 0x18, [
    register('DOECap', 0x04, 4, 'N', flags('IntSup'), value('IntMsg', 1, 11)),
    register('DOECtl', 0x08, 4, 'N', flags('Abort IntEn')),
    register('DOESta', 0x0c, 4, 'N', flags('Busy IntSta Error'), flags('ObjectReady', 31)),
    bytes('Mailboxes', 0x10, 8, 'N'),
  ]),
  opaque(0x2f, 'Device 3', 'PCIe 7.7.9', STATUS),
  opaque(0x30, 'Integrity and Data Encryption', 'PCIe 7.9.26', STATUS),
  opaque(0x31, 'Physical Layer 64.0 GT/s', 'PCIe 7.7.8', STATUS),
  opaque(0x32, 'Flit Logging', 'PCIe 7.7.12', STATUS),
  opaque(0x33, 'Flit Performance Measurement', 'PCIe 7.8.12', STATUS),
  opaque(0x34, 'Flit Error Injection', 'PCIe 7.8.13', STATUS),
];

export const UNKNOWN_EXTENDED: CapabilityRule = opaque(
  0,
  'Extended Capability',
  'PCIe 7.6.3',
  'nobody knows what an unknown capability does; only its header has a known form',
);
