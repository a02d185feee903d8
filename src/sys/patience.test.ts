import { expect, it } from 'vitest';
import { patiently } from './patience.ts';

it('gives up on a mount that does not answer, asks it no second time, and asks others', async () => {
  const never = Promise.withResolvers<void>();
  let asked = 0;
  const look = async () => {
    asked += 1;
    await never.promise;
  };
  const silent = { code: 'unavailable', message: expect.stringContaining('/proc/1/x') };
  await expect(patiently('/proc/1/x', look, 1)).rejects.toMatchObject(silent);
  await expect(patiently('/proc/1/x', look, 1)).rejects.toMatchObject(silent);
  expect(asked).toBe(1);
  expect(await patiently('/', async () => 'there')).toBe('there');
  never.resolve();
  expect(await patiently('/proc/1/x', async () => 'back')).toBe('back');
});
