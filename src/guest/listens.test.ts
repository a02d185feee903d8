import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { isListening, listens } from './listens.ts';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue\n';
const row = (local: string, state = '0A') => `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000\n`;

it.each([
  ['00000000:0050', '0A', true],
  ['0105D50A:0050', '0A', true],
  ['00000000000000000000000000000000:0050', '0A', true],
  // Another port, a connection, and what nobody else reaches.
  ['00000000:0051', '0A', false],
  ['0105D50A:0050', '01', false],
  ['0100007F:0050', '0A', false],
  ['00000000000000000000000001000000:0050', '0A', false],
])('%s in state %s: %s', (local, state, expected) => {
  expect(isListening(HEAD + row(local, state), 80)).toBe(expected);
});

it('asks both tables, of which the second may be missing, and takes any text', async () => {
  const guest = (tables: Record<string, string>) => ({
    readFile: async (path: string) => {
      if (tables[path] === undefined) throw new Error(path);
      return Readable.from([Buffer.from(tables[path])]);
    },
  });
  const tcp = '/proc/net/tcp';
  expect(await listens(guest({ [tcp]: HEAD + row('00000000:0050') }), 80)).toBe(true);
  expect(await listens(guest({ [tcp]: HEAD }), 80)).toBe(false);
  expect(await listens(guest({ [tcp]: HEAD, [`${tcp}6`]: HEAD + row(`${'0'.repeat(32)}:0050`) }), 80)).toBe(true);
  expect(await listens(guest({ [tcp]: '\0 :: :x\n'.repeat(9) }), 80)).toBe(false);
  await expect(listens(guest({}), 80)).rejects.toThrow(tcp);
});
