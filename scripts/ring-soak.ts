/**
 * `node scripts/ring-soak.ts [COUNT]`: verifies COUNT messages (default 10^8) through rings between TypeScript and C, with
 * consumers that stall and ends that are killed and come back. Exit code 1 when one is lost, doubled or torn.
 */
import { type Language, soak } from '../test/support/ring-soak.ts';

const count = Number(process.argv[2] ?? 1e8);
const pairs: [Language, Language][] = [
  ['ts', 'ts'],
  ['ts', 'c'],
  ['c', 'ts'],
  ['c', 'c'],
];
for (const [producer, consumer] of pairs) {
  const began = performance.now();
  const each = Math.ceil(count / pairs.length);
  const result = await soak({
    producer,
    consumer,
    count: each,
    longest: 64,
    dataBytes: 65_536,
    killProducer: Math.ceil(each / 20),
    killConsumer: Math.ceil(each / 20),
    stall: consumer === 'ts' ? Math.ceil(each / 50) : 0,
    seed: 1 + (Date.now() % 1e9),
  });
  const seconds = (performance.now() - began) / 1000;
  const { kills } = result;
  console.log(
    `${producer} to ${consumer}: ${result.taken} messages verified in ${seconds.toFixed(0)} s; ` +
      `producer killed ${kills.producer} times, consumer ${kills.consumer} times`,
  );
}
