/** `pk upgrade --all`: one after the other, or several at once; the first that fails is the last. */
import type { Client } from '../../client/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { UpgradeReport, UpgradeRequest } from '../../upgrade/contract.ts';

export async function upgradeAll(
  client: Client,
  request: UpgradeRequest,
  atMost: number,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<{ done: UpgradeReport[]; failed?: unknown }> {
  const names = await candidates(client, request, say, signal);
  const done: UpgradeReport[] = [];
  const failures: unknown[] = [];
  const worker = async () => {
    for (let name = names.shift(); name !== undefined && failures.length === 0; name = names.shift()) {
      const own = name;
      try {
        done.push(await client.upgrade(own, request, (text) => say(`${own}: ${text}`), signal));
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atMost }, worker));
  return { done, failed: failures[0] };
}

/** Those that run, are not so already, and could be upgraded; why others could not is said. */
async function candidates(
  client: Client,
  request: UpgradeRequest,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<string[]> {
  const names: string[] = [];
  for (const { spec, state } of await client.list()) {
    if (state !== 'running') continue;
    try {
      await client.upgrade(spec.name, { ...request, dryRun: true }, () => {}, signal);
      if (spec.image !== request.image) names.push(spec.name);
    } catch (error) {
      if (!(error instanceof PolykernelError) || error.code === 'not-found') throw error;
      say(`${spec.name} is left as it is: ${error.message}`);
    }
  }
  return names;
}
