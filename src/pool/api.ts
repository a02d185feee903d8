/** The machine and its pool in the API: what is asked, what is answered, and the routes. */
import { del, get, post, routes } from '../core/route.ts';
import {
  count,
  flag,
  listOf,
  mapOf,
  named,
  nothing,
  numbers,
  oneOf,
  record,
  request,
  texts,
  typed,
} from '../core/schema.ts';
import { nodeMemorySchema } from '../ledger/request.ts';
import { freeOfPool, ledger, partition, pool } from '../ledger/schema.ts';
import { topology, topologyWithSummary } from '../topology/schema.ts';
import type { MachineReport, PoolReport, PoolRequest } from './contract.ts';

const cpus = { type: 'array', items: { ...count, maximum: 65_535 }, maxItems: 65_536 } as const;
const poolRequest = typed<PoolRequest & { dryRun?: boolean }>(
  named(
    'PoolRequest',
    request(
      {
        cpus,
        sharedCpus: cpus,
        memory: {
          anyOf: [
            request({ kind: oneOf('size'), bytes: { type: 'integer', minimum: 1 } }, 'kind', 'bytes'),
            request({ kind: oneOf('nodes'), memory: nodeMemorySchema }, 'kind', 'memory'),
            request({ kind: oneOf('share') }, 'kind'),
          ],
          description: 'kind share: each node gives in proportion to its CPUs',
        },
        devices: { type: 'array', items: { type: 'string', maxLength: 32 }, maxItems: 65_536 },
        dryRun: { ...flag, description: 'Answer what it would be, and change nothing' },
      },
      'cpus',
      'sharedCpus',
      'memory',
      'devices',
    ),
  ),
);

const report = named(
  'PoolReport',
  record<PoolReport>({
    pool,
    partitions: { ...mapOf(partition), description: 'By name of the instance' },
    free: freeOfPool,
    housekeepingCpus: numbers,
    apicIds: {
      ...listOf(record<PoolReport['apicIds'][number]>({ id: count, apicId: count })),
      description: 'CPUs of the pool as firmware names them',
    },
    enforced: { ...texts, description: 'What the host kernel really does for it, read back' },
    notes: { ...texts, description: 'What it does not, and why' },
  }),
);

const machine = record<MachineReport>({ topology, ledger });

export const poolApi = routes('machine', {
  topology: get('/v1/topology', { summary: 'The machine as it is', answer: topologyWithSummary }),
  /** The machine and who owns what of it. */
  machine: get('/v1/ledger', { summary: 'The machine and who owns what of it', answer: machine }),
  pool: get('/v1/pool', { summary: 'What the host has given up', answer: report }),
  initPool: post('/v1/pool', {
    summary: 'Give up CPUs, memory and devices for instances',
    body: poolRequest,
    answer: report,
    status: 201,
  }),
  growPool: post('/v1/pool/grow', { summary: 'Give up more', body: poolRequest, answer: report }),
  shrinkPool: post('/v1/pool/shrink', {
    summary: 'Take back what no instance owns',
    body: poolRequest,
    answer: report,
  }),
  releasePool: del('/v1/pool', { summary: 'Take everything back', query: nothing }),
});
