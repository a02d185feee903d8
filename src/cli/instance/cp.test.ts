import { expect, it } from 'vitest';
import { place } from './cp.ts';

it.each([
  ['web:/etc/x', 'web', '/etc/x'],
  ['web:etc/x', 'web', '/etc/x'],
  ['./web:x', undefined, './web:x'],
  ['/a:b', undefined, '/a:b'],
  ['web', undefined, 'web'],
  ['web:', undefined, 'web:'],
  ['-', undefined, '-'],
])('%s is in %s: %s', (text, name, path) => {
  expect(place(text)).toEqual(name === undefined ? { path } : { name, path });
});
