import { PolykernelError } from '../../sys/errors.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { parseOffset } from './offset.ts';
import { PLACE_OPTIONS, withPlace } from './place.ts';

export const command: Command = {
  summary: 'read a register of a PCI function',
  usage: 'ADDRESS OFFSET[.b|.w|.l] [--fresh] [--root DIR | --from FILE] [--json]',
  description:
    'The offset is hexadecimal, the answer too. What is constant is answered from memory when it is known; with --fresh the hardware is asked in any case.',
  options: { fresh: { help: 'ask the hardware' }, ...PLACE_OPTIONS, json: JSON_OPTION },
  arguments: [2, 2],
  examples: [
    ['pk pci read 0000:3b:00.0 0', 'vendor and device'],
    ['pk pci read 3b:00.0 6.w --fresh', 'status, as setpci would'],
  ],
  run: (invocation) =>
    withPlace(invocation, (place) => {
      const [address, text] = invocation.positionals as [string, string];
      const { offset, width } = parseOffset(text);
      const cached = place.function(address);
      const value = cached.read(offset, width, invocation.flag('fresh'));
      if (value === undefined)
        throw new PolykernelError(
          'permission',
          `the byte at 0x${offset.toString(16)} of ${cached.address} cannot be read`,
          {
            field: 'offset',
            value: text,
            hint: 'Without CAP_SYS_ADMIN the kernel shows 64 bytes; conventional functions have 256, and dumps what they hold.',
          },
        );
      const found = { address: cached.address, offset, bytes: width, value };
      return answer(invocation, found, () => `${value.toString(16).padStart(2 * width, '0')}\n`);
    }),
};
