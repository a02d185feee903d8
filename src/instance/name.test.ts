import fc from 'fast-check';
import { expect, it } from 'vitest';
import { checkName, generateName } from './name.ts';

it.each(['a', 'web', 'web-1', '0x', 'a'.repeat(63)])('takes %s', (name) => expect(checkName(name)).toBe(name));

it.each([
  ['', 'name is empty'],
  ['a'.repeat(64), 'name has 64 characters; the most is 63'],
  ['Web', '"Web" is not a valid name'],
  ['-a', '"-a" is not a valid name'],
  ['a-', '"a-" is not a valid name'],
  ['a/../b', '"a/../b" is not a valid name'],
])('refuses %j', (name, message) => {
  expect(() => checkName(name)).toThrow(message);
});

it('suggests a name that it would take', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (name) => {
      try {
        checkName(name);
      } catch (error) {
        const suggestion = JSON.parse(/such as ("[^"]*")/.exec((error as { hint: string }).hint)![1]!);
        expect(checkName(suggestion)).toBe(suggestion);
      }
    }),
  );
});

it('makes up names nobody has, even when nearly all are taken', () => {
  const taken = new Set<string>();
  let seed = 1;
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  for (let count = 0; count < 20_000; count++) taken.add(checkName(generateName((name) => taken.has(name), random)));
  expect(taken.size).toBe(20_000);
});
