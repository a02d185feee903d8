/** What HAProxy is told when targets change. */
import { expect, it } from 'vitest';
import type { Server, ServerState } from './contract.ts';
import { adjustments } from './service-servers.ts';

const server = (name: string, address: string | null, weight: number, more: Partial<Server> = {}): Server => ({
  ...{ name, address, port: 80, weight, ...more },
});
const state = (name: string, address: string, weight: number, maintenance = false): [string, ServerState] => [
  `api/${name}`,
  { backend: 'api', server: name, address, port: 80, weight, maintenance },
];
const told = (servers: readonly Server[], states: readonly [string, ServerState][]) =>
  adjustments('api', servers, new Map(states)).map((command) => command.replace('set server api/', ''));

it('nothing where all is as it should be', () => {
  expect(told([server('a', '10.0.0.1', 1)], [state('a', '10.0.0.1', 1)])).toEqual([]);
  expect(told([server('b', '10.0.0.2', 1)], [])).toEqual([]);
});

it.each([
  ['drained', server('old', '10.0.0.1', 0), ['old weight 0']],
  ['gone', server('old', null, 1), ['old state maint']],
  ['moved', server('old', '10.0.0.9', 1), ['old addr 10.0.0.9 port 80', 'old health down']],
])('takes no target that is %s away before another one serves', (_, old, last) => {
  const states = [state('old', '10.0.0.1', 1), state('new', '10.0.0.2', 0)];
  for (const servers of [
    [old, server('new', '10.0.0.2', 1)],
    [server('new', '10.0.0.2', 1), old],
  ])
    expect(told(servers, states)).toEqual(['new weight 1', ...last]);
});

it('has one that comes back checked first, unless it is known to be well', () => {
  const states = [state('a', '10.0.0.1', 1, true)];
  expect(told([server('a', '10.0.0.1', 1)], states)).toEqual(['a state ready', 'a health down']);
  expect(told([server('a', '10.0.0.1', 1, { isWell: true })], states)).toEqual(['a state ready', 'a health up']);
});
