/** Stack files, and the definitions that are kept of them. */
import { definitionChanges, storedDefinition } from '../../../src/instance/definition.ts';
import { parseStack } from '../../../src/stack/parse.ts';
import { must, type Target } from '../target.ts';

const yaml: Target = {
  name: 'stack-yaml',
  dictionary: [
    ...[
      'name: ',
      'kernels:\n',
      '  web:\n',
      '    command: [sleep, "1"]\n',
      '    partition: {cpus: 2, memory: 1G}\n',
      'pool:\n',
      '  cpus: 0-7\n',
    ],
    ...[
      '    replicas: 3\n',
      'channels:\n',
      '  orders: {from: web, to: host}\n',
      'services:\n',
      '  front: {port: 80, targets: [web]}\n',
    ],
    ...[
      '&a ',
      '*a',
      '<<: *a\n',
      '!!binary ',
      '? ',
      '- ',
      '|\n',
      '>-\n',
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      '#',
      '\t',
      '%YAML 1.1\n---\n',
      '---\n',
      '...\n',
    ],
    ...[
      'environment: {A: b}\n',
      '    restart: on-failure:3\n',
      '    volumes: ["./x:/data:ro"]\n',
      '    network: egress\n',
      '    publish: [8080:80]\n',
    ],
  ],
  maxBytes: 2048,
  output: { base: 512 * 1024, perByte: 4096 },
  steps: { base: 20_000, perByte: 4000 },
  run(input) {
    const { stack, problems } = parseStack(input.toString('utf8'), { directory: '/srv', defaultName: 'fuzz' });
    must((stack === undefined) === problems.length > 0, 'either a stack or problems');
    for (const { line, column, message } of problems) {
      must(line >= 1 && column >= 1 && message !== '', 'a problem has a place and says what');
      must(message.length <= 500, 'a problem is short');
    }
    for (const kernel of stack?.kernels ?? []) {
      must(definitionChanges(storedDefinition(kernel), kernel).length === 0, 'a definition is equal to itself');
    }
    return stack ?? problems;
  },
};

export const stackTargets: readonly Target[] = [yaml];
