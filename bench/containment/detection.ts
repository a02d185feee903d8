/** From a hang of a kernel to what a client is told of it. */
import type { Client } from '../../src/client/index.ts';
import { until } from '../../test/support/pk.ts';
import { atMost, median, type Row } from '../row.ts';
import { inKernel, startFault } from './program.ts';

const ROUNDS = 5;
const EVENT_MS = 3_000;

export async function detection(
  client: Client,
  driver: 'uml' | 'qemu',
  progress: (text: string) => void,
): Promise<Row[]> {
  const kernel = { driver, memoryBytes: 128 * 2 ** 20 } as const;
  await client.create({ name: 'hangs', command: ['sleep', '100000'], ...kernel, start: false });
  const seen: number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    progress(`${driver}: hang ${round} of ${ROUNDS}`);
    await client.start('hangs');
    await until('it is known to be well', async () => (await client.instanceHealth('hangs')).health === 'healthy');
    const hang = await startFault(inKernel(client, 'hangs'), 'hang');
    const told = healthLost(client, 'hangs');
    const began = performance.now();
    hang.go();
    seen.push((await told) - began);
    await client.kill('hangs', {});
    await client.wait('hangs');
    await hang.end();
  }
  await client.remove('hangs', { force: true });
  return [
    atMost(EVENT_MS, {
      ...{ name: `${driver}: from a hang to its event at a client`, value: median(seen), unit: 'ms' },
      ...{ peer: 'goal', peerValue: EVENT_MS, of: 'value' },
      note: `median of ${ROUNDS}; worst ${Math.round(Math.max(...seen))} ms`,
    }),
  ];
}

/** When the loss of its health came, by performance.now(). */
export async function healthLost(client: Client, instance: string): Promise<number> {
  for await (const { type, name } of client.events({}))
    if (type === 'health-lost' && name === instance) return performance.now();
  throw new Error('the events ended');
}
