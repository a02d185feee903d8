/** The options of kernels in a stack file. */
import { type JsonSchema, type OptionTable, object, optionsOf, type Row, size, text } from '../core/stack-options.ts';
import { driverWords } from '../driver/registry.ts';
import { PUBLISH_FORM } from '../network/contract.ts';
import { USER_PATTERN } from '../sys/user-text.ts';
import type { Kind } from './field-row.ts';
import { fieldRows } from './fields.ts';
import { partitionOptions } from './partition-options.ts';

const duration: JsonSchema = {
  type: ['string', 'integer'],
  pattern: '^\\s*((\\d+(\\.\\d+)?(d|h|m|s|ms))+|0)\\s*$',
  maximum: 0,
};

const count: JsonSchema = { type: 'integer', minimum: 1 };

const SCHEMAS: Readonly<Record<Kind, JsonSchema>> = {
  flag: { type: 'boolean' },
  text,
  path: text,
  word: {},
  duration,
  count,
  labels: {},
  texts: {},
};

/** The plain fields. */
const fieldOptions = optionsOf(
  fieldRows.map(([, { kind, words, stack }]): Row => {
    const schema = stack.schema ?? (words === undefined ? SCHEMAS[kind] : { enum: words });
    return [`kernels.*.${stack.key}`, stack.type, stack.default, stack.live, stack.description, schema as JsonSchema];
  }),
);

export const kernelOptions: OptionTable = {
  options: [
    ...optionsOf([
      [
        'kernels',
        'map of name to kernel',
        'required',
        true,
        'the kernels, by instance name; none for a pool alone: {}',
        object,
      ],
      [
        'kernels.*.driver',
        `${driverWords.slice(0, -1).join(', ')} or ${driverWords.at(-1)}`,
        'auto',
        false,
        'how the kernel is run',
        { enum: driverWords },
      ],
      [
        'kernels.*.root',
        'host, or path',
        'host',
        false,
        "root file system: the host's files, a directory, tar, squashfs or ext4 file",
        text,
      ],
      [
        'kernels.*.command',
        'list of words, or text for sh -c',
        'required',
        false,
        'the workload',
        { anyOf: [text, { type: 'array', items: { type: ['string', 'number', 'boolean'] }, minItems: 1 }] },
      ],
      [
        'kernels.*.environment',
        'map of name to text, or list of NAME=TEXT',
        'none',
        false,
        "variables of the workload; not the caller's",
        {
          anyOf: [
            { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } },
            { type: 'array', items: text },
          ],
        },
      ],
      [
        'kernels.*.volumes',
        'list of SOURCE:TARGET[:ro|suid] or maps',
        'none',
        false,
        'host directories and files to share',
        { type: 'array' },
      ],
      ['kernels.*.volumes[].source', 'path', 'required', false, 'on this machine', text],
      ['kernels.*.volumes[].target', 'absolute path', 'required', false, 'in the guest', text],
      ['kernels.*.volumes[].readOnly', 'true or false', 'false', false, 'the guest cannot write', { type: 'boolean' }],
      [
        'kernels.*.volumes[].maySetId',
        'true or false',
        'false',
        false,
        'its files may become set-uid and set-gid; for root alone',
        { type: 'boolean' },
      ],
      [
        'kernels.*.publish',
        `list of ${PUBLISH_FORM}`,
        'none',
        false,
        'ports of this machine that lead to it; see network.md',
        {
          type: 'array',
          items: {
            type: ['string', 'integer'],
            pattern:
              '^\\s*((\\d+(\\.\\d+){3}|\\[[0-9a-fA-F:.]+\\]):(?=.*:))?(\\d*(-\\d+)?:)?\\d+(-\\d+)?(/[a-zA-Z]+)?\\s*$',
          },
        },
      ],
      ['kernels.*.cwd', 'absolute path', '/', false, 'working directory in the guest', text],
      [
        'kernels.*.user',
        'USER[:GROUP]',
        '0',
        false,
        'user in the guest: numbers, or names of its own passwd and group',
        { type: ['string', 'integer', 'boolean'], pattern: USER_PATTERN, minimum: 0 },
      ],
      [
        'kernels.*.replicas',
        'number',
        'one, without a number',
        true,
        'so many alike, named NAME-1, NAME-2 and so on',
        { type: 'integer', minimum: 1, maximum: 4096 },
      ],
      ['kernels.*.cpus', 'number', '1', false, 'CPUs of a kernel without a partition', { type: 'integer', minimum: 1 }],
      ['kernels.*.memory', 'size', '256MiB', false, 'memory of a kernel without a partition', size],
      [
        'kernels.*.elastic',
        'map',
        'its size stays',
        false,
        'bounds within which its size may change while it runs',
        object,
      ],
      [
        'kernels.*.elastic.cpus',
        'map',
        'their number stays',
        false,
        'CPUs that are online, or the part of shared ones',
        object,
      ],
      [
        'kernels.*.elastic.cpus.min',
        'number',
        'required',
        false,
        'never fewer',
        { type: 'number', exclusiveMinimum: 0 },
      ],
      [
        'kernels.*.elastic.cpus.max',
        'number',
        'required',
        false,
        'never more',
        { type: 'number', exclusiveMinimum: 0 },
      ],
      ['kernels.*.elastic.memory', 'map', 'it stays', false, 'memory, in whole MiB', object],
      ['kernels.*.elastic.memory.min', 'size', 'required', false, 'never less', size],
      ['kernels.*.elastic.memory.max', 'size', 'required', false, 'never more', size],
      ['kernels.*.healthcheck', 'map', 'none', true, 'how it is told that its workload is well; see health.md', object],
    ]),
    ...fieldOptions,
    ...partitionOptions.options,
  ],
  either: {
    'kernels.*': { dependentSchemas: { partition: { properties: { cpus: false, memory: false } } } },
    ...partitionOptions.either,
  },
  textItems: { 'kernels.*.volumes': text, ...partitionOptions.textItems },
};

/** Whether a change of `path`, below a kernel (`environment.MODE`, `restart`), takes effect without a restart. */
export function liveChange(path: string): boolean {
  const words = path.split('.');
  for (let length = words.length; length > 0; length--) {
    const sought = `kernels.*.${words.slice(0, length).join('.')}`;
    const option = kernelOptions.options.find((each) => each.path === sought);
    if (option !== undefined) return option.live;
  }
  return false;
}
