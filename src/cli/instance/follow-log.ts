/** The log of a workload as it grows, also from one daemon to the next: none of it twice, and nothing left out. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, connect } from '../../client/index.ts';
import type { LogLine, LogQuery } from '../../instance/contract.ts';
import { PolykernelError } from '../../sys/errors.ts';

/** How long no daemon may answer: another one takes over, or is started by somebody. */
const PATIENCE_MS = 15_000;
const POLL_MS = 50;

/** `again`: gives the next daemon, or rejects with what cut off the one before. */
export async function* followLog(
  client: Pick<Client, 'logs'>,
  name: string,
  query: LogQuery,
  again: (error: unknown) => Promise<Pick<Client, 'logs'>> = nextDaemon,
): AsyncGenerator<LogLine> {
  let from = client;
  let asked = query;
  /** Of the time of the last record so many were told. */
  let told = { t: '', count: 0 };
  for (;;) {
    let skip = told.count;
    try {
      for await (const line of from.logs(name, asked)) {
        if (line.t === told.t && skip > 0) {
          skip -= 1;
          continue;
        }
        told = { t: line.t, count: line.t === told.t ? told.count + 1 : 1 };
        yield line;
      }
      return;
    } catch (error) {
      if (!isCut(error)) throw error;
      from = await again(error);
      const { tail: _, ...rest } = query;
      // With nothing told yet it is asked as before.
      if (told.count > 0) asked = { ...rest, since: told.t };
    }
  }
}

const isCut = (error: unknown): boolean => error instanceof PolykernelError && error.code === 'unavailable';

/** None is started for it: `pk daemon stop` ends those who look on. Rejects with what cut it off. */
async function nextDaemon(error: unknown): Promise<Client> {
  for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await sleep(POLL_MS)) {
    const client = await connect({ start: false }).catch((reason) => {
      if (isCut(reason)) return undefined;
      throw reason;
    });
    if (client !== undefined) return client;
  }
  throw error;
}
