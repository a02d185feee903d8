import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PolykernelError } from '../sys/errors.ts';
import { filesBelow, parseDts, readRegular } from './index.ts';
import { LIMITS } from './limits.ts';

const root = (body: string) => `/dts-v1/;\n/ { ${body} };\n`;

/** The first line of what `source` is refused with. */
function refusal(source: string | Uint8Array): string {
  try {
    parseDts(source, { file: 'x.dts' });
  } catch (error) {
    if (error instanceof PolykernelError) return error.message.split('\n', 1)[0]!;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('errors', () => {
  it('show line and column, the line, and a caret below the place', () => {
    const source = '/dts-v1/;\n/ {\n\tbytes = /bits/ 8 <1 0x100>;\n};\n';
    expect(() => parseDts(source, { file: 'board.dts' })).toThrow(
      'board.dts:3:22: 0x100 has more than 8 bits\n  | \tbytes = /bits/ 8 <1 0x100>;\n  | \t                    ^',
    );
  });

  it('count characters, not bytes, and lines as cpp numbered them', () => {
    expect(() => parseDts('/dts-v1/;\n# 40 "real.dts" 1\n/ { a = "größer", oh; };')).toThrow(
      'real.dts:40:19: a value is missing; here is "oh"\n  | / { a = "größer", oh; };\n  |                   ^',
    );
  });

  it('count from a file whose name has a line end, which dtc takes', () => {
    const source = (value: string) => `/dts-v1/;\n/ {\n# 3 "a\nb" 2\n\ta = ${value};\n};\n`;
    expect(parseDts(source('<1>')).root.properties).toHaveLength(1);
    expect(() => parseDts(source('<x>'))).toThrow(/^a\nb:3:7: /);
  });

  it('send to cpp who has macros', () => {
    for (const source of ['/dts-v1/;\n#include "a.h"\n/ { };', '/dts-v1/;\n/ {\n  # define A 1\n};'])
      expect(() => parseDts(source)).toThrow(expect.objectContaining({ hint: expect.stringContaining('--cpp') }));
    expect(() => parseDts(root('#include;;'))).toThrow(expect.objectContaining({ hint: undefined }));
  });

  it('show a part of long lines', () => {
    const error = refusal(root(`${'a = <1>; '.repeat(1000)} b = ;`));
    expect(error).toMatch(/^x\.dts:2:\d+: a value is missing/);
  });

  it.each<[string, RegExp]>([
    ['/ { };', /:1:1: a source begins with "\/dts-v1\/;"/],
    ['/dts-v1/', /";" is missing behind \/dts-v1\/; here is the end of the source/],
    ['/dts-v1/; /plugin/; /dts-v1/; / { };', /only one of several headers has \/plugin\//],
    ['/dts-v1/;', /"\/" is missing; here is the end/],
    ['/dts-v1/; l: / { };', /only \/memreserve\/ and references may have labels/],
    ['/dts-v1/; &l { };', /there is no node &l yet/],
    [root('a = <1>'), /";" is missing behind the property a; here is "}"/],
    [root('a = <1;'), /"<" has no end/],
    [root('a = [1];'), /two hexadecimal digits/],
    [root('a = "x'), /this string has no end/],
    [root('/* a'), /this comment has no end/],
    [root('a = <09>;'), /octal/],
    [root('a = <18446744073709551616>;'), /more than 64 bits/],
    [root('a = <0x100000000>;'), /0x100000000 has more than 32 bits/],
    [root('a = <(1 / 0)>;'), /division by zero/],
    [root('a = <(1 +)>;'), /a number is missing; here is "\)"/],
    [root("a = <'ab'>;"), /2 characters where one must be/],
    [root('a = "\\xg";'), /\\x without a hexadecimal digit/],
    [root('a = /bits/ 7 <1>;'), /8, 16, 32 or 64/],
    [root('a = /bits/ 16 <&{/}>;'), /references are only allowed/],
    [root('a = <&nowhere>;'), /there is no node &nowhere/],
    [root('a = &{/nowhere};'), /there is no node &\{\/nowhere\}/],
    [root('n { }; a;'), /properties must come before children/],
    [root('a; a;'), /a second property "a"/],
    [root('n { }; n { };'), /a second node "n"/],
    [root('a@b;'), /"a@b" is no name of a property/],
    [root('a#b { };'), /"a#b" is no name of a node/],
    [root('l: a { }; l: b { };'), /the label l is there already/],
    [root('l: a; b = <l: 1>;'), /the label l is there already/],
    [root('name = "x";'), /"name" is not the node's name/],
    [root('a { phandle = <1>; }; b { phandle = <1>; };'), /\/a has the phandle 0x1 as well/],
    [root('a { phandle = <0>; };'), /0x0 is no phandle/],
    [root('a { phandle = [00]; };'), /"phandle" has 1 bytes instead of 4/],
    [root('a { phandle = <&b>; }; b: b { };'), /refers to another/],
    [root('a { phandle = <1>; linux,phandle = <2>; };'), /differ/],
    [`${root('')}/delete-node/ &{/};`, /the root was deleted/],
    [root('a = /incbin/("f");'), /other files may not be read/],
    ['/include/ "f"', /other files may not be read/],
  ])('%s', (source, message) => expect(refusal(source)).toMatch(message));
});

describe('limits', () => {
  it.each<[string, string, RegExp]>([
    ['depth', root('a { '.repeat(80) + '};'.repeat(80)), /more than 64 levels of nodes/],
    ['parentheses', root(`a = <${'('.repeat(5000)}`), /more than 100 levels of an expression/],
    ['signs', root(`a = <(${'-'.repeat(5000)}1)>;`), /more than 100 levels of an expression/],
    ['conditions', root(`a = <(${'1?'.repeat(5000)}`), /more than 100 levels of an expression/],
    ['a name', root(`${'a'.repeat(2000)};`), /more than 1024 bytes of a name/],
    ['digits', root(`a = <${'9'.repeat(5000)}>;`), /more than 100 digits/],
  ])('%s', (_, source, message) => expect(refusal(source)).toMatch(message));

  it('a small source that would be a large tree', () => {
    const path = `${'n'.repeat(1000)} { `.repeat(60);
    const uses = Array.from({ length: 2000 }, (_, index) => `p${index} = &l;`).join('');
    expect(() => parseDts(root(`${uses} ${path} l: x { }; ${'};'.repeat(60)}`))).toThrow(
      `more than ${LIMITS.blobBytes} bytes of device tree`,
    );
  });
});

describe('long sources', () => {
  const most = 16_000_000;

  it.each([
    ['characters', 'x'.repeat(most), most],
    ['escapes', '\\n'.repeat(most / 8), most / 8],
    ['both', 'x\\n'.repeat(most / 16), most / 8],
  ])('strings of %s up to the bound of a source', (_, inner, length) => {
    const { root } = parseDts(Buffer.from(`/dts-v1/; / { a = "${inner}"; };`));
    expect(root.properties[0]!.value.length).toBe(length + 1);
  });

  it.each([
    ['numbers of a line directive', `# 1 "x"${' 1'.repeat(most / 2)}`],
    ['the name of a line directive', `# 1 "${'x'.repeat(most)}"`],
    ['the name of a file', `/include/ "${'x'.repeat(most)}"`],
  ])('%s are refused, as errors with a place', (_, line) => {
    expect(() => parseDts(Buffer.from(`/dts-v1/;\n${line}\n/ {};`))).toThrow(
      expect.objectContaining({ code: 'invalid', field: expect.stringMatching(/:2:/) }),
    );
  });
});

describe('files', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'pk-dt-'));
    for (const name of ['in', 'out']) mkdirSync(join(directory, name));
    writeFileSync(join(directory, 'out/secret'), 'secret');
    writeFileSync(join(directory, 'in/part.dtsi'), 'b = "part";');
    writeFileSync(join(directory, 'in/self.dtsi'), '/include/ "self.dtsi"');
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
  const parse = (body: string) =>
    parseDts(root(body), { file: join(directory, 'in/x.dts'), files: filesBelow([join(directory, 'in')]) });

  it('are read below the directories that are allowed', () => {
    const { properties } = parse('/include/ "part.dtsi" a = /incbin/("part.dtsi", 5, 4);').root;
    expect(properties.map(({ name, value }) => [name, Buffer.from(value).toString()])).toEqual([
      ['b', 'part\0'],
      ['a', 'part'],
    ]);
  });

  it.each(['../out/secret', '/etc/hostname', '/dev/zero', '.', 'missing'])('%s is not', (name) => {
    expect(() => parse(`a = /incbin/("${name}");`)).toThrow(/there is no file|not a regular file/);
    expect(() => parse(`/include/ "${name}"`)).toThrow(/there is no file|not a regular file/);
  });

  it('a link to elsewhere is not followed', () => {
    symlinkSync('../out/secret', join(directory, 'in/link'));
    expect(() => parse('a = /incbin/("link");')).toThrow('there is no file "link"');
  });

  it('that are elsewhere once they are open are not read', () => {
    symlinkSync('../out/secret', join(directory, 'in/link'));
    const isAllowed = (path: string) => path.startsWith(join(directory, 'in'));
    expect(() => readRegular(join(directory, 'in/link'), 100, isAllowed)).toThrow(/no longer where it was/);
    expect(() => readRegular(join(directory, 'out/secret'), 5)).toThrow(/larger than 5 bytes/);
  });

  it('that include themselves are refused', () => {
    expect(() => parse('/include/ "self.dtsi"')).toThrow(/more than 100 levels of \/include\//);
  });
});
