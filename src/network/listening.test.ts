import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { isListening, listens } from './listening.ts';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const row = (local: string, state = '0A') =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 1234 1 0000000000000000 100 0 0 10 0\n`;

it.each([
  ['anywhere', '00000000:0050', '0A', true],
  ['at its address', '0300D50A:0050', '0A', true],
  ['anywhere by IPv6', '00000000000000000000000000000000:0050', '0A', true],
  ['at itself alone', '0100007F:0050', '0A', false],
  ['at itself alone by IPv6', '00000000000000000000000001000000:0050', '0A', false],
  ['at itself alone, mapped', '0000000000000000FFFF00000100007F:0050', '0A', false],
  ['at another port', '00000000:0051', '0A', false],
  ['with a connection and no more', '0300D50A:0050', '01', false],
])('who listens %s', (_, local, state, is) => {
  expect(isListening(HEAD + row('0300D50A:1F90', '01') + row(local, state), 80)).toBe(is);
});

it('is nothing in what is no table', () => {
  for (const text of ['', '\n\n', ':0050 0A', 'x '.repeat(1000)]) expect(isListening(text, 80)).toBe(false);
});

it('asks for both tables, and for no more than a guest may tell', async () => {
  const asked: string[] = [];
  let given = 0;
  const endless = () =>
    Readable.from(
      (function* () {
        for (;;) yield 'x'.repeat(1000 + 0 * given++);
      })(),
    );
  const guest = (six: () => Readable) => ({
    readFile: async (path: string) => {
      asked.push(path);
      return path.endsWith('6') ? six() : Readable.from([HEAD]);
    },
  });
  expect(
    await listens(
      guest(() => Readable.from([HEAD + row('00000000000000000000000000000000:0050')])),
      80,
    ),
  ).toBe(true);
  expect(asked).toEqual(['/proc/net/tcp', '/proc/net/tcp6']);
  expect(await listens(guest(endless), 80)).toBe(false);
  expect(given).toBeLessThan(1000);
  expect(await listens({ readFile: () => Promise.reject(new Error('no')) }, 80)).toBe(false);
});

it('lets go of a guest that says nothing', async () => {
  const stream = new Readable({ read() {} });
  await expect(listens({ readFile: async () => stream }, 80, 1)).rejects.toThrow();
  expect(stream.destroyed).toBe(true);
});
