import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { withErrors, withExitCodes, withMetrics } from '../../scripts/table-documents.ts';
import { command } from '../../src/cli/instance/run.ts';
import { EXIT_CODES } from '../../src/sys/errors.ts';
import { METRIC_NAMES } from '../../src/telemetry/contract.ts';

const page = (name: string) => readFileSync(join(import.meta.dirname, '../../docs', name), 'utf8');

it.each([
  ['run.md', 'exit codes', withExitCodes],
  ['api.md', 'errors', withErrors],
  ['telemetry.md', 'metrics', withMetrics],
] as const)('docs/%s has the table of %s as it is in the code', async (name, _what, renewed) => {
  const text = page(name);
  expect(text, 'run `node scripts/table-reference.ts`').toBe(await renewed(text));
});

it('`pk run --help` names every exit code that says what became of a kernel', () => {
  const codes = Object.keys(EXIT_CODES).filter((code) => code !== '2');
  expect(codes.filter((code) => !command.description?.includes(code))).toEqual([]);
});

it('docs/telemetry.md tells of every series', () => {
  const text = page('telemetry.md');
  expect(METRIC_NAMES.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
});
