/** The log of a workload as it grows, also from one daemon to the next: none of it twice, and nothing left out. */
import type { Client } from '../../client/index.ts';
import type { LogLine, LogQuery } from '../../instance/contract.ts';
import { nextClient } from '../kit/next-daemon.ts';

/** `again`: gives the next daemon, or rejects with what the error before tells, or what keeps it from that. */
export async function* followLog(
  client: Pick<Client, 'logs' | 'socketPath'>,
  name: string,
  query: LogQuery,
  again: (error: unknown) => Promise<Pick<Client, 'logs'>> = (error) => nextClient(client, error),
): AsyncGenerator<LogLine> {
  let from: Pick<Client, 'logs'> = client;
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
      from = await again(error);
      const { tail: _, ...rest } = query;
      // With nothing told yet it is asked as before.
      if (told.count > 0) asked = { ...rest, since: told.t };
    }
  }
}
