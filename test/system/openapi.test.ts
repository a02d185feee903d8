import { expect, it } from 'vitest';
import { CONTRACTS } from '../../src/client/contracts.ts';
import type { Api } from '../../src/core/route.ts';
import { startDaemon } from '../support/harness.ts';

it('tells of every route that is served', async () => {
  const { daemon } = await startDaemon();
  expect(new Set<Api>(daemon.apis)).toEqual(new Set(CONTRACTS));
});

it('is served', async () => {
  const test = await startDaemon();
  const document = (await test.client.openapi()) as { paths: Record<string, unknown> };
  expect(Object.keys(document.paths)).toContain('/v1/instances/{name}');
});
