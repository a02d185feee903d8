import { expect, it } from 'vitest';
import { refuseLostArguments, refuseLostVariable } from './lost-bytes.ts';

const bytes = (...words: string[]) => Buffer.from(words.map((word) => `${word}\0`).join(''), 'latin1');
const utf8 = (word: string) => Buffer.from(word).toString('latin1');

it('names the argument that is no UTF-8, and takes one that has the mark itself', () => {
  const told = bytes('node', '--', 'main.ts', '=run', '=caf\xe9');
  expect(() => refuseLostArguments(['run', 'caf\ufffd'], told)).toThrow('argument 2 ("caf\ufffd") is no UTF-8 text');
  expect(() => refuseLostArguments(['run', 'caf\ufffd'], bytes('node', '=run', utf8('=caf\ufffd')))).not.toThrow();
  // What comes before is Node's own.
  expect(() => refuseLostArguments(['run'], bytes('n\xf6de', '=run'))).not.toThrow();
});

it('names a variable that is no UTF-8, and none of its value', () => {
  const environment = bytes('OTHER=\xff', utf8('GOOD=ä'), 'PLACE=caf\xe9');
  expect(() => refuseLostVariable('PLACE', '--env', environment)).toThrow(
    /^--env: the value of PLACE is no UTF-8 text$/,
  );
  for (const name of ['GOOD', 'NONE', 'THER'])
    expect(() => refuseLostVariable(name, '--env', environment)).not.toThrow();
});
