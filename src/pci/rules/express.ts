/** The PCI Express capability (PCIe 7.5.3): which registers there are depends on its version, the port's type and its slot. */
import { bytes, flags, oneOf, type Register, register, value } from '../register.ts';
import type { CapabilityRule, Look, Shape } from './rule.ts';

/** PCIe 7.5.3.2, bits 7:4. */
const PORT_TYPES = [
  'Endpoint',
  'Legacy Endpoint',
  'unknown (2)',
  'unknown (3)',
  'Root Port',
  'Upstream Port',
  'Downstream Port',
  'PCI-Express to PCI/PCI-X Bridge',
  'PCI/PCI-X to PCI-Express Bridge',
  'Root Complex Integrated Endpoint',
  'Root Complex Event Collector',
];
const ROOT_PORT = 4;
const DOWNSTREAM_PORT = 6;
const EVENT_COLLECTOR = 10;

const payload = (index: number): string => (index > 5 ? 'reserved' : `${128 << index} bytes`);
const SPEEDS = ['unknown', '2.5GT/s', '5GT/s', '8GT/s', '16GT/s', '32GT/s', '64GT/s'];
const speed = (index: number): string => SPEEDS[index] ?? 'unknown';
const width = (lanes: number): string => `x${lanes}`;
const aspm = oneOf('Disabled', 'L0s Enabled', 'L1 Enabled', 'L0s L1 Enabled');

const DEVICE: readonly Register[] = [
  register(
    'DevCap',
    0x04,
    4,
    'S',
    value('MaxPayload', 0, 3, payload),
    value('PhantFunc', 3, 2, (bits) => String([0, 1, 3, 7][bits])),
    flags('ExtTag', 5),
    value('L0sLatency', 6, 3),
    value('L1Latency', 9, 3),
    flags('AttnBtn AttnInd PwrInd RBE', 12),
    value('SlotPowerLimit', 18, 8),
    value('SlotPowerScale', 26, 2),
    flags('FLReset', 28),
  ),
  // Bit 15 resets the function.
  register(
    'DevCtl',
    0x08,
    2,
    'W',
    flags('CorrErr NonFatalErr FatalErr UnsupReq RlxdOrd'),
    value('MaxPayload', 5, 3, payload),
    flags('ExtTag PhantFunc AuxPwr NoSnoop', 8),
    value('MaxReadReq', 12, 3, payload),
  ),
  register('DevSta', 0x0a, 2, 'N', flags('CorrErr NonFatalErr FatalErr UnsupReq AuxPwr TransPend')),
];

const LINK: readonly Register[] = [
  register(
    'LnkCap',
    0x0c,
    4,
    'W',
    value('Speed', 0, 4, speed),
    value('Width', 4, 6, width),
    value('ASPM', 10, 2, oneOf('not supported', 'L0s', 'L1', 'L0s L1')),
    value('L0sExitLatency', 12, 3),
    value('L1ExitLatency', 15, 3),
    flags('ClockPM Surprise LLActRep BwNot ASPMOptComp', 18),
    value('Port', 24, 8),
  ),
  register(
    'LnkCtl',
    0x10,
    2,
    'W',
    value('ASPM', 0, 2, aspm),
    flags('. . Disabled . CommClk ExtSynch ClockPM AutWidDis BWInt AutBWInt', 2),
  ),
  register(
    'LnkSta',
    0x12,
    2,
    'N',
    value('Speed', 0, 4, speed),
    value('Width', 4, 6, width),
    flags('TrErr Train SlotClk DLActive BWMgmt ABWMgmt', 10),
  ),
];

const SLOT: readonly Register[] = [
  register(
    'SltCap',
    0x14,
    4,
    'S',
    flags('AttnBtn PwrCtrl MRL AttnInd PwrInd Surprise HotPlug'),
    value('PowerLimit', 7, 8),
    value('PowerScale', 15, 2),
    flags('Interlock NoCompl', 17),
    value('Slot', 19, 13, (slot) => `#${slot}`),
  ),
  register(
    'SltCtl',
    0x18,
    2,
    'W',
    flags('AttnBtn PwrFlt MRL PresDet CmdCplt HPIrq'),
    value('AttnInd', 6, 2, oneOf('Unknown', 'On', 'Blink', 'Off')),
    value('PwrInd', 8, 2, oneOf('Unknown', 'On', 'Blink', 'Off')),
    flags('Power Interlock LinkChg', 10),
  ),
  register(
    'SltSta',
    0x1a,
    2,
    'N',
    flags('AttnBtn PowerFlt MRLChanged PresDetChanged CmdCplt MRL PresDet Interlock LinkStateChanged'),
  ),
];

const ROOT: readonly Register[] = [
  register('RootCtl', 0x1c, 2, 'W', flags('ErrCorrectable ErrNon-Fatal ErrFatal PMEIntEna CRSVisible')),
  register('RootCap', 0x1e, 2, 'S', flags('CRSVisible')),
  register('RootSta', 0x20, 4, 'N', value('PMEReqID', 0, 16), flags('PMEStatus PMEPending', 16)),
];

