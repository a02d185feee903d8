import { expect, test } from 'vitest';
import { PolykernelError } from './errors.ts';

test('what an error repeats of its input is short, however long that was', () => {
  const long = 'x'.repeat(1_000_000);
  const error = new PolykernelError('invalid', `name: ${long}`, { value: long, hint: long });
  expect(error.message).toMatch(/^name: x+…$/);
  expect(JSON.stringify(error).length).toBeLessThan(7000);
});
