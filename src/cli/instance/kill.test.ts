import { expect, it } from 'vitest';
import { signalNumber } from './kill.ts';

it.each([
  ['15', 15],
  ['term', 15],
  ['SIGHUP', 1],
  ['RTMIN', 34],
  ['SIGRTMIN+3', 37],
  ['rtmax-1', 63],
])('%s is %i', (text, number) => expect(signalNumber(text)).toBe(number));

it.each(['0', '65', 'TERMINATE', 'RTMIN-1', 'RTMAX+1', 'RTMIN+31', 'RTMIN+'])('%s is none', (text) => {
  expect(() => signalNumber(text)).toThrow(expect.objectContaining({ field: '--signal', hint: expect.any(String) }));
});
