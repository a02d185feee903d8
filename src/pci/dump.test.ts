import { describe, expect, it } from 'vitest';
import { dumpOf, image } from '../../test/support/pci-images.ts';
import { parseDump } from './dump.ts';

const [SMALL, PCI] = [image({ size: 64 }), image({ size: 256 })];
const whole = dumpOf([PCI, SMALL]);

describe('a dump', () => {
  it('has what lspci writes, also with other line ends, and functions without bytes between', () => {
    const sizes = (text: string) => [...parseDump(text)].map(([address, { length }]) => [address, length]);
    const both = [
      ['0000:00:00.0', 256],
      ['0000:00:00.1', 64],
    ];
    expect(sizes(whole)).toEqual(both);
    expect(sizes(whole.replaceAll('\n', '\r\n'))).toEqual(both);
    expect(sizes(`${whole}\n01:00.0 Some device\n`)).toEqual(both);
  });

  it.each([
    ['cut short within a function', whole.slice(0, -100), 'line 19', '32 bytes are no configuration space'],
    ['cut short in its first lines', whole.slice(0, 90), 'line 1 ', '19 bytes are no configuration space'],
    ['of two machines', whole + whole, 'line 24', '0000:00:00.0 is there twice'],
    ['without a line', whole.replace(/^20: .*\n/m, ''), 'line 4', 'bytes of 0x20 should come here'],
    ['without its first line', whole.slice(whole.indexOf('\n') + 1), 'line 1', 'bytes before the address'],
    ['of names alone', '00:00.0 Host bridge\n00:01.0 PCI bridge\n', 'names 2 functions', 'has the bytes of none'],
    ['of something else', '\u0000\u0001 PNG', 'no configuration space', 'no function is named'],
  ])('%s is refused, with the place', (_, text, place, reason) => {
    expect(() => parseDump(text)).toThrow(
      expect.objectContaining({ code: 'invalid', field: '--from', hint: expect.stringContaining('lspci -D -xxxx') }),
    );
    expect(() => parseDump(text)).toThrow(place);
    expect(() => parseDump(text)).toThrow(reason);
  });
});
