import { expect, it } from 'vitest';
import { networkObstacle } from './bridge.ts';

it('a way out takes root, and says so', () => {
  expect(networkObstacle('egress', true)).toBeNull();
  expect(networkObstacle('egress', false)).toMatchObject({
    reason: expect.stringContaining('take root'),
    hint: expect.stringContaining('--network private'),
  });
});
