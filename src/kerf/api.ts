/** Hosts that kerf manages in the API. */
import { get, post, routes } from '../core/route.ts';
import {
  count,
  flag,
  listOf,
  mapOf,
  milliseconds,
  named,
  numbers,
  oneOf,
  orNull,
  record,
  request,
  text,
  texts,
  typed,
} from '../core/schema.ts';
import type { ImportChange, KerfReport, KerfRequest } from './types.ts';

const pool = record<NonNullable<KerfReport['pool']>>({ cpus: numbers, memoryBytes: count, functions: texts });

const report = named(
  'KerfReport',
  record<KerfReport>({
    pool: { ...orNull(pool), description: 'CPUs by their physical ids, here and below' },
    kernels: listOf(
      record<KerfReport['kernels'][number]>({
        ...{ name: text, id: count, cpus: numbers, memoryBytes: count, functions: texts },
        image: { ...mapOf(text), description: 'What kerf says that it has loaded' },
        status: { ...text, description: "The host kernel's word, or gone" },
      }),
    ),
    changes: {
      ...listOf(record<ImportChange>({ action: oneOf('adopt', 'change', 'forget', 'refuse'), what: text, text })),
      description: 'What another import would do; nothing, where anything is refused',
    },
  }),
);

export const kerfApi = routes('kerf', {
  kerf: get('/v1/kerf', { summary: 'What is taken over of a host that kerf manages', answer: report }),
  /** Answers with what is taken over then. */
  actOnKerf: post('/v1/kerf', {
    summary: 'Take over the pool and the kernels that kerf has made, act on them, hand them back',
    description:
      'start, stop and remove need the name of a kernel. release without keep gives the pool back to the host kernel.',
    body: typed<KerfRequest>(
      request(
        {
          act: oneOf('import', 'start', 'stop', 'remove', 'release'),
          ...{ name: text, dryRun: flag, keep: flag, graceMs: milliseconds, force: flag },
        },
        'act',
      ),
    ),
    answer: report,
  }),
});
