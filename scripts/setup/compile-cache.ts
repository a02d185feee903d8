/**
 * Fills Node's compile cache, which also keeps the sources with their types stripped. Without it the first daemon loads the
 * type stripper (20 MiB that stay with it) and the first command of each kind starts slowly.
 */
import { createHash } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runCommand } from '../../src/sys/command.ts';
import { daemonEnvironment } from '../../src/sys/environment.ts';
import { DAEMON_FLAGS, NODE_FLAGS, nodeCommand } from '../../src/sys/node.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** Entries act when they are loaded: they are run for real, on a state directory of their own. */
const ENTRIES = new Set([
  'src/cli/main.ts',
  'src/daemon/main.ts',
  'src/ring/park-worker.ts',
  'src/driver/uml/dump-process.ts',
]);

/** Idempotent: does nothing while no source has changed since the last time. */
export async function fillCompileCache(
  cache: string,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const sources = globSync('src/**/*.ts', { cwd: ROOT })
    .filter((path) => !path.endsWith('.test.ts') && !path.endsWith('testing.ts'))
    .sort();
  const hash = createHash('sha256').update(`${process.version} ${ROOT}`);
  for (const path of sources) hash.update(`${path} ${statSync(join(ROOT, path)).mtimeMs}`);
  const digest = hash.digest('hex');
  const stamp = join(cache, 'compile-cache.sha256');
  if (stampOf(stamp) === digest) return;
  progress('compiling the sources');
  const urls = sources.filter((path) => !ENTRIES.has(path)).map((path) => pathToFileURL(join(ROOT, path)).href);
  const script = `for (const url of ${JSON.stringify(urls)}) await import(url); process.exit(0);`;
  const env = { ...daemonEnvironment(), NODE_COMPILE_CACHE: join(cache, 'compile') };
  // The cache is keyed by V8's flags: once for the daemon's, once for the CLI's.
  for (const flags of [DAEMON_FLAGS, []]) {
    await runCommand([process.execPath, ...NODE_FLAGS, ...flags, '--input-type=module', '--eval', script], {
      env,
      signal,
    });
  }
  const home = mkdtempSync(join(tmpdir(), 'pk-setup-'));
  try {
    for (const verb of ['start', 'stop']) {
      await runCommand(nodeCommand(join(ROOT, 'src/cli/main.ts'), ['daemon', '--home', home, verb]), {
        env,
        signal,
      });
    }
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  writeFileSync(stamp, digest);
}

function stampOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
