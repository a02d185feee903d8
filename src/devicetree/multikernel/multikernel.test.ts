/** Against the worked example of the reference: the headers, sizes and offsets that kernels of August 2026 take. */
import { describe, expect, it } from 'vitest';
import { decode } from '../blob/decode.ts';
import { encode } from '../blob/encode.ts';
import { parseDts } from '../parse.ts';
import { printDts } from '../print.ts';
import type { DeviceTree } from '../tree.ts';
import {
  type Baseline,
  baselineTree,
  type Change,
  firstBaselineTree,
  firstOverlayTree,
  formatOf,
  OVERLAY_BYTES,
  overlays,
  readInstance,
  readPool,
  validateMultikernel,
} from './index.ts';

const GIB = 2 ** 30;
const NIC = { kind: 'pci', address: '0000:09:00.0', vendor: 0x8086, device: 0x1572 } as const;
const BASELINE: Baseline = {
  cpus: [4, 5, 6, 7],
  memory: [{ bytes: GIB, node: 0 }],
  devices: [{ ...NIC, alias: 'eth0' }],
};
const CREATE: Change[] = [
  { target: 'create', name: 'web', id: 1, cpus: [4, 5], memoryBytes: GIB / 2 },
  { target: 'instance', name: 'web', addDevices: [{ address: NIC.address }] },
];

const header = (blob: Uint8Array) => Buffer.from(blob.subarray(0, 40)).toString('hex').match(/.{8}/g)!.join(' ');

describe('what is written', () => {
  it('is the baseline that the kernel documents, byte by byte where it is known', () => {
    const blob = encode(baselineTree(BASELINE));
    expect(header(blob)).toBe(
      'd00dfeed 000001e2 00000038 00000194 00000028 00000011 00000010 00000000 0000004e 0000015c',
    );
    const strings = Buffer.from(blob.subarray(0x194)).toString('latin1').split('\0');
    expect(strings.slice(0, -1)).toEqual(
      'compatible cpus size numa-node-id device-type pci-id vendor-id device-id eth0'.split(' '),
    );
  });

  it('is the overlay that makes an instance and hands it a function', () => {
    const [blob, ...more] = overlays(CREATE);
    expect(more).toEqual([]);
    expect(header(blob!)).toBe(
      'd00dfeed 000001f1 00000038 000001b0 00000028 00000011 00000010 00000000 00000041 00000178',
    );
  });

  it('is what kernels before August 2026 took, where it is for them', () => {
    const { devices, ...plain } = BASELINE;
    const text = printDts(firstBaselineTree({ ...plain, devices: devices! }, { base: 0x1_0000_0000, bytes: GIB }));
    expect(text).toContain('memory-base = <0x01 0x00>');
    const create = { target: 'create', name: 'web', id: 1, cpus: [4], memoryBase: GIB, memoryBytes: GIB } as const;
    expect(encode(firstOverlayTree({ ...create, deviceNames: ['eth0'] })).length).toBeLessThan(OVERLAY_BYTES);
    const change = { target: 'instance', name: 'web', addMemory: [{ base: GIB, bytes: GIB }], addCpus: [10] } as const;
    const update = printDts(firstOverlayTree(change));
    expect(update.match(/mk,instance = "web"/g)).toHaveLength(2);
    expect(update).toContain('region@0');
    expect(printDts(firstOverlayTree({ target: 'remove', name: 'web' }))).toContain('instance-remove');
  });

  it('is split where a page has no room for it, and says the same in the same order', () => {
    const cpus = Array.from({ length: 900 }, (_, index) => index + 4);
    const blobs = overlays([
      { target: 'pool', addCpus: cpus },
      { target: 'create', name: 'big', cpus, memoryBytes: GIB },
      { target: 'remove', name: 'old' },
    ]);
    expect(blobs.length).toBeGreaterThan(9);
    for (const blob of blobs) expect(blob.length).toBeLessThanOrEqual(OVERLAY_BYTES);
    const said = blobs.map((blob) => printDts(decode(blob))).join('');
    expect(said.match(/cpu@/g)).toHaveLength(900 + 900 - 256);
    expect(said.indexOf('instance-create')).toBeGreaterThan(said.lastIndexOf('"/resources"'));
    expect(said.indexOf('instance-remove')).toBeGreaterThan(said.lastIndexOf('"/instances/big"'));
    for (const blob of blobs) expect(validateMultikernel(decode(blob)).findings).toEqual([]);
  });

  it('is refused for names that are none', () => {
    for (const name of ['', 'a/b', 'a b', 'x'.repeat(64)])
      expect(() => overlays([{ target: 'remove', name }])).toThrow(/cannot be called/);
    expect(() => overlays([{ target: 'pool', addCpus: [-1] }])).toThrow(/whole number/);
  });
});

const POOL = `/dts-v1/;
/ {
  compatible = "multikernel-v1"; #address-cells = <2>; #size-cells = <2>; id = <0>;
  resources {
    cpus = <0 4 0 5 0 6 0 7>; cpus-available = <0 6 0 7>;
    memory@100000000 { device_type = "memory"; reg = <1 0 0 0x40000000>; numa-node-id = <0>; };
    devices { serial8250 { }; };
  };
  pci@0 {
    compatible = "multikernel,pci-host-bridge"; linux,pci-domain = <0>;
    pci@1,0 { bus-range = <9 9>; pci@0,0 { reg = <0x090000 0 0 0 0>; vendor-id = <0x8086>; device-id = <0x1572>; }; };
  };
};`;

