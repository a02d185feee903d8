/** Device trees: blobs, sources and overlays from anywhere. */
import {
  applyOverlay,
  type DeviceTree,
  decode,
  diffTrees,
  encode,
  parseDts,
  printDts,
} from '../../../src/devicetree/index.ts';
import { PolykernelError } from '../../../src/sys/errors.ts';
import { must, type Target } from '../target.ts';

const blob: Target = {
  name: 'devicetree-blob',
  dictionary: [
    ...[
      [0xd0, 0x0d, 0xfe, 0xed],
      [0, 0, 0, 1],
      [0, 0, 0, 1, 0x61, 0, 0, 0],
      [0, 0, 0, 2],
      [0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0],
      [0, 0, 0, 4],
      [0, 0, 0, 9],
      [0, 0, 0, 16],
      [0, 0, 0, 17],
    ].map((bytes) => Buffer.from(bytes)),
    'phandle\0',
    'compatible\0',
  ],
  // A node of 12 bytes is an object with two lists.
  output: { base: 64 * 1024, perByte: 256 },
  steps: { base: 20_000, perByte: 600 },
  run(input) {
    const tree = decode(input);
    const again = encode(tree);
    must(diffTrees(decode(again), tree).length === 0, 'a tree reads as it was written');
    must(Buffer.from(encode(decode(again))).equals(again), 'a blob of ours is the same when it is written again');
    return [tree, again, readBack(tree)];
  },
};

/** What is printed reads back, unless the blob has what no source can say: wrong names, phandles twice. */
function readBack(tree: DeviceTree): unknown {
  const source = printDts(tree);
  let read: DeviceTree;
  try {
    read = parseDts(source, { bootCpu: tree.bootCpu });
  } catch (error) {
    if (!(error instanceof PolykernelError) || !/phandle|"name"/.test(error.message)) throw error;
    return error.message;
  }
  must(
    diffTrees(tree, read).every(({ property }) => property === 'name'),
    'a source reads back to its tree',
  );
  must(read.bootCpu === tree.bootCpu, 'with its boot CPU');
  return source;
}

const WORDS = [
  ...[
    '/dts-v1/;',
    '/plugin/;',
    '/memreserve/ 0x1000 0x10;',
    '/ { };',
    '{ };',
    '};',
    'a = <1>;',
    'l: n@1 { };',
    '&l { };',
  ],
  ...[
    '&{/n}',
    '<&l 1>',
    '"text"',
    '[00 ff]',
    '/bits/ 64 <',
    '/delete-node/ n;',
    '/delete-property/ a;',
    'phandle = <1>;',
  ],
  ...[
    '/omit-if-no-ref/ ',
    '(1 + 2 * 3)',
    '(1 ? 2 : 3)',
    '((((',
    '~-!',
    "'\\n'",
    '\\x41',
    '/* */',
    '// x\n',
    '# 1 "f" 1\n',
  ],
  ...[
    '/include/ "f"',
    '/incbin/("f", 1, 2)',
    'name = "n";',
    '18446744073709551615',
    '0x7fULL',
    ' << ',
    ' && ',
    '/delete-node/ &l;',
  ],
];

const source: Target = {
  name: 'devicetree-source',
  dictionary: WORDS,
  output: { base: 128 * 1024, perByte: 512 },
  steps: { base: 60_000, perByte: 3000 },
  run(input) {
    const files = { read: (name: string) => (name === 'f' ? { path: 'f', bytes: Buffer.from('a;') } : undefined) };
    const tree = parseDts(input, { symbols: input.length % 2 === 0, aliases: input.length % 3 === 0, files });
    const bytes = encode(tree);
    const same = diffTrees(decode(bytes), { ...tree, reservations: [] });
    must(same.length === 0, 'a tree reads as it was written');
    return [tree, readBack(tree)];
  },
};

const BASE = parseDts('/dts-v1/; / { a: a { b: b@1 { }; }; c: c { x = <&b>; }; aliases { al = &a; }; };', {
  symbols: true,
});

const overlay: Target = {
  name: 'devicetree-overlay',
  dictionary: [
    ...WORDS,
    '__fixups__ { a = "/f:p:0"; };',
    '__local_fixups__ { };',
    '__symbols__ { s = "/f@0/__overlay__/x"; };',
  ].concat(['fragment@0 { target-path = "/a"; __overlay__ { }; };', 'target = <&a>;', 'target-path = "al/b";']),
  output: { base: 128 * 1024, perByte: 2048 },
  steps: { base: 100_000, perByte: 4000 },
  run(input) {
    const added = input[0] === 0xd0 ? decode(input) : parseDts(input, { symbols: true });
    const before = printDts(added);
    const tree = applyOverlay(BASE, added);
    must(printDts(added) === before, 'an overlay stays as it was');
    must(printDts(applyOverlay(BASE, added)) === printDts(tree), 'and can be applied again');
    return [tree, encode(tree)];
  },
};

export const deviceTreeTargets: readonly Target[] = [blob, source, overlay];
