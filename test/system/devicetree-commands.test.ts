/** `pk dt` as people use it. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { decode, encode, parseDts, printDts } from '../../src/devicetree/index.ts';
import { hostProcesses } from '../support/host-processes.ts';
import { Sandbox } from '../support/pk.ts';

const BOARD = '/dts-v1/;\n/ { uart: serial@1000 { status = "disabled"; }; };\n';
const OVERLAY = '/dts-v1/; /plugin/; &uart { status = "okay"; extra; };';

let directory: string;
let test: Sandbox;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pk-dt-'));
  test = await Sandbox.create();
  writeFileSync(join(directory, 'board.dts'), BOARD);
  writeFileSync(join(directory, 'uart.dts'), OVERLAY);
});
afterEach(() => {
  for (const made of [directory, test.home]) rmSync(made, { recursive: true, force: true });
});
const at = (name: string) => join(directory, name);

it('compiles, decompiles, overlays and compares, without a daemon', async () => {
  await test.ok('dt', 'compile', '--symbols', at('board.dts'), '-o', at('board.dtb'));
  expect(readFileSync(at('board.dtb')).equals(encode(parseDts(BOARD, { symbols: true })))).toBe(true);
  expect(await test.ok('dt', 'decompile', at('board.dtb'))).toBe(printDts(parseDts(BOARD, { symbols: true })));
  await test.ok('dt', 'overlay', at('board.dtb'), at('uart.dts'), '--output', at('both.dtb'));
  const { code, stdout } = await test.pk(['dt', 'diff', at('board.dtb'), at('both.dtb')]);
  expect([code, stdout.split('\n')]).toEqual([
    1,
    ['- /serial@1000: status = "disabled";', '+ /serial@1000: status = "okay";', '+ /serial@1000: extra;', ''],
  ]);
  const same = await test.pk(['dt', 'diff', '--json', at('board.dtb'), at('board.dtb')]);
  expect([same.code, same.stdout]).toEqual([0, '[]\n']);
  expect(await hostProcesses(test.home)).toEqual([]);
});

it('takes standard input, versions and boot CPUs', async () => {
  const { code, stderr } = await test.pk(
    ['dt', 'compile', '-', '--version', '16', '--boot-cpu', '3', '-o', at('old.dtb')],
    BOARD,
  );
  expect([code, stderr]).toEqual([0, '']);
  const blob = readFileSync(at('old.dtb'));
  expect([blob.readUInt32BE(20), decode(blob).bootCpu]).toEqual([16, 3]);
});

it('has cpp do what macros say, when asked, and keeps places', async () => {
  mkdirSync(at('include'));
  writeFileSync(at('include/base.h'), '#define BASE 0x1000\n');
  writeFileSync(at('board.dts'), '/dts-v1/;\n#include <base.h>\n/ { a = <(BASE + 1)>; };\n');
  await test.ok('dt', 'compile', '--cpp', '-I', at('include'), at('board.dts'), '-o', at('board.dtb'));
  expect(readFileSync(at('board.dtb')).equals(encode(parseDts('/dts-v1/; / { a = <0x1001>; };')))).toBe(true);
  writeFileSync(at('board.dts'), '/dts-v1/;\n#include <base.h>\n/ { a = <BASE };\n');
  const bad = await test.pk(['dt', 'compile', '--cpp', '-I', at('include'), at('board.dts')]);
  expect([bad.code, bad.stderr]).toEqual([2, expect.stringContaining(`${at('board.dts')}:3:`)]);
  writeFileSync(at('board.dts'), '/dts-v1/;\n#include <none.h>\n/ {};\n');
  const none = await test.pk(['dt', 'compile', '--cpp', at('board.dts')]);
  expect([none.code, none.stderr]).toEqual([2, expect.stringMatching(/board\.dts:2:10: fatal error: none\.h/)]);
});

it('shows where a source is wrong, and reads no file that it was not told of', async () => {
  writeFileSync(at('bad.dts'), '/dts-v1/;\n/ {\n\ta = <0x100000000>;\n};\n');
  const bad = await test.pk(['dt', 'compile', at('bad.dts')]);
  expect([bad.code, bad.stdout]).toEqual([2, '']);
  expect(bad.stderr).toContain(
    `pk: ${at('bad.dts')}:3:7: 0x100000000 has more than 32 bits\n  | \ta = <0x100000000>;\n  | \t     ^\n`,
  );
  writeFileSync(at('reads.dts'), '/dts-v1/; / { a = /incbin/("/etc/hostname"); };');
  const reads = await test.pk(['dt', 'compile', at('reads.dts')]);
  expect([reads.code, reads.stdout]).toEqual([2, '']);
  expect(reads.stderr).toContain('there is no file "/etc/hostname"');
  const missing = await test.pk(['dt', 'decompile', at('missing.dtb')]);
  expect([missing.code, missing.stderr]).toEqual([125, `pk: ${at('missing.dtb')}: there is no such file\n`]);
});

it('says what a kernel would refuse in a tree', async () => {
  writeFileSync(at('pool.dts'), '/dts-v1/; / { resources { cpus = <0 4>; memory@0 { size = <0 0x40000000>; }; }; };');
  const good = await test.ok('dt', 'validate', at('pool.dts'), '--schema', 'multikernel');
  expect(good).toBe(`${at('pool.dts')} is a good baseline\n`);
  const bad = await test.pk(['dt', 'validate', '--schema', 'multikernel', at('board.dts')]);
  expect([bad.code, bad.stdout]).toEqual([1, 'error: /: there is no node resources (EINVAL)\n']);
  const plain = await test.pk(['dt', 'validate', '--json', at('board.dts')]);
  expect([plain.code, JSON.parse(plain.stdout)]).toEqual([0, { what: 'device tree', findings: [] }]);
});
