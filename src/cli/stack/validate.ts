import { parseStack } from '../../stack/contract.ts';
import { plainText } from '../../sys/text.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';
import { givenSource, problemsText } from './file.ts';
import { STACK_OPTION } from './options.ts';

/** As for any other value that is not acceptable. */
const INVALID = 2;

export const command: Command = {
  summary: 'check a stack file: every error, with line and column',
  usage: '[-f FILE]',
  description: 'Needs no daemon. Ends with 0 when the file is valid, with 2 when it is not.',
  options: { ...STACK_OPTION, json: JSON_OPTION },
  arguments: [0, 0],
  examples: [['pk validate -f polykernel.yaml', 'before it is committed']],
  async run(invocation) {
    const source = await givenSource(invocation);
    const { stack, problems } = parseStack(source.text, source);
    const count = stack?.kernels.length;
    if (invocation.flag('json')) await printJson({ file: source.file, valid: stack !== undefined, problems });
    else if (stack === undefined) await print(plainText(problemsText(source, problems)));
    else await print(`${source.file}: valid (${count} kernel${count === 1 ? '' : 's'})\n`);
    return stack === undefined ? INVALID : 0;
  },
};
