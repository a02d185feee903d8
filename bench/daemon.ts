/** A daemon of the bench's own, gone without a trace afterwards, after Ctrl-C as well. */
import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withOwnDaemon } from '../scripts/own-daemon.ts';
import { type Client, connect } from '../src/client/index.ts';

export async function withDaemon<T>(
  env: Record<string, string>,
  work: (home: string, client: Client) => Promise<T>,
): Promise<T> {
  const home = mkdtempSync(join(tmpdir(), 'pk-bench-'));
  chmodSync(home, 0o700);
  Object.assign(process.env, env);
  try {
    return await withOwnDaemon(home, async () => work(home, await connect({ home })));
  } finally {
    for (const name of Object.keys(env)) delete process.env[name];
  }
}
