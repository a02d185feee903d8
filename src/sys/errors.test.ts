import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { asPolykernelError, PolykernelError } from './errors.ts';

test('what an error repeats of its input is short, however long that was', () => {
  const long = 'x'.repeat(1_000_000);
  const error = new PolykernelError('invalid', `name: ${long}`, { value: long, hint: long });
  expect(error.message).toMatch(/^name: x+…$/);
  expect(JSON.stringify(error).length).toBeLessThan(7000);
});

test.each([
  [() => readFileSync('/'), 'reading / failed: it is a directory'],
  [() => readFileSync('/nowhere'), 'reading / failed: no such file or directory (/nowhere)'],
  [() => readFileSync('/proc/self/fd/1023/x'), 'reading / failed: no such file or directory'],
  [() => readFileSync('/proc/self/mem'), 'reading / failed: i/o error'],
])('an errno is told in words, and a path once', (doing, message) => {
  let thrown: unknown;
  try {
    doing();
  } catch (error) {
    thrown = error;
  }
  expect(asPolykernelError(thrown, 'reading /')).toHaveProperty('message', message);
});

test('a name that a guest has made, of several lines, makes none in what is said of it', () => {
  let thrown: unknown;
  try {
    readFileSync('/nowhere/a\npk: all is copied');
  } catch (error) {
    thrown = error;
  }
  const { message } = asPolykernelError(thrown, 'reading volume');
  expect(message).toBe('reading volume failed: no such file or directory (/nowhere/a pk: all is copied)');
});
