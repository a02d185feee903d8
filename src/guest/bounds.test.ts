/** What is under way to and from a guest is bounded, whatever that claims. */
import { buffer } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { encodePairs, OUTPUT_CREDIT, ToGuest, ToHost, u16, u32 } from './protocol.ts';
import { connected, Guest } from './testing.ts';

const request = { command: ['true'], env: {}, cwd: '/', user: '0' };

const turns = async () => {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
};

it.each([
  { line: 'a serial line', isPort: false, bound: 2048 },
  { line: 'a port', isPort: true, bound: 524_288 },
])('leaves at most $bound bytes unacknowledged on $line, whatever the guest claims', async ({ isPort, bound }) => {
  const guest = new Guest();
  const claims = encodePairs(['payload', 'window', 'stdin', 'bare'].map((key) => [key, '999999999'] as const));
  let sent = 0;
  guest.hello = (nonce) => {
    sent = 0;
    guest.send(ToHost.hello, 0, Buffer.concat([u16(1, 0), u32(nonce), claims]));
  };
  const { link } = await connected({ isPort }, guest);
  guest.autoAck = false;
  guest.stream.on('data', (chunk: Buffer) => {
    sent += chunk.length;
  });
  for (let session = 0; session < 4; session++) {
    const process = link.exec(request);
    process.stdin.on('error', () => {});
    process.stdin.write(Buffer.alloc(1_000_000));
  }
  await turns();
  expect(sent).toBeLessThanOrEqual(bound);
  expect(sent).toBeGreaterThan(bound / 2);
  link.destroy();
});

/** A session whose output is read, and how much more of it the guest may send. */
async function session({ guest, link }: Awaited<ReturnType<typeof connected>>) {
  const process = link.exec(request);
  const id = (await guest.next(ToGuest.exec)).session;
  let credit = OUTPUT_CREDIT;
  let [sent, read] = [0, 0];
  process.stdout.on('data', ({ length }: Buffer) => {
    read += length;
  });
  return {
    process,
    id,
    /** Sends so much, and resolves to the credit left once it is read and no answer is under way. */
    send: async (bytes: number) => {
      for (let left = bytes; left > 0; left -= 16_384) guest.send(ToHost.stdout, id, Buffer.alloc(16_384));
      credit -= bytes;
      sent += bytes;
      while (read < sent) await new Promise((resolve) => setTimeout(resolve, 1));
      await turns();
      for (let at = 0; at < guest.frames.length; ) {
        const { type, session, payload } = guest.frames[at]!;
        if (type !== ToGuest.credit || session !== id) at += 1;
        else {
          expect(payload.readUInt32LE()).toBeLessThanOrEqual(OUTPUT_CREDIT);
          credit += payload.readUInt32LE();
          guest.frames.splice(at, 1);
        }
      }
      return credit;
    },
  };
}

it('lends more output to sessions that are read, to each and to all of a guest only so much', async () => {
  const both = await connected();
  const sessions = [await session(both), await session(both), await session(both)];
  const credits = [];
  for (const one of sessions) {
    for (let round = 0; round < 4; round++) await one.send(OUTPUT_CREDIT);
    credits.push((await one.send(OUTPUT_CREDIT)) / OUTPUT_CREDIT);
  }
  expect(credits).toEqual([4, 4, 1]);
  // One that ends leaves its part to another.
  both.guest.send(ToHost.exited, sessions[0]!.id, u32(0, 0));
  await sessions[0]!.process.exited;
  expect(await sessions[2]!.send(OUTPUT_CREDIT)).toBeGreaterThan(OUTPUT_CREDIT);
  both.link.destroy();
});

it('takes no more output of a session that nobody reads than it may send at first', async () => {
  const { guest, link } = await connected();
  const process = link.exec(request);
  const { session } = await guest.next(ToGuest.exec);
  const refused = new Promise((resolve) => link.once('protocol-error', resolve));
  for (let frames = 0; frames < 4 + 65; frames++) guest.send(ToHost.stdout, session, Buffer.alloc(16_384));
  await refused;
  expect((await buffer(process.stdout)).length).toBe(OUTPUT_CREDIT);
});
