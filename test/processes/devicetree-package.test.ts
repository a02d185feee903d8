/** `polykernel/devicetree` as other programs get it: packed, installed elsewhere, imported by plain Node. */
import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const CHECKOUT = join(import.meta.dirname, '../..');
/** The example of the documentation is what is run. */
const EXAMPLE = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(CHECKOUT, 'docs/devicetree.md'), 'utf8'))![1]!;

it('is installed from its package, and does what docs/devicetree.md shows', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-installed-'));
  const run = (program: string, args: readonly string[], cwd: string) =>
    execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    run('sh', [join(CHECKOUT, 'scripts/node.sh'), 'scripts/package.ts', directory], CHECKOUT);
    const [archive] = globSync('*.tgz', { cwd: directory });
    writeFileSync(join(directory, 'package.json'), '{ "type": "module" }');
    run('npm', ['install', '--offline', '--no-audit', '--no-fund', `./${archive}`], directory);
    writeFileSync(join(directory, 'example.js'), EXAMPLE);
    expect(run(process.execPath, ['example.js'], directory)).toContain('serial@1000 {\n\t\tstatus = "okay";');
    // Nothing but the room itself and what it stands on.
    const installed = globSync('node_modules/polykernel/lib/*/', { cwd: directory }).map((path) =>
      path.split('/').at(-1),
    );
    expect(installed.sort()).toEqual(['devicetree', 'sys']);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}, 120_000);
