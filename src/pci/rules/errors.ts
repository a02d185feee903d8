/** Capabilities by which errors are reported: logs and status are the device's, masks and severities the system's. */
import { bytes, flags, type Register, register, value } from '../register.ts';
import type { CapabilityRule, Look, Shape } from './rule.ts';

const UNCORRECTABLE =
  '. . . . DLP SDES . . . . . . TLP FCP CmpltTO CmpltAbrt UnxCmplt RxOF MalfTLP ECRC UnsupReq ACSViol';
const CORRECTABLE = 'RxErr . . . . . BadTLP BadDLLP Rollover . . . Timeout AdvNonFatalErr';

/** PCIe 7.8.4. Root ports and event collectors have more; the longest has a log of TLP prefixes. */
function aer(look: Look): Shape {
  const registers: Register[] = [
    register('UESta', 0x04, 4, 'N', flags(UNCORRECTABLE)),
    register('UEMsk', 0x08, 4, 'W', flags(UNCORRECTABLE)),
    register('UESvrt', 0x0c, 4, 'W', flags(UNCORRECTABLE)),
    register('CESta', 0x10, 4, 'N', flags(CORRECTABLE)),
    register('CEMsk', 0x14, 4, 'W', flags(CORRECTABLE)),
    // The first error's number is in it, which the device sets.
    register(
      'AERCap',
      0x18,
      4,
      'N',
      value('First Error Pointer', 0, 5),
      flags('ECRCGenCap ECRCGenEn ECRCChkCap ECRCChkEn MultHdrRecCap MultHdrRecEn TLPPfxPres HdrLogCap', 5),
    ),
    bytes('HeaderLog', 0x1c, 16, 'N'),
  ];
  if (!look.root) return { bytes: 0x2c, registers };
  return {
    bytes: 0x38,
    registers: [
      ...registers,
      register('RootCmd', 0x2c, 4, 'W', flags('CERptEn NFERptEn FERptEn')),
      register(
        'RootSta',
        0x30,
        4,
        'N',
        flags('CERcvd MultCERcvd UERcvd MultUERcvd FirstFatal NonFatalMsg FatalMsg'),
        value('IntMsg', 27, 5),
      ),
      bytes('ErrorSrc', 0x34, 4, 'N'),
    ],
  };
}

export const AER: CapabilityRule = { id: 0x01, name: 'Advanced Error Reporting', source: 'PCIe 7.8.4', shape: aer };

/** PCIe 7.9.14. Root ports with extensions (bit 5 of its capability) have the registers of programmed I/O. */
function dpc(look: Look): Shape {
  const registers: Register[] = [
    // The number of its interrupt follows how many messages MSI may send.
    register(
      'DpcCap',
      4,
      2,
      'W',
      value('INT Msg', 0, 5, (index) => `#${index}`),
      flags('RPExt PoisonedTLP SwTrigger', 5),
      value('RP PIO Log', 8, 4),
      flags('DL_ActiveErr', 12),
    ),
    // Bit 6 takes the link below down.
    register(
      'DpcCtl',
      6,
      2,
      'W',
      value('Trigger', 0, 2),
      flags('Cmpl INT ErrCor PoisonedTLP SwTrigger DL_ActiveErr', 2),
    ),
    register('DpcSta', 8, 2, 'N', flags('Trigger'), value('Reason', 1, 2), flags('INT RPBusy', 3)),
    bytes('Source', 10, 2, 'N'),
  ];
  if ((look.u16(4) & 0x20) === 0) return { bytes: 12, registers };
  return {
    bytes: 0x20 + 4 * ((look.u16(4) >> 8) & 0xf),
    registers: [
      ...registers,
      bytes('PIOStatus', 0x0c, 4, 'N'),
      // Mask, severity, system error, exception.
      bytes('PIOControl', 0x10, 16, 'W'),
      bytes('PIOLog', 0x20, 4 * ((look.u16(4) >> 8) & 0xf), 'N'),
    ],
  };
}

export const DPC: CapabilityRule = {
  id: 0x1d,
  name: 'Downstream Port Containment',
  source: 'PCIe 7.9.14',
  shape: dpc,
};
