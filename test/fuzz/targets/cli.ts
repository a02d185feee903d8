/** Command lines, and what a daemon answers to them. */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { type Command, JSON_OPTION, parse } from '../../../src/cli/kit/command.ts';
import { parseTargets } from '../../../src/cli/service/options.ts';
import { lines, serverSentEvents } from '../../../src/client/http.ts';
import type { Target } from '../target.ts';

const command: Command = {
  summary: 'x',
  usage: 'x',
  options: {
    json: JSON_OPTION,
    env: { short: 'e', value: 'NAME=VALUE', multiple: true, help: 'x' },
    mode: { value: 'M', choices: ['a', 'b'], help: 'x' },
  },
  arguments: [1, 8],
  commandFrom: 1,
  examples: [],
  run: async () => 0,
};

const argumentList: Target = {
  name: 'arguments',
  dictionary: [
    '--env',
    '--env=A=b',
    '-e',
    '-eA',
    '--json',
    '--json=1',
    '--',
    '\0',
    '--mode\0a',
    '--constructor',
    '--__proto__',
    '-',
    '=',
  ],
  run(input) {
    const words = input.toString('utf8').split('\0');
    const { positionals } = parse('x', command, words);
    return [positionals, parseTargets(words[0]!)];
  },
};

const answers: Target = {
  name: 'daemon-answers',
  dictionary: ['{"a":1}\n', 'data: {"a":1}\n\n', 'data:', 'event: x\n', '\n', '\n\n', 'null', '[', '{', '"'],
  async run(input) {
    const response = () =>
      Readable.from([
        input.subarray(0, input.length >> 1),
        input.subarray(input.length >> 1),
      ]) as unknown as IncomingMessage;
    const found: unknown[] = [];
    for await (const event of serverSentEvents(response())) found.push(event);
    for await (const value of lines(response())) found.push(value);
    return found;
  },
};

export const cliTargets: readonly Target[] = [argumentList, answers];
