/** What devices say in their configuration spaces, dumps of them, and the file in which what is constant is kept. */
import { createHash } from 'node:crypto';
import { decodeStore, encodeStore, STORE_VERSION } from '../../../src/pci/cache/store.ts';
import { decode } from '../../../src/pci/decode.ts';
import { parseDump } from '../../../src/pci/dump.ts';
import { CLASS_N, readLayout } from '../../../src/pci/layout.ts';
import { PciNames } from '../../../src/pci/names.ts';
import { Image } from '../../../src/pci/source.ts';
import { must, type Target } from '../target.ts';

const space: Target = {
  name: 'pci-space',
  dictionary: [
    '\x01\x48',
    '\x05\x50\x80\x01',
    '\x10\x00\x02\x00',
    '\x11\x00',
    '\x14\x00\x3f',
    '\x10\x00\x01\x15',
    '\x2e\x00\x01\x00',
    '\xff\xff\xff\xff',
  ],
  steps: { base: 200_000, perByte: 2000 },
  output: { base: 512 * 1024, perByte: 512 },
  run(input) {
    const bytes = new Uint8Array(input.length <= 64 ? 64 : input.length <= 256 ? 256 : 4096);
    bytes.set(input.subarray(0, bytes.length));
    const image = new Image(bytes);
    const layout = readLayout(image);
    if (layout === undefined) return undefined;
    must(layout.capabilities.length < 1100, 'each place has one capability at most');
    for (const { offset, registers } of layout.capabilities)
      must(
        registers.every((register) => offset + register.at + register.bytes <= bytes.length),
        'registers lie within the space',
      );
    must(layout.classes[6] === CLASS_N && layout.classes[7] === CLASS_N, 'status is never kept');
    return decode(image, { registers: true });
  },
};

const dump: Target = {
  name: 'pci-dump',
  dictionary: [
    '0000:00:1f.7 ',
    '\n00: 86 80',
    '\n10: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00',
    '\nff0:',
    '\n\n',
  ],
  run: (input) => [...parseDump(input.toString('latin1'))],
};

const store: Target = {
  name: 'pci-store',
  dictionary: [
    STORE_VERSION,
    '{"boot":"b",',
    '"functions":[',
    '["D0",0,["0000:00:00.0","1"]]',
    '"constants":[',
    '[true,[[0,"8680"]]]',
    '"statistics":{',
  ],
  // The digest is that of what follows, else nothing else would be looked at.
  repair(input) {
    const text = input.toString('utf8');
    const body = text.slice(text.indexOf('\n') + 1);
    const digest = createHash('sha256').update(body).digest('hex');
    return Buffer.from(`${STORE_VERSION} ${digest}\n${body}`, 'utf8');
  },
  run(input) {
    const stored = decodeStore(input.toString('utf8'), 'b');
    if (stored !== undefined)
      must(decodeStore(encodeStore(stored, 'b'), 'b') !== undefined, 'what is read can be written');
    return stored;
  },
};

const names: Target = {
  name: 'pci-names',
  dictionary: [
    '\n8086  Intel\n',
    '\t1521  I350\n',
    '\t\t8086 0001  Adapter\n',
    '\nC 02  Network\n',
    '\t00  Ethernet\n',
  ],
  run(input) {
    const found = new PciNames(input.toString('utf8'));
    return [
      found.vendor(0x8086),
      found.device(0x8086, 0x1521),
      found.subsystem(0x8086, 0x1521, 0x8086, 1),
      found.class(0x020000),
    ];
  },
};

export const pciTargets: readonly Target[] = [space, dump, store, names];
