/** Upgrades in the API. */
import { long, routes } from '../core/route.ts';
import { count, flag, listOf, named, oneOf, orNull, record, request, text, typed } from '../core/schema.ts';
import { commandSchema } from '../instance/contract.ts';
import type { ServedMeanwhile, UpgradeReport, UpgradeRequest } from './requests.ts';

const upgradeRequest = request({
  image: { type: 'string', minLength: 1, maxLength: 200, description: 'Kernel image. Default: as now' },
  command: { ...commandSchema, description: 'argv of the workload. Default: as now' },
  root: {
    type: 'string',
    pattern: '^(host|/[^\\0]*)$',
    maxLength: 4096,
    description: '`host`, or the absolute path of a directory, tar, squashfs or ext4 file. Default: as now',
    'x-hint': 'Give "host" or an absolute path.',
  },
  watchMs: {
    type: 'integer',
    minimum: 0,
    maximum: 3_600_000,
    'x-hint': 'At most 1h.',
    description: 'How long it is watched, and taken back when it fails, after it has taken over. Default 2000',
  },
  dryRun: { ...flag, description: 'Say what would be done, and do nothing' },
});
const report = named(
  'UpgradeReport',
  record<UpgradeReport>({
    name: text,
    way: oneOf('beside', 'pause', 'at-rest'),
    why: { ...orNull(text), description: 'Why no second kernel serves meanwhile' },
    steps: listOf(record<UpgradeReport['steps'][number]>({ text, undo: text })),
    downMs: { ...orNull(count), description: 'How long its kernel was down' },
    isPaused: { ...flag, description: 'And nobody served in its place' },
    services: {
      ...listOf(record<ServedMeanwhile>({ service: text, requests: count, errors: count, retries: count })),
      description: 'What clients met with meanwhile',
    },
  }),
);

export const upgradeApi = routes('upgrade', {
  /** Resolves once it runs what was asked for, and has shown that it does; a failure leaves it as it was. */
  upgrade: long('/v1/instances/:name/upgrade', {
    summary: 'Run an instance on another image, command or root, all or nothing; behind a service without a gap',
    body: typed<UpgradeRequest>(named('UpgradeRequest', upgradeRequest)),
    answer: report,
  }),
});
