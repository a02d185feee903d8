import { expect, it } from 'vitest';
import { networkObstacle, tapObstacle } from './bridge.ts';

it('a way out takes root, and says so', () => {
  expect(networkObstacle('egress', true)).toBeNull();
  expect(networkObstacle('egress', false)).toMatchObject({
    reason: expect.stringContaining('take root'),
    hint: expect.stringContaining('--network private'),
  });
});

it('the device of taps is needed by QEMU alone, and what is wrong with it is named', () => {
  expect(tapObstacle('/dev/null')).toBeNull();
  expect(tapObstacle('/nowhere/tun')).toMatchObject({ reason: expect.stringContaining('there is none') });
});
