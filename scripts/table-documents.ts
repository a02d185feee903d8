/** Tables of docs that are no capability's own: exit codes, errors, and what Prometheus is told. */
import type { FamilyRow } from '../src/core/metric.ts';
import { ERROR_TABLE, EXIT_CODES } from '../src/sys/errors.ts';
import { tableOf, withMarked } from './marked.ts';
import { partsOf } from './room-lists.ts';

/** `page`, docs/run.md, with its table of exit codes. */
export function withExitCodes(page: string): string {
  const own = ['0-255', "the command's own; 128+N when signal N ended it"];
  const rows = Object.entries(EXIT_CODES).map(([code, meaning]) => [code, meaning]);
  return withMarked(page, 'exit codes', tableOf(['code', 'meaning'], [own, ...rows]));
}

/** `page`, docs/api.md, with its table of errors. */
export function withErrors(page: string): string {
  const rows = Object.entries(ERROR_TABLE).map(([code, { http, exit, meaning }]) => [
    `\`${code}\``,
    String(http),
    String(exit),
    meaning,
  ]);
  return withMarked(page, 'errors', tableOf(['code', 'HTTP status', 'exit code of `pk`', ''], rows));
}

/** `page`, docs/telemetry.md, with its table of what Prometheus is told, from each room's metrics.ts. */
export async function withMetrics(page: string): Promise<string> {
  const families = (await partsOf('metrics.ts', 'Metrics')).flatMap(({ value }) => value as readonly FamilyRow[]);
  const rows = families.map(({ name, type, help }) => [`\`${name}\``, type, help]);
  return withMarked(page, 'metrics', tableOf(['metric', 'type', ''], rows));
}
