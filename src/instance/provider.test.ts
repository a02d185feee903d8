import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Drivers } from '../driver/drivers.ts';
import { FAKE, FAKE_CAPABILITIES } from '../driver/fake/traits.ts';
import type { KernelImage } from '../image/contract.ts';
import { systemClock } from '../sys/clock.ts';
import { PolykernelError } from '../sys/errors.ts';
import { createInstance } from './create.ts';
import { changedAll, type Owner, type Provider, releaseAll } from './provider.ts';
import type { InstanceRecord } from './record.ts';

const image = { name: 'image', modules: {} } as unknown as KernelImage;
const driver = {
  traits: FAKE,
  name: FAKE.name,
  availability: { available: true, reason: 'works' },
  capabilities: FAKE_CAPABILITIES,
};
const drivers = {
  find: () => driver,
  hostFacts: async () => ({ drivers: [driver], all: [FAKE], memoryBytes: 2 ** 33 }),
} as unknown as Drivers;

const CALLS = ['prepare', 'reserve', 'establish', 'release'] as const;

/** Providers of one thing each, of which the one numbered `at` fails in `call`, before or after it has taken it. */
function world(count: number, failing: { at: number; call: string; late: boolean }) {
  const given = Array.from({ length: count }, () => new Set<string>());
  const order: number[] = [];
  const providers = given.map((held, number): Provider => {
    const may = (call: string) => {
      if (failing.at === number && failing.call === call) throw new PolykernelError('conflict', `${number} fails`);
    };
    const take = (call: string, id: string) => {
      if (!failing.late) may(call);
      held.add(id);
      may(call);
    };
    return {
      name: `thing ${number}`,
      async prepare({ id }) {
        if (number % 2 === 0) take('prepare', id);
        else may('prepare');
      },
      reserve({ id }) {
        take('reserve', id);
        return {};
      },
      release({ id }) {
        order.push(number);
        held.delete(id);
        may('release');
      },
    };
  });
  return { given, order, providers };
}

it('everything is free again whichever provider fails at whichever call, and is taken back in reverse order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 6 }),
      fc.nat(5),
      fc.constantFrom(...CALLS),
      fc.boolean(),
      fc.boolean(),
      async (count, at, call, late, isErased) => {
        const failing = { at: at % count, call, late };
        const { given, order, providers } = world(count, failing);
        const complaints: string[] = [];
        const complain = (doing: string) => void complaints.push(doing);
        const create = createInstance(
          { command: ['true'] },
          'web',
          undefined,
          { drivers, resolveImage: async () => image, providers, writable: [], clock: systemClock, complain },
          (record): Owner => {
            if (call === 'establish') throw new PolykernelError('internal', 'the disk is full');
            return record;
          },
        );
        const made = await create.catch((error: PolykernelError) => error);
        if (call === 'release') {
          expect(given.every((held) => held.size === 1)).toBe(true);
          if (!isErased) return;
          await releaseAll(providers, made as Owner, complain);
          expect(complaints).toEqual([`removing web: taking back thing ${failing.at}`]);
        } else {
          expect(made).toBeInstanceOf(PolykernelError);
          expect(complaints).toEqual([]);
        }
        expect(given.every((held) => held.size === 0)).toBe(true);
        expect(order).toEqual(providers.map((_, number) => number).reverse());
      },
    ),
  );
});

it('takes back what each changed one has no more, though that of another fails', async () => {
  const seen: string[] = [];
  const changed = (name: string) => ({
    name,
    async changed({ id }: { id: string }) {
      seen.push(`${name} ${id}`);
      if (name === 'first') throw new PolykernelError('internal', `${id} fails`);
    },
  });
  const record = (id: string) => ({ id, spec: {} }) as unknown as InstanceRecord;
  const same = record('same');
  const changes = ['a', 'b'].map((id) => ({ record: record(id), before: record(id) }));
  const done = changedAll([changed('first'), changed('second')], [...changes, { record: same, before: same }]);
  await expect(done).rejects.toThrow('a fails');
  expect(seen).toEqual(['first a', 'second a', 'first b', 'second b']);
});
