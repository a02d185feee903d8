import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';

const PK = join(import.meta.dirname, '../../../bin/pk');
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pk-simulate-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

it('simulates policies on a trace, without a daemon', async () => {
  const [trace, html] = [join(directory, 'trace.csv'), join(directory, 'report.html')];
  const values = Array.from({ length: 60 }, (_, second) => (second < 30 ? 50 : 150));
  await writeFile(trace, values.join('\n'));
  const args = ['balance', 'simulate', '--trace', trace, '--policy', 'static,slo', '--html', html, '--json'];
  // No daemon could be reached or started there.
  const env = { ...process.env, POLYKERNEL_HOME: join(directory, 'nowhere') };
  const { stdout } = await promisify(execFile)(PK, args, { env });
  const rows: Record<string, unknown>[] = JSON.parse(stdout);
  expect(rows.map(({ policy }) => policy)).toEqual(['static', 'slo']);
  for (const row of rows) {
    expect(Object.keys(row)).toEqual([
      'policy',
      'violationSeconds',
      'coreSeconds',
      'serviceCoreSeconds',
      'bestEffortWork',
      'p99Ms',
      'moves',
      'regret',
    ]);
  }
  expect(await readFile(html, 'utf8')).toContain('<svg');

  const refused = promisify(execFile)(PK, ['balance', 'simulate', '--trace', trace, '--policy', 'slow']);
  await expect(refused).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('Did you mean slo?') });
});
