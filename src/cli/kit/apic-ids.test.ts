import { expect, it } from 'vitest';
import { formatApicIds } from './apic-ids.ts';

const cpus = (...pairs: [number, number?][]) =>
  pairs.map(([id, apicId]) => ({ id, ...(apicId !== undefined && { apicId }) }));

it.each([
  ['ids like the numbers', cpus([0, 0], [1, 1], [2, 2]), '0-2=0-2'],
  ['threads last', cpus([0, 0], [1, 2], [2, 4], [3, 1], [4, 3]), '0-2=0-4/2 3-4=1-3/2'],
  ['gaps', cpus([0, 0], [2, 8], [3, 9]), '0=0 2-3=8-9'],
  ['one that is offline', cpus([0, 0], [1], [2, 2]), '0=0 2=2'],
  ['none', cpus([0], [1]), ''],
])('%s', (_, given, text) => {
  expect(formatApicIds(given)).toBe(text);
});
