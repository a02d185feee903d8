/** How commands that go on for long meet the end of a daemon: they say what they wait for, and go on with the next one. */
import type { Client } from '../../client/index.ts';
import { complain } from './output.ts';

/** So many failures in a row, each within so long, are no change of daemons. */
const MOST_FAILURES = 3;
const FAILS_MS = 1_000;

/**
 * The daemon that comes after the one of `client`, of which `error` tells that it is gone. None is started for it: `pk daemon stop` ends those
 * who look on. Rejects with what else `error` tells, and with `unavailable` when none comes.
 */
export async function nextClient(client: Pick<Client, 'socketPath'>, error: unknown, signal?: AbortSignal) {
  // On demand: most commands have the same daemon to their end.
  const [{ connect }, { isAway, nextDaemon }] = await Promise.all([
    import('../../client/index.ts'),
    import('../../client/next-daemon.ts'),
  ]);
  if (!isAway(error)) throw error;
  return await nextDaemon(client.socketPath, () => connect({ start: false }), { say: complain, signal });
}

/** What `ask` resolves with, asked again of the next daemon when that one goes: for questions that do no harm when they are asked twice. */
export async function askAgain<T>(client: Client, ask: (client: Client) => Promise<T>): Promise<T> {
  let asked = client;
  for (let failures = 0; ; failures += 1) {
    try {
      return await ask(asked);
    } catch (error) {
      if (failures === MOST_FAILURES) throw error;
      asked = await nextClient(asked, error);
    }
  }
}

/** What `read` gives, read anew from the next daemon when that one goes, until it ends by itself; `endless`: it ends with its daemon alone. */
export async function* readAgain<T>(
  client: Client,
  read: (client: Client) => AsyncIterable<T>,
  { signal, endless = false }: { signal?: AbortSignal; endless?: boolean } = {},
): AsyncGenerator<T> {
  let from = client;
  for (let failures = 0; ; ) {
    const began = performance.now();
    try {
      yield* read(from);
      if (!endless) return;
      const { PolykernelError } = await import('../../client/index.ts');
      throw new PolykernelError('unavailable', 'the daemon has ended');
    } catch (error) {
      failures = performance.now() - began < FAILS_MS ? failures + 1 : 1;
      if (failures > MOST_FAILURES) throw error;
      from = await nextClient(from, error, signal);
    }
  }
}
