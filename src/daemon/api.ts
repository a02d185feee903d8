/** The daemon itself in the API. */

import type { DaemonEvent } from '../core/events.ts';
import { download, events, get, post, routes } from '../core/route.ts';
import { count, named, record, request, text, time, typed } from '../core/schema.ts';
import type { VersionInfo } from './contract.ts';

const version = named(
  'VersionInfo',
  record<VersionInfo>({ version: text, apiVersion: { enum: [1] }, pid: count, startedAt: time, home: text }),
);

const event = named(
  'DaemonEvent',
  record<DaemonEvent>({
    sequence: count,
    at: time,
    type: text,
    name: { ...text, description: 'Of the instance, the channel or the service' },
    id: text,
    message: text,
  }),
);

export const daemonApi = routes('system', {
  version: get('/v1/version', { summary: 'The daemon and its API', answer: version }),
  /** Ends the daemon; kernels go on. */
  shutdown: post('/v1/shutdown', {
    summary: 'End the daemon; kernels run on',
    answer: typed<Record<string, never>>({ type: 'object' }),
    status: 202,
  }),
  /** Events from now on, or from after the event numbered `since`. Ends only by the signal or with the daemon. */
  events: events('/v1/events', {
    summary: 'What happens to instances, as server-sent events',
    description:
      'Each event has its sequence number as id and a DaemonEvent as JSON data. Kept: the last 1024 events of this daemon.',
    query: request({ since: { ...count, description: 'The last sequence number already seen' } }),
    answer: event,
  }),
  openapi: download('/openapi.json', { summary: 'This description', produces: 'application/json', hidden: true }),
});
