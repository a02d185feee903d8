import { expect, it } from 'vitest';
import { PolykernelError } from '../../sys/errors.ts';
import { asOneOutput } from './one-output.ts';

it('asks for one output, and leaves them apart with a daemon that knows no such wish', async () => {
  const asked: object[] = [];
  const work = (error?: Error) => async (wish: { merged?: true }) => {
    asked.push(wish);
    if (wish.merged && error !== undefined) throw error;
  };
  const unknown = new PolykernelError('invalid', 'merged is not a known field', { field: 'merged' });
  const other = new PolykernelError('invalid', 'name is too long', { field: 'name' });
  await asOneOutput(false, work(unknown));
  await asOneOutput(true, work());
  await asOneOutput(true, work(unknown));
  await expect(asOneOutput(true, work(other))).rejects.toBe(other);
  expect(asked).toEqual([{}, { merged: true }, { merged: true }, {}, { merged: true }]);
});