describe('what is read', () => {
  it('tells a pool from a kernel without one', () => {
    const tree = parseDts(POOL);
    expect(formatOf(tree)).toBe('second');
    expect(readPool(tree)).toEqual({
      exists: true,
      cpus: [4, 5, 6, 7],
      freeCpus: [6, 7],
      chunks: [{ base: 2 ** 32, bytes: GIB, node: 0 }],
      functions: [{ address: '0000:09:00.0', vendor: 0x8086, device: 0x1572 }],
      platformDevices: ['serial8250'],
    });
    const none = parseDts('/dts-v1/; / { id = <0>; resources { cpus = <0 0 0 1>; }; };');
    expect(readPool(none)).toMatchObject({ exists: false, cpus: [0, 1], freeCpus: [] });
    expect(formatOf(none)).toBe('first');
    expect(readPool(parseDts('/dts-v1/; / { };'))).toMatchObject({ exists: false });
  });

  it('gives an instance, and nothing of what is none', () => {
    const instance = `/dts-v1/; / { model = "web"; id = <3>;
      resources { memory-base = <1 0>; memory-bytes = <0 0x20000000>; cpus = <0 4 0 5>; }; };`;
    expect(readInstance(parseDts(instance))).toMatchObject({ name: 'web', id: 3, cpus: [4, 5], memoryBytes: GIB / 2 });
    expect(() => readInstance(parseDts('/dts-v1/; / { };'))).toThrow(/lacks/);
    const odd = parseDts('/dts-v1/; / { model = "a"; id = <1>; resources { cpus = <1>; memory-base = "x"; }; };');
    expect(readInstance(odd)).toMatchObject({ cpus: [], memoryBase: 0 });
    const placeless = parseDts('/dts-v1/; / { resources { memory@0 { }; }; };');
    expect(() => readPool(placeless)).toThrow(/without its place/);
  });
});

describe('what is judged', () => {
  const findings = (source: string) =>
    validateMultikernel(parseDts(`/dts-v1/; / { ${source} };`)).findings.map(
      ({ kind, path, problem }) => `${kind} ${path} ${problem}`,
    );

  it('finds nothing in what is written here', () => {
    const trees: DeviceTree[] = [baselineTree(BASELINE), ...overlays(CREATE).map((blob) => decode(blob))];
    expect(trees.map((tree) => validateMultikernel(tree))).toEqual([
      { what: 'baseline', findings: [] },
      { what: 'overlay', findings: [] },
    ]);
  });

  it.each([
    ['', /error \/ .*resources/],
    ['resources { };', /cpus has to be/],
    ['resources { cpus = <0 0>; memory@0 { size = <0 4096>; }; };', /warning .*boots the machine/],
    ['resources { cpus = <0 4 0 4>; memory@0 { size = <0 4096>; }; };', /twice/],
    ['resources { cpus = <0 4>; memory-base = <0 0>; };', /before August 2026/],
    ['resources { cpus = <0 4>; memory@0 { size = <0 1>; numa-node-id = "x"; }; };', /pages.*numa-node-id/s],
    ['resources { cpus = <0 4>; memory@0 { size = <0 4096>; reg = <0>; }; };', /chooses/],
    ['instances { a { }; }; resources { };', /EINVAL/],
    [
      'resources { devices { a { }; b { device-type = "usb"; }; c { device-type = "pci"; }; }; };',
      /passed over.*usb.*pci-id.*vendor-id/s,
    ],
    ['resources { }; aliases { e = "/nowhere"; };', /not the path of a device/],
    ['fragment@x { };', /hexadecimal.*__overlay__.*target-path/s],
    ['fragment@0 { target-path = "/x"; __overlay__ { }; };', /neither/],
    [
      'fragment@0 { target-path = "/instances"; __overlay__ { cpu-add { }; instance-remove { }; }; };',
      /only instance.*instance-name/s,
    ],
    [
      'fragment@0 { target-path = "/resources"; __overlay__ { x { }; cpu-add { cpu4 { }; cpu@4 { }; }; }; };',
      /no operation.*begin with cpu@.*reg has/s,
    ],
    [
      'fragment@0 { target-path = "/resources"; __overlay__ { memory-add { memory@0 { size = <0 0>; reg = <0>; }; }; }; };',
      /size is 0.*refused/s,
    ],
    [
      'fragment@0 { target-path = "/instances/a"; __overlay__ { device-add { pci@0 { pci-id = "x"; }; }; memory-add { memory@0 { }; }; }; };',
      /pci-id.*a base and a size/s,
    ],
    [
      'fragment@0 { target-path = "/instances"; __overlay__ { instance-create { id = <0>; }; }; };',
      /instance-name.*id is 0.*resources/s,
    ],
    [
      'fragment@0 { target-path = "/instances"; __overlay__ { instance-create { instance-name = "a b"; id = <4096>; resources { device-names = "x"; memory-base = <0 0>; memory-bytes = <0 1>; }; }; }; };',
      /directory.*2047.*device-names.*without cpus.*chooses.*pages/s,
    ],
    [`fragment@0 { x = "${'a'.repeat(5000)}"; };`, /make several/],
  ])('finds what is wrong in %s', (source, expected) => {
    expect(findings(source).join('\n')).toMatch(expected);
  });
});
