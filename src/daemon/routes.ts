/** What carries out the daemon's own routes. */
import { open } from 'node:fs/promises';
import type { EventLog } from '../core/events.ts';
import type { Handlers } from '../core/route.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { daemonApi } from './api.ts';
import type { VersionInfo } from './contract.ts';

/** What a daemon is asked of itself. */
export interface Itself {
  events: EventLog;
  version(): VersionInfo;
  /** Ends the daemon. */
  shutdown(): void;
}

const OPENAPI = new URL('./openapi.json', import.meta.url);

export const daemonHandlers = ({ version, shutdown, events }: Itself): Handlers<typeof daemonApi> => ({
  version: () => version(),
  shutdown({ afterwards }) {
    afterwards(shutdown);
    return {};
  },
  events: ({ query, headers }) => ({ log: events, since: query.since ?? lastEventId(headers['last-event-id']) }),
  async openapi() {
    // As it is read, not all of it in memory for each client that does not.
    const file = await open(OPENAPI).catch((cause) => {
      throw new PolykernelError('internal', 'the description of the API is missing from this installation', { cause });
    });
    return file.createReadStream();
  },
});

function lastEventId(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}
