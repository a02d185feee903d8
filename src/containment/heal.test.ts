import { expect, it } from 'vitest';
import type { Instance } from '../instance/contract.ts';
import { heal } from './heal.ts';

it('a restart that its policy has begun goes on when the trial is interrupted', async () => {
  const done: string[] = [];
  const act = (name: string) => async () => void done.push(name);
  const instance = {
    ...{ state: 'backoff', active: true, record: { machine: { restarts: 1 } }, onChange: () => () => {} },
    ...{ stop: act('stop'), kill: act('kill'), start: act('start') },
  } as unknown as Instance;
  const trial = new AbortController();
  const healed = heal(instance, trial.signal);
  trial.abort(new Error('interrupted'));
  await expect(healed).rejects.toThrow('interrupted');
  expect(done).toEqual([]);
});
