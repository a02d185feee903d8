/** A daemon of the bench's own, gone without a trace afterwards. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endDaemon } from '../src/client/end-daemon.ts';
import { type Client, connect } from '../src/client/index.ts';
import { layout } from '../src/sys/paths.ts';

export async function withDaemon<T>(
  env: Record<string, string>,
  work: (home: string, client: Client) => Promise<T>,
): Promise<T> {
  const home = mkdtempSync(join(tmpdir(), 'pk-bench-'));
  chmodSync(home, 0o700);
  Object.assign(process.env, env);
  const client = await connect({ home });
  try {
    return await work(home, client);
  } finally {
    for (const { spec } of await client.list()) await client.remove(spec.name, { force: true });
    for (const { name } of await client.channels()) await client.removeChannel(name, { force: true });
    await endDaemon(client, layout(home));
    for (const name of Object.keys(env)) delete process.env[name];
    rmSync(home, { recursive: true, force: true });
  }
}
