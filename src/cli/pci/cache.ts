/** `pk pci cache`: what is remembered, whether it is true, and why. */
import type { ConfigSpace } from '../../pci/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { type Command, type Invocation, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { parseOffset } from './offset.ts';
import { PLACE_OPTIONS, withPlace } from './place.ts';

/** What can be asked of it, with the least and most arguments of each. */
const ACTIONS: Readonly<Record<string, readonly [least: number, most: number]>> = {
  stats: [0, 0],
  flush: [0, 1],
  verify: [0, 0],
  explain: [2, 2],
};

export const command: Command = {
  summary: 'what is remembered of configuration spaces: figures, proof, reasons',
  usage: 'stats | flush [ADDRESS] | verify [--sample 5%] | explain ADDRESS OFFSET',
  description:
    'Only what is constant until a reset is remembered from one command to the next, until the machine boots again or the function is another. ' +
    'It serves who asks Polykernel; the kernel and other programs read as ever.',
  options: {
    sample: { value: 'SHARE', help: 'verify: how much of it is compared with the hardware (default 100%)' },
    ...PLACE_OPTIONS,
    json: JSON_OPTION,
  },
  arguments: [1, 3],
  words: Object.keys(ACTIONS),
  examples: [
    ['pk pci cache stats', 'reads that needed no hardware'],
    ['pk pci cache verify --sample 5%', 'ask the hardware whether it is true'],
    ['pk pci cache explain 0000:3b:00.2 0x44', 'why a byte is remembered or not'],
  ],
  run(invocation) {
    const [action, ...rest] = invocation.positionals as [string, ...string[]];
    const counts = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (counts === undefined || rest.length < counts[0] || rest.length > counts[1])
      throw new PolykernelError(
        'invalid',
        `pk pci cache ${invocation.positionals.join(' ')}: usage is ${command.usage}`,
        {
          field: 'action',
          value: action,
          hint: 'See `pk pci cache --help`.',
        },
      );
    return withPlace(invocation, async (place) => {
      if (action === 'stats') return (await import('./statistics.ts')).showStatistics(invocation, place);
      if (action === 'verify') return verify(invocation, place);
      if (action === 'explain') return explain(invocation, place, rest as [string, string]);
      const count = place.flush(rest[0]);
      return answer(invocation, { forgotten: count }, () => `forgot ${count} function${count === 1 ? '' : 's'}\n`);
    });
  },
};

/** Exit code 1 when something was wrong. */
async function verify(invocation: Invocation, place: ConfigSpace): Promise<number> {
  const { compared, wrong } = place.verify(share(invocation.value('sample') ?? '100%'));
  await answer(invocation, { compared, wrong }, () =>
    [
      ...wrong.map(
        ({ address, offset, known, seen }) => `${address} ${hex(offset)}: remembered ${hex(known)}, is ${hex(seen)}`,
      ),
      `${compared} dwords compared, ${wrong.length} wrong${wrong.length > 0 ? ': what was remembered of these functions is forgotten' : ''}`,
      '',
    ].join('\n'),
  );
  return wrong.length === 0 ? 0 : 1;
}

function share(text: string): number {
  const percent = /^(\d{1,3}(?:\.\d{1,3})?)%$/.exec(text)?.[1];
  const value = percent === undefined ? Number.NaN : Number(percent) / 100;
  if (value > 0 && value <= 1) return value;
  throw new PolykernelError('invalid', `--sample: ${JSON.stringify(text)} is not a share`, {
    field: '--sample',
    value: text,
    hint: 'Write more than 0 % and up to 100%, such as 5%.',
  });
}

function explain(invocation: Invocation, place: ConfigSpace, [address, text]: [string, string]): Promise<0> {
  const found = place.explain(address, parseOffset(text).offset);
  return answer(invocation, found, ({ offset, place: where, register, class: kind, reason, source, known }) =>
    [
      `${hex(offset)} lies in ${where}${register === null ? '' : `, ${register}`} (${source})`,
      `class ${kind}: ${reason}`,
      known ? 'its value is known now' : 'its value is not known now: the next read asks the hardware',
      '',
    ].join('\n'),
  );
}

const hex = (value: number): string => `0x${value.toString(16)}`;
