/** A daemon of the bench's own, gone without a trace afterwards. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeDaemon } from '../scripts/own-daemon.ts';
import { type Client, connect } from '../src/client/index.ts';

export async function withDaemon<T>(
  env: Record<string, string>,
  work: (home: string, client: Client) => Promise<T>,
): Promise<T> {
  const home = mkdtempSync(join(tmpdir(), 'pk-bench-'));
  Object.assign(process.env, env);
  try {
    return await work(home, await connect({ home }));
  } finally {
    await removeDaemon(home);
    for (const name of Object.keys(env)) delete process.env[name];
  }
}
