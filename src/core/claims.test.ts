import { expect, it } from 'vitest';
import { Claims } from './claims.ts';

const never = new AbortController().signal;

it('gives a thing to one after the other, in the order of asking, and to nobody who would overtake another', async () => {
  const claims = new Claims();
  const had: string[] = [];
  const take = (who: string, things: string[]) =>
    claims.take(things, 'wait', never).then((give) => {
      had.push(who);
      return give;
    });
  const first = await take('first', ['a', 'b']);
  const second = take('second', ['b', 'c']);
  const third = take('third', ['c']);
  const stranger = await take('stranger', ['d']);
  expect(had).toEqual(['first', 'stranger']);
  first();
  const give = await second;
  expect(had).toEqual(['first', 'stranger', 'second']);
  give();
  // Twice is once.
  give();
  (await third)();
  stranger();
});

it('refuses where it is not to wait, and names what is in the way', async () => {
  const claims = new Claims();
  const give = await claims.take(['instance web'], 'wait', never);
  await expect(claims.take(['pool pool', 'instance web'], 'refuse', never)).rejects.toMatchObject({
    code: 'conflict',
    message: 'instance web is being changed by another',
  });
  give();
  (await claims.take(['instance web'], 'refuse', never))();
});

it('waits no longer than its signal, and is then in nobody else’s way', async () => {
  const claims = new Claims();
  const give = await claims.take(['a'], 'wait', never);
  const ending = new AbortController();
  const waiting = claims.take(['a', 'b'], 'wait', ending.signal);
  const behind = claims.take(['b'], 'wait', never);
  ending.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  (await behind)();
  give();
});

it('takes at once or not at all, where it is tried', async () => {
  const claims = new Claims();
  const give = claims.tryTake(['a', 'b'])!;
  expect(claims.tryTake(['b', 'c'])).toBeUndefined();
  const waiting = claims.take(['b', 'c'], 'wait', never);
  expect(claims.tryTake(['c'])).toBeUndefined();
  give();
  (await waiting)();
  expect(claims.tryTake(['a', 'b', 'c'])).toBeDefined();
});
