import fc from 'fast-check';
import { expect, it } from 'vitest';
import { checkName } from './name.ts';

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
