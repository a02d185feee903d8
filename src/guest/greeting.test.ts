/** What a daemon that was killed has left on the line may be anything a process in the guest has written. */
import { expect, it } from 'vitest';
import { GuestLink } from './link.ts';
import { encodeFrame, encodePairs, Flag, ToHost, u16, u32 } from './protocol.ts';
import { Guest } from './testing.ts';

const REAL = [7, 8];
const listed = (session: number, pid = 100) => encodeFrame(ToHost.session, session, u32(0, pid, 0, 0));

/** Whose answer comes behind `left`; `sessions`: what it says of how many it lists. */
function guestBehind(left: readonly Buffer[], sessions?: string): Guest {
  const guest = new Guest();
  for (const bytes of left) guest.stream.write(bytes);
  guest.hello = (nonce) => {
    for (const session of REAL) guest.stream.write(listed(session));
    const said = encodePairs(sessions === undefined ? [] : [['sessions', sessions]]);
    guest.send(ToHost.hello, 0, Buffer.concat([u16(1, 0), u32(nonce), said]));
  };
  return guest;
}

async function sessionsOf(guest: Guest): Promise<number[]> {
  const link = new GuestLink({ name: 'test' });
  await link.attach(guest.host, AbortSignal.timeout(5_000));
  return link.sessions().map(({ session }) => session);
}

const forged = (count: number) => Array.from({ length: count }, (_, index) => listed(1000 + index));

it('adds no session to those that the guest lists', async () => {
  const left = [Buffer.from('the rest of a frame'), ...forged(3), listed(7, 666)];
  expect(await sessionsOf(guestBehind(left, '2'))).toEqual(REAL);
});

it('takes no place of theirs, where the agent does not say how many it lists', async () => {
  const sessions = await sessionsOf(guestBehind(forged(80)));
  expect(sessions).toEqual(expect.arrayContaining(REAL));
  expect(sessions).toHaveLength(64);
});

it.each(['-1', 'many', '1e9', ''])('takes %j for no number of sessions', async (said) => {
  expect(await sessionsOf(guestBehind([], said))).toEqual(REAL);
});

it.each([40, 1000, 16_000, 60_000])('keeps no answer back by the head of a frame with %d bytes', async (length) => {
  const head = encodeFrame(ToHost.stdout, 7, Buffer.alloc(60_000), Flag.eof).subarray(0, 20);
  head.writeUInt16LE(length, 8);
  expect(await sessionsOf(guestBehind([head, head.subarray(0, 17)], '2'))).toEqual(REAL);
});
