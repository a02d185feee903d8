/** How each route is asked, by the name of the client's method. `node scripts/api-reference.ts` writes the table from the contracts. */
import type { Route } from '../core/route.ts';

export interface ClientRoute extends Pick<Route, 'method' | 'path' | 'list' | 'argument'> {
  kind: Exclude<Route['kind'], 'download' | 'upload'>;
  /** Where what the method is given goes. */
  input?: 'body' | 'query';
  /** Parameters of the path that the body names. */
  inBody?: readonly string[];
}

export const ROUTES: Readonly<Record<string, ClientRoute>> = {
  balance: { method: 'GET', path: '/v1/balance', kind: 'json' },
  setBalance: { method: 'PUT', path: '/v1/balance', kind: 'json', input: 'body' },
  decisions: { method: 'GET', path: '/v1/balance/decisions', kind: 'json', input: 'query', list: 'decisions' },
  holdSize: { method: 'PUT', path: '/v1/balance/holds/:name', kind: 'json', input: 'body' },
  replay: { method: 'POST', path: '/v1/balance/replay', kind: 'json', input: 'body' },
  resize: { method: 'POST', path: '/v1/instances/:name/size', kind: 'long', input: 'body' },
  move: { method: 'POST', path: '/v1/moves', kind: 'long', input: 'body' },
  channels: { method: 'GET', path: '/v1/channels', kind: 'json', list: 'channels' },
  createChannel: { method: 'POST', path: '/v1/channels', kind: 'json', input: 'body' },
  channel: { method: 'GET', path: '/v1/channels/:name', kind: 'json' },
  removeChannel: { method: 'DELETE', path: '/v1/channels/:name', kind: 'json', input: 'query' },
  version: { method: 'GET', path: '/v1/version', kind: 'json' },
  shutdown: { method: 'POST', path: '/v1/shutdown', kind: 'json' },
  events: { method: 'GET', path: '/v1/events', kind: 'events', input: 'query' },
  doctor: { method: 'GET', path: '/v1/doctor', kind: 'json' },
  health: { method: 'GET', path: '/v1/health', kind: 'json', list: 'health' },
  instanceHealth: { method: 'GET', path: '/v1/instances/:name/health', kind: 'json' },
  acknowledgeHealth: { method: 'POST', path: '/v1/instances/:name/health/acknowledge', kind: 'json' },
  images: { method: 'GET', path: '/v1/images', kind: 'json', list: 'images' },
  removeImage: { method: 'DELETE', path: '/v1/images/:name', kind: 'json' },
  pullImage: { method: 'POST', path: '/v1/images/pull', kind: 'long', input: 'body', argument: 'name' },
  importImage: { method: 'POST', path: '/v1/images/import', kind: 'long', input: 'body' },
  prewarm: { method: 'POST', path: '/v1/images/prewarm', kind: 'long', input: 'body' },
  list: { method: 'GET', path: '/v1/instances', kind: 'json', list: 'instances' },
  create: { method: 'POST', path: '/v1/instances', kind: 'json', input: 'body' },
  inspect: { method: 'GET', path: '/v1/instances/:name', kind: 'json' },
  remove: { method: 'DELETE', path: '/v1/instances/:name', kind: 'json', input: 'query' },
  start: { method: 'POST', path: '/v1/instances/:name/start', kind: 'json' },
  stop: { method: 'POST', path: '/v1/instances/:name/stop', kind: 'json', input: 'body' },
  kill: { method: 'POST', path: '/v1/instances/:name/kill', kind: 'json', input: 'body' },
  pause: { method: 'POST', path: '/v1/instances/:name/pause', kind: 'json' },
  resume: { method: 'POST', path: '/v1/instances/:name/resume', kind: 'json' },
  restart: { method: 'POST', path: '/v1/instances/:name/restart', kind: 'json', input: 'body' },
  wait: { method: 'GET', path: '/v1/instances/:name/wait', kind: 'json' },
  logs: { method: 'GET', path: '/v1/instances/:name/logs', kind: 'lines', input: 'query' },
  topology: { method: 'GET', path: '/v1/topology', kind: 'json' },
  machine: { method: 'GET', path: '/v1/ledger', kind: 'json' },
  pool: { method: 'GET', path: '/v1/pool', kind: 'json' },
  initPool: { method: 'POST', path: '/v1/pool', kind: 'json', input: 'body' },
  growPool: { method: 'POST', path: '/v1/pool/grow', kind: 'json', input: 'body' },
  shrinkPool: { method: 'POST', path: '/v1/pool/shrink', kind: 'json', input: 'body' },
  releasePool: { method: 'DELETE', path: '/v1/pool', kind: 'json' },
  services: { method: 'GET', path: '/v1/services', kind: 'json', list: 'services' },
  createService: { method: 'POST', path: '/v1/services', kind: 'json', input: 'body' },
  service: { method: 'GET', path: '/v1/services/:name', kind: 'json' },
  replaceService: { method: 'PUT', path: '/v1/services/:name', kind: 'json', input: 'body', inBody: ['name'] },
  removeService: { method: 'DELETE', path: '/v1/services/:name', kind: 'json' },
  changeTarget: { method: 'POST', path: '/v1/services/:name/targets/:instance', kind: 'json', input: 'body' },
  plan: { method: 'POST', path: '/v1/plan', kind: 'json', input: 'body' },
  apply: { method: 'POST', path: '/v1/apply', kind: 'long', input: 'body' },
  destroy: { method: 'POST', path: '/v1/destroy', kind: 'long', input: 'body', argument: 'stack' },
  stats: { method: 'GET', path: '/v1/stats', kind: 'json', list: 'instances' },
  statsSeries: { method: 'GET', path: '/v1/instances/:name/stats', kind: 'json', input: 'query' },
  upgrade: { method: 'POST', path: '/v1/instances/:name/upgrade', kind: 'long', input: 'body' },
};
