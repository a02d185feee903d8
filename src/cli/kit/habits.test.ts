import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CATALOG } from './catalog.ts';
import { HELP_OPTION, type OptionSpec } from './command.ts';
import { habits, optionHabit, wordHabit } from './habits.ts';

const PAGE = readFileSync(new URL('../../../docs/docker.md', import.meta.url), 'utf8');

describe.each(Object.entries(habits.options))('pk %s', (name, options) => {
  it.each(Object.entries(options))('has no %s, says what to type, and the page does', (option, hint) => {
    const known = Object.entries<OptionSpec>({ ...CATALOG[name]!.options, help: HELP_OPTION });
    expect(known.flatMap(([key, { short }]) => [`--${key}`, ...(short ? [`-${short}`] : [])])).not.toContain(option);
    expect(optionHabit(name, option)).toBe(hint);
    expect(hint).toMatch(/[.)]$/);
    expect(PAGE).toContain(`\`${option}\``);
  });

  it('names only commands and options of pk that there are', () => {
    for (const hint of Object.values(options)) expectReal(hint);
  });
});

it.each(Object.entries(habits.words))('there is no pk %s, and %s', (word, hint) => {
  expect(Object.keys(CATALOG).map((name) => name.split(' ')[0])).not.toContain(word);
  expect(wordHabit(word)).toBe(hint);
  expectReal(hint);
});

/** What is named as `pk X` in a hint is a command, and its options are its own. */
function expectReal(hint: string): void {
  for (const [, words] of hint.matchAll(/\bpk ((?:[a-z]+ ?)+(?:--?[a-z-]+)?)/g)) {
    const [first, second = ''] = words!.split(' ');
    expect(
      Object.keys(CATALOG).some((name) => name === first || name.startsWith(`${first} `)),
      words,
    ).toBe(true);
    const option = /--([a-z-]+)$/.exec(words!)?.[1];
    if (option !== undefined)
      expect(Object.keys((CATALOG[first!] ?? CATALOG[`${first} ${second}`])!.options)).toContain(option);
  }
}

it('knows nothing of names that every object has', () => {
  expect(optionHabit('constructor', '--x')).toBeUndefined();
  expect(optionHabit('run', 'constructor')).toBeUndefined();
  expect(wordHabit('constructor')).toBeUndefined();
});
