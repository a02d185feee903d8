/** Sizes and moves in the API: what is asked, what is answered, and the routes. */
import { long, routes } from '../core/route.ts';
import { flag, listOf, named, oneOf, record, request, text, typed } from '../core/schema.ts';
import { size } from '../instance/api.ts';
import type { MoveReport, MoveRequest, SizeRequest } from './contract.ts';

const dryRun = { ...flag, description: 'Say what would be done, and do nothing' };
const name = { type: 'string', minLength: 1, maxLength: 63 } as const;

const sizeRequest = request({
  cpus: { type: 'integer', minimum: 1, maximum: 4096, description: 'CPUs that are online. Default: as many as now' },
  memoryBytes: { type: 'integer', minimum: 1, description: 'Whole MiB. Default: as much as now' },
  dryRun,
});
const moveRequest = request(
  {
    resource: oneOf('cpu', 'memory'),
    from: { ...name, description: 'Who gives: an instance, or `pool` for what nobody owns' },
    to: { ...name, description: 'Who gets' },
    amount: { type: 'integer', minimum: 1, description: 'CPUs, or bytes in whole MiB' },
    dryRun,
  },
  'resource',
  'from',
  'to',
  'amount',
);
const report = named(
  'MoveReport',
  record<MoveReport>({
    steps: listOf(record<MoveReport['steps'][number]>({ text, undo: text })),
    sizes: listOf(record<MoveReport['sizes'][number]>({ name: text, before: size, after: size })),
  }),
);

export const balanceApi = routes('balance', {
  /** Resolves once it has that size, read back from guest and VMM; a failure leaves it as it was. */
  resize: long('/v1/instances/:name/size', {
    summary: 'Give a kernel that runs other CPUs or memory, within its bounds',
    body: typed<SizeRequest>(sizeRequest),
    answer: report,
  }),
  move: long('/v1/moves', {
    summary: 'Move CPUs or memory from one kernel to another, all or nothing',
    body: typed<MoveRequest>(named('MoveRequest', moveRequest)),
    answer: report,
  }),
});
