import { expect, it } from 'vitest';
import type { Client } from '../../client/index.ts';
import type { LogLine, LogQuery } from '../../instance/contract.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { followLog } from './follow-log.ts';

const line = (t: string, d: string): LogLine => ({ t, s: 'out', d });
const ALL = [line('1', 'a'), line('2', 'b'), line('2', 'c'), line('2', 'd'), line('3', 'e')];
const cut = () => new PolykernelError('unavailable', 'the connection to the daemon was lost');

/** One that tells what it is asked for, and is cut off after so many. */
function daemon(many: number, asked: LogQuery[]): Client {
  return {
    async *logs(_name: string, query: LogQuery) {
      asked.push(query);
      const from = ALL.filter(({ t }) => t >= (query.since ?? ''));
      yield* from.slice(0, many);
      if (many < from.length) throw cut();
    },
  } as unknown as Client;
}

it.each([0, 1, 2, 3, 4])(
  'goes on with the next daemon after %d records, none twice and none left out',
  async (many) => {
    const asked: LogQuery[] = [];
    const next = async () => daemon(ALL.length, asked);
    const told = await Array.fromAsync(followLog(daemon(many, asked), 'web', { follow: true, tail: 9 }, next));
    expect(told).toEqual(ALL);
    expect(asked[1]).toEqual(many === 0 ? { follow: true, tail: 9 } : { follow: true, since: ALL[many - 1]!.t });
  },
);

it('tells what else goes wrong', async () => {
  const logs = async function* () {
    yield ALL[0]!;
    throw new PolykernelError('not-found', 'gone');
  };
  const told = Array.fromAsync(followLog({ logs } as unknown as Client, 'web', { follow: true }));
  await expect(told).rejects.toMatchObject({ code: 'not-found' });
});
