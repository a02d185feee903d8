import { expect, it } from 'vitest';
import { diffTrees, parseDts, printDts } from './index.ts';

const tree = (body: string) => parseDts(`/dts-v1/; / { ${body} };`);
const said = (before: string, after: string) =>
  diffTrees(tree(before), tree(after)).map(({ kind, path, property }) => [kind, path, property ?? ''].join(' ').trim());

it('tells what was added, removed and changed, and not of the order', () => {
  expect(said('a; b = <1>; n { x; };', 'b = <1>; a; n { x; };')).toEqual([]);
  expect(said('a; b = <1>; n { x; o { }; };', 'b = <2>; c; n { p { q { }; }; };')).toEqual([
    'removed / a',
    'changed / b',
    'added / c',
    'removed /n x',
    'removed /n/o',
    'added /n/p',
  ]);
});

it('prints values as what they can be', () => {
  const body = 'a = "x", "\\"\\\\\\t"; b = <1 0x80000000>; c = [01 02 03]; d; e = [00 00 00 00]; f = "", "";';
  expect(printDts(tree(body))).toBe(
    '/dts-v1/;\n\n/ {\n\ta = "x", "\\"\\\\\\t";\n\tb = <0x01 0x80000000>;\n\tc = [01 02 03];\n\td;\n\te = <0x00>;\n\tf = [00 00];\n};\n',
  );
});
