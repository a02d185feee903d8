/**
 * Where benches make what they need: one directory for temporary files, which goes with all that runs in it or was started by us, after
 * Ctrl-C as well.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { thenCleanUp } from '../scripts/clean-up.ts';
import { removeDaemon } from '../scripts/own-daemon.ts';
import { layout } from '../src/sys/paths.ts';
import { hostProcesses } from '../test/support/host-processes.ts';

export async function inWorkplace<T>(work: () => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'pk-bench-'));
  process.env.TMPDIR = directory;
  return await thenCleanUp(work, async () => {
    for (const home of readdirSync(directory).map((name) => join(directory, name)))
      if (existsSync(layout(home).database)) await removeDaemon(home);
    for (const pid of [...descendants(process.pid), ...(await hostProcesses(directory))]) end(pid);
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  });
}

/** Children of a process, and theirs. None of one that is gone. */
function descendants(pid: number): number[] {
  let children: number[];
  try {
    children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
  return children.flatMap((child) => [...descendants(child), child]);
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself just now.
  }
}
