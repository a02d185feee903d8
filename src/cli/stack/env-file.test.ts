// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are what is tested.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PolykernelError } from '../../sys/errors.ts';
import { parseEnvFile } from './env-file.ts';

const OUTSIDE: Readonly<Record<string, string>> = { HOME: '/root' };
const parse = (text: string) => Object.fromEntries(parseEnvFile(text, '.env', (name) => OUTSIDE[name]));

it.each([
  ['A=1\nB=2', { A: '1', B: '2' }],
  ['A=1\r\nB=2\r\n', { A: '1', B: '2' }],
  ['# a comment\n\n  # another\nA=1 # and one more', { A: '1' }],
  ['export A=1', { A: '1' }],
  [' A = 1 ', { A: '1' }],
  ['A=', { A: '' }],
  ['A=#', { A: '' }],
  ['A=a#b', { A: 'a#b' }],
  ["A='$HOME # not'  # this is", { A: '$HOME # not' }],
  ['A="x # y"', { A: 'x # y' }],
  ['A="a\\nb\\t\\"c\\" \\$HOME"', { A: 'a\nb\t"c" $HOME' }],
  ['A="two\nlines"\nB=1', { A: 'two\nlines', B: '1' }],
  ["A='two\nlines'", { A: 'two\nlines' }],
  ['A=$HOME/x\nB="${A}y"\nC=${NO:-z}', { A: '/root/x', B: '/root/xy', C: 'z' }],
  ['A=1\nA=2', { A: '2' }],
  ['ONLY\nA=1', { A: '1' }],
  ['a.b=1', { 'a.b': '1' }],
  ['URL=http://x/?a=b&c=d', { URL: 'http://x/?a=b&c=d' }],
  ['A: 1\nB: "x: y" # z\nC:\nD : 4', { A: '1', B: 'x: y', C: '', D: '4' }],
  ['', {}],
])('%j', (text, values) => {
  expect(parse(text)).toEqual(values);
});

it.each([
  ['A=1\nB=$NO', /^\.env:2: B: the variable NO is not set/],
  ['A="x', /^\.env:1: the value of A has no closing "/],
  ["\nA='x\ny", /^\.env:2: the value of A has no closing '/],
  ['A="x" y', /^\.env:1: something follows the value of A/],
  ['A=1\n1A=2', /^\.env:2: this is no NAME=VALUE/],
  ['A:1', /^\.env:1: this is no NAME=VALUE/],
  ['a value of secrets', /^\.env:1: this is no NAME=VALUE/],
])('%j is refused', (text, message) => {
  expect(() => parse(text)).toThrow(PolykernelError);
  expect(() => parse(text)).toThrow(message);
});

it('ends, whatever the text, and shows nothing of it', () => {
  const pieces = fc.constantFrom('A', '=', '"', "'", '\n', '#', '$', '{', '}', ' ', '\\', 'secret', 'export ');
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 20 }), (list) => {
      try {
        parse(list.join(''));
      } catch (error) {
        expect(error).toBeInstanceOf(PolykernelError);
        expect(String(error)).not.toMatch(/"secret|'secret/);
      }
    }),
  );
});
