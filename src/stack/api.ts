/** Stacks in the API: what is asked, what is answered, and the routes. */
import { long, post, routes } from '../core/route.ts';
import { flag, listOf, named, oneOf, orNull, record, request, text, texts } from '../core/schema.ts';
import { reasons } from '../core/stack-section.ts';
import type { Schema } from '../core/validate.ts';
import { placement } from '../instance/api.ts';
import type { FieldChange } from '../instance/contract.ts';
import type { KernelPlan } from '../instance/stack.ts';
import { pool, refused } from '../ledger/schema.ts';
import type { Plan } from './plan.ts';
import { sectionSchemas } from './sections.ts';
import type { StackSource } from './stack.ts';

const source = named(
  'StackSource',
  record<StackSource>(
    {
      text: { type: 'string', maxLength: 1_048_576, description: 'The stack file' },
      file: { type: 'string', maxLength: 4096, description: 'Its name, for messages' },
      directory: {
        type: 'string',
        pattern: '^/[^\\0]*$',
        maxLength: 4096,
        description: 'Absolute: what relative paths in it are below',
        'x-hint': 'Give an absolute path of this machine.',
      },
      defaultName: { type: 'string', maxLength: 63, description: 'Name of the stack where the file gives none' },
      variables: {
        type: 'object',
        maxProperties: 4096,
        additionalProperties: { type: 'string', maxLength: 131_072 },
        description: 'Values of the variables in it, by name. Default: none is set',
      },
    },
    ['variables'],
  ),
);
const sourceRequest = { ...source, additionalProperties: false };

const anything: Schema = { additionalProperties: true };
const change = record<FieldChange>({
  path: { ...text, description: 'As in the file, below the kernel' },
  before: { ...anything, description: 'null = absent; values of the environment are not shown' },
  after: anything,
  live: { ...flag, description: 'Without a restart of the instance' },
});

const kernel = record<KernelPlan>({
  name: text,
  action: oneOf('create', 'change', 'replace', 'start', 'resume', 'repin', 'remove', 'keep'),
  why: reasons,
  changes: listOf(change),
  placement: { ...orNull(placement), description: 'null = unpartitioned, or it goes' },
});

const step = record<Plan['steps'][number]>({
  step: {
    type: 'object',
    properties: { do: text, name: text, pool: orNull(pool), kernels: texts },
    required: ['do'],
  },
  text,
  undo: { ...text, description: 'What takes it back' },
});

const advice = record<Plan['advice'][number]>({
  id: text,
  severity: oneOf('info', 'warning'),
  subject: { ...text, description: 'Name of an instance, pool or host' },
  message: text,
  remedy: text,
  page: { ...text, description: 'Where it is explained' },
});

const poolChange = record<NonNullable<Plan['pool']['change']>>({ before: orNull(pool), text });
const plan = named(
  'Plan',
  record<Plan>({
    format: { enum: [1] },
    stack: text,
    pool: record<Plan['pool']>({
      after: orNull(pool),
      change: { ...orNull(poolChange), description: 'null = it stays as it is' },
    }),
    kernels: listOf(kernel),
    ...sectionSchemas,
    steps: listOf(step),
    refused: { ...listOf(refused), description: 'With any of these the plan is not carried out' },
    advice: listOf(advice),
  }),
);

const destroyRequest = request({ stack: { type: 'string', minLength: 1, maxLength: 63 } }, 'stack');

export const stackApi = routes('machine', {
  /** Touches nothing. */
  plan: post('/v1/plan', { summary: 'What applying a stack file would do', body: sourceRequest, answer: plan }),
  /** Resolves with the plan once it is carried out; aborting ends it after the steps under way. */
  apply: long('/v1/apply', { summary: 'Make the machine as a stack file says', body: sourceRequest, answer: plan }),
  /** Removes every instance of a stack. */
  destroy: long('/v1/destroy', {
    summary: 'Remove every instance of a stack',
    body: destroyRequest,
    argument: 'stack',
    answer: plan,
  }),
});
