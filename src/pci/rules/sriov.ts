/** Single Root I/O Virtualization (PCIe 9.3.3). */
import { bytes, flags, hex, register, value } from '../register.ts';
import { fixed } from './rule.ts';

export const SR_IOV = fixed(0x10, 'Single Root I/O Virtualization (SR-IOV)', 'PCIe 9.3.3', 0x40, [
  register(
    'IOVCap',
    0x04,
    4,
    'S',
    flags('Migration ARIHierarchy 10BitTagReq'),
    value('Interrupt Message Number', 21, 11),
  ),
  // Bit 0 makes and unmakes all virtual functions, bit 4 moves them.
  register('IOVCtl', 0x08, 2, 'W', flags('Enable Migration Interrupt MSE ARIHierarchy 10BitTagReq')),
  register('IOVSta', 0x0a, 2, 'N', flags('Migration')),
  register('Initial VFs', 0x0c, 2, 'S'),
  register('Total VFs', 0x0e, 2, 'S'),
  register('Number of VFs', 0x10, 2, 'W'),
  register(
    'Function Dependency Link',
    0x12,
    1,
    'S',
    value('link', 0, 8, (link) => hex(link, 2)),
  ),
  bytes('reserved', 0x13, 1, 'S'),
  // Another number of functions, or another hierarchy, may give others.
  register('VF offset', 0x14, 2, 'W'),
  register('stride', 0x16, 2, 'W'),
  bytes('reserved', 0x18, 2, 'S'),
  register(
    'Device ID',
    0x1a,
    2,
    'S',
    value('id', 0, 16, (id) => hex(id, 4)),
  ),
  register(
    'Supported Page Size',
    0x1c,
    4,
    'S',
    value('sizes', 0, 32, (sizes) => hex(sizes, 8)),
  ),
  register(
    'System Page Size',
    0x20,
    4,
    'W',
    value('sizes', 0, 32, (sizes) => hex(sizes, 8)),
  ),
  bytes('VFBARs', 0x24, 24, 'W'),
  register(
    'VF Migration',
    0x3c,
    4,
    'S',
    value('BIR', 0, 3),
    value('offset', 3, 29, (eights) => hex(eights * 8, 8)),
  ),
]);
