/** Places in a configuration space, as people write them. */
import { PolykernelError } from '../../sys/errors.ts';

type Width = 1 | 2 | 4;
const WIDTHS: Readonly<Record<string, Width>> = { b: 1, w: 2, l: 4 };

/** `0x44`, `44` (hexadecimal, as setpci takes it), `44.w`: place and width, 4 bytes where it can be. Throws `invalid`. */
export function parseOffset(text: string): { offset: number; width: Width } {
  const [, digits, letter] = /^(?:0x)?([\da-f]{1,3})(?:\.([bwl]))?$/i.exec(text) ?? [];
  const offset = digits === undefined ? Number.NaN : Number.parseInt(digits, 16);
  const widest = offset % 4 === 0 ? 4 : offset % 2 === 0 ? 2 : 1;
  const width = letter === undefined ? widest : WIDTHS[letter.toLowerCase()]!;
  if (!Number.isNaN(offset) && width <= widest) return { offset, width };
  throw new PolykernelError(
    'invalid',
    `offset: ${JSON.stringify(text)} is not a place in a configuration space${Number.isNaN(offset) ? '' : ' for that width'}`,
    {
      field: 'offset',
      value: text,
      hint: 'Write 0 to fff in hexadecimal, with .b, .w or .l for 1, 2 or 4 bytes: 0x44, 6.w. It must be a multiple of the width.',
    },
  );
}
