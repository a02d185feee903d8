import { readPciNames, silent } from '../../pci/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { PLACE_OPTIONS, withPlace } from './place.ts';
import { functionText } from './text.ts';

export const command: Command = {
  summary: 'show the configuration space of a PCI function in words',
  usage: 'ADDRESS [--decode] [--root DIR | --from FILE] [--json]',
  description:
    'Without --decode the header and the list of capabilities, with it their registers as well. Needs root for more than the first 64 bytes. ' +
    'What is constant is remembered until the next boot; see `pk pci cache`.',
  options: {
    decode: { help: 'the registers of all capabilities' },
    ...PLACE_OPTIONS,
    json: JSON_OPTION,
  },
  arguments: [1, 1],
  examples: [
    ['pk pci show 0000:3b:00.0 --decode', 'as `lspci -vvv` would'],
    ['pk pci show 3b:00.0 --from dump.txt --json', 'of a dump, for programs'],
  ],
  run: (invocation) =>
    withPlace(invocation, (place) => {
      const cached = place.function(invocation.positionals[0]!);
      const decoded = cached.decode({ registers: invocation.flag('decode') });
      if (decoded === undefined) throw silent(cached.address);
      const found = { ...place.facts(cached.address), ...decoded, health: place.health(cached.address) };
      return answer(invocation, found, () => functionText(found, readPciNames()));
    }),
};