/** Version 2 and up. What a function has no use for reads as zero, and is there. */
const SECOND: readonly Register[] = [
  register(
    'DevCap2',
    0x24,
    4,
    'S',
    value('TimeoutRanges', 0, 4),
    flags('TimeoutDis ARIFwd AtomicOpRouting 32bit 64bit 128bitCAS NROPrPrP LTR', 4),
    value('TPHCompletion', 12, 2),
    flags('10BitTagComp 10BitTagReq', 16),
    value('OBFF', 18, 2),
    flags('ExtFmt EETLPPrefix', 20),
    value('MaxEETLPPrefixes', 22, 2),
    value('EmergencyPowerReduction', 24, 2),
    flags('EmergencyPowerReductionInit', 26),
    flags('FRS', 31),
  ),
  register(
    'DevCtl2',
    0x28,
    2,
    'W',
    value('Timeout', 0, 4),
    flags('TimeoutDis ARIFwd AtomicOpReq AtomicOpEgressBlk IDOReq IDOCompl LTR', 4),
    flags('EmergencyPowerReductionReq 10BitTagReq', 11),
    value('OBFF', 13, 2, oneOf('Disabled', 'Via message A', 'Via message B', 'Via WAKE#')),
    flags('EETLPPrefixBlk', 15),
  ),
  register('DevSta2', 0x2a, 2, 'N'),
  register(
    'LnkCap2',
    0x2c,
    4,
    'S',
    value('SupportedSpeeds', 1, 7),
    flags('Crosslink', 8),
    flags('Retimer 2Retimers', 23),
    flags('DRS', 31),
  ),
  register(
    'LnkCtl2',
    0x30,
    2,
    'W',
    value('TargetSpeed', 0, 4, speed),
    flags('EnterCompliance SpeedDis', 4),
    value('TransmitMargin', 7, 3),
    flags('EnterModifiedCompliance ComplianceSOS', 10),
  ),
  register(
    'LnkSta2',
    0x32,
    2,
    'N',
    value('De-emphasis', 0, 1, oneOf('-6dB', '-3.5dB')),
    flags(
      'EqualizationComplete EqualizationPhase1 EqualizationPhase2 EqualizationPhase3 LinkEqualizationRequest Retimer 2Retimers',
      1,
    ),
  ),
  bytes('SltCap2', 0x34, 4, 'S'),
  bytes('SltCtl2', 0x38, 2, 'W'),
  bytes('SltSta2', 0x3a, 2, 'N'),
];

const FLAGS = register(
  'Flags',
  2,
  2,
  'S',
  value('version', 0, 4),
  value('Type', 4, 4, (type) => PORT_TYPES[type] ?? `unknown (${type})`),
  flags('Slot', 8),
  value('IntMsgNum', 9, 5),
);

const LINK_STATUS = 0x12;

/**
 * Of a virtual function: of these the bits are reserved, and the physical function's apply; DevCtl can start a reset (PCIe 7.5.3.4,
 * 7.5.3.7, 7.5.3.8, 7.5.3.16, 7.5.3.17, 7.5.3.19, 7.5.3.20). Some devices show the physical function's link all the same, which is zero
 * never while there is one: only where it is may the equalization of that link not show either.
 */
const RESERVED = new Map<string, Pick<Register, 'zeroBut' | 'zeroWith'>>([
  ['DevCtl', { zeroBut: 0x8000 }],
  ['LnkCtl', { zeroBut: 0 }],
  ['LnkSta', { zeroBut: 0 }],
  ['DevCtl2', { zeroBut: 0 }],
  ['DevSta2', { zeroBut: 0 }],
  ['LnkCtl2', { zeroBut: 0 }],
  ['LnkSta2', { zeroBut: 0, zeroWith: LINK_STATUS }],
]);
/** Latencies of the link follow its clock, which is set in Link Control: that of a virtual function is the physical one's (PCIe 7.5.3.6). */
const ofVirtual = (each: Register): Register => {
  if (each.name === 'LnkCap') return { ...each, class: 'S' };
  const zero = RESERVED.get(each.name);
  return zero === undefined ? each : { ...each, class: 'S', ...zero };
};

/**
 * What an endpoint has no use for is hardwired to zero (PCIe 7.5.3), which Linux relies on as well (pcie_capability_reg_implemented). Of
 * others it is only not shown: ports may have slots that they do not tell of.
 */
const ENDPOINT = 0;
const unused = (registers: readonly Register[], type: number): Register[] =>
  registers.map((each) =>
    type === ENDPOINT ? { ...each, hidden: true, class: 'S', isZero: true } : { ...each, hidden: true },
  );

const hidden = (registers: readonly Register[]): Register[] => registers.map((each) => ({ ...each, hidden: true }));

function shape(look: Look): Shape {
  const { bytes, registers } = shapeOf(look);
  return { bytes, registers: look.virtual ? registers.map(ofVirtual) : registers };
}

function shapeOf(look: Look): Shape {
  const of = look.u16(2);
  const type = (of >> 4) & 0xf;
  const root = type === ROOT_PORT || type === EVENT_COLLECTOR;
  const slot = (type === ROOT_PORT || type === DOWNSTREAM_PORT) && (of & 0x100) !== 0;
  // Only those have interrupts of their own, whose number follows how many messages MSI may send (PCIe 7.5.3.2).
  const first: Register = root || type === DOWNSTREAM_PORT ? { ...FLAGS, class: 'W' } : FLAGS;
  // What a function has no use for says nothing, and is not read.
  if ((of & 0xf) >= 2)
    return {
      bytes: 0x3c,
      registers: [
        ...[first, ...DEVICE, ...LINK],
        ...(slot ? SLOT : unused(SLOT, type)),
        ...(root ? ROOT : unused(ROOT, type)),
        ...SECOND,
      ],
    };
  // Version 1 ends where the registers that its type has no use for would begin (PCIe 1.1, 7.8).
  return {
    bytes: root ? 0x24 : slot ? 0x1c : 0x14,
    registers: [first, ...DEVICE, ...LINK, ...(slot ? SLOT : root ? hidden(SLOT) : []), ...(root ? ROOT : [])],
  };
}

export const PCI_EXPRESS: CapabilityRule = { id: 0x10, name: 'Express', source: 'PCIe 7.5.3', shape };
