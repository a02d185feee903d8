import { expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { EventLog } from '../core/events.ts';
import { silentJournal } from '../core/journal.ts';
import { PolykernelError } from '../sys/errors.ts';
import { Healer, type HealerOptions } from './healer.ts';
import { Holds } from './holds.ts';
import { HealingLog } from './log.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

it('what changes while something is done to one is looked at afterwards, also where that failed before', async () => {
  const clock = new ManualClock();
  const gates: { resolve(): void; reject(error: unknown): void }[] = [];
  const record = {
    id: 'x',
    machine: { exit: null, restartsInRow: 0 },
    spec: { restart: 'always', heal: 'no' },
  };
  const web = { name: 'web', state: 'backoff', isRestartDue: true, record };
  const records = { all: () => [], put: () => {}, delete: () => {} };
  const options = {
    instances: () => ({ list: () => [web], find: () => web, get: () => web }),
    health: { get: () => ({ acknowledged: false, health: 'lost', signs: [] }), disown: () => {} },
    steps: () => ({
      submit: () => {
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        gates.push({ resolve, reject });
        return promise;
      },
    }),
    log: new HealingLog(records as never, () => {}),
    ...{ events: new EventLog(() => 1), clock, journal: silentJournal },
  } as unknown as HealerOptions;
  const healer = new Healer(options, (onEnd) => new Holds({ get: () => null, put: () => {} }, clock, onEnd));
  await healer.recover();
  gates[0]!.reject(new PolykernelError('internal', 'no'));
  await turn();
  expect(gates).toHaveLength(1);
  clock.advance(5_000);
  expect(gates).toHaveLength(2);
  gates[1]!.resolve();
  await turn();
  // It is due once more: it ended again before that step was over.
  expect(gates).toHaveLength(3);
  healer.close();
});
