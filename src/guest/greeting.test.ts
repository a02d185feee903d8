/** What a daemon that was killed has left on the line may be anything a process in the guest has written. */
import { expect, it } from 'vitest';
import { GuestLink } from './link.ts';
import { encodeFrame, Flag, ToHost, u16, u32 } from './protocol.ts';
import { Guest } from './testing.ts';

const REAL = [7, 8];
const listed = (session: number, pid = 100) => encodeFrame(ToHost.session, session, u32(0, pid, 0, 0));

/** Whose first answer comes behind `left`. */
function guestBehind(left: readonly Buffer[]): Guest {
  const guest = new Guest();
  for (const bytes of left) guest.stream.write(bytes);
  guest.hello = (nonce) => {
    const hello = encodeFrame(ToHost.hello, 0, Buffer.concat([u16(1, 0), u32(nonce)]));
    guest.stream.write(Buffer.concat([...REAL.map((session) => listed(session)), hello]));
  };
  return guest;
}

async function sessionsOf(guest: Guest): Promise<number[]> {
  const link = new GuestLink({ name: 'test' });
  await link.attach(guest.host, AbortSignal.timeout(5_000));
  return link.sessions().map(({ session }) => session);
}

const forged = (count: number) => Array.from({ length: count }, (_, index) => listed(1000 + index));

it('adds no session to those that the guest lists, nor takes the place of one', async () => {
  expect(await sessionsOf(guestBehind([Buffer.from('the rest of a frame'), ...forged(80), listed(7, 666)]))).toEqual(
    REAL,
  );
  expect(await sessionsOf(guestBehind(forged(1)))).toEqual(REAL);
});

it('takes in the beginning of no answer', async () => {
  // Its sum is right with what everybody knows to come behind it.
  const swallows = encodeFrame(ToHost.bell, 1, listed(7).subarray(0, 4)).subarray(0, -4);
  expect(await sessionsOf(guestBehind([listed(1000), swallows]))).toEqual(REAL);
  const whole = encodeFrame(ToHost.hello, 1, listed(7)).subarray(0, -listed(7).length);
  expect(await sessionsOf(guestBehind([Buffer.from('x'), whole]))).toEqual(REAL);
});

it.each([40, 1000, 16_000, 60_000])('keeps no answer back by the head of a frame with %d bytes', async (length) => {
  const head = encodeFrame(ToHost.stdout, 7, Buffer.alloc(60_000), Flag.eof).subarray(0, 20);
  head.writeUInt16LE(length, 8);
  expect(await sessionsOf(guestBehind([head, head.subarray(0, 17)]))).toEqual(REAL);
});

it.each([
  { completes: true, least: 65_536 },
  { completes: false, least: 0 },
])(
  'completes what may be half-written, with 64 KiB, and nothing where nothing can be: $completes',
  async ({ completes, least }) => {
    const guest = new Guest();
    let sent = 0;
    const write = guest.host.write.bind(guest.host);
    guest.host.write = ((bytes: Buffer) => {
      sent += bytes.length;
      return write(bytes);
    }) as typeof guest.host.write;
    await new GuestLink({ name: 'test', isPort: true }).attach(guest.host, AbortSignal.timeout(5_000), completes);
    expect(sent).toBeGreaterThanOrEqual(least);
    expect(sent).toBeLessThan(least + 1000);
  },
);

it('sends little more than one greeting, however much was left and whatever it says, to a guest that reads nothing', async () => {
  const guest = new Guest();
  guest.hello = () => {};
  let sent = 0;
  guest.stream.on('data', ({ length }: Buffer) => {
    sent += length;
  });
  for (let at = 0; at < 20; at++) guest.stream.write(Buffer.concat([Buffer.from('noise'), ...forged(2)]));
  const ends = new AbortController();
  const attaching = new GuestLink({ name: 'test' }).attach(guest.host, ends.signal);
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  ends.abort();
  await expect(attaching).rejects.toMatchObject({ code: 'not-ready' });
  expect(sent).toBeLessThan(1200);
});

it('greets once where nothing was left', async () => {
  const guest = new Guest();
  let greetings = 0;
  const { hello } = guest;
  guest.hello = (nonce) => {
    greetings += 1;
    hello(nonce);
  };
  await new GuestLink({ name: 'test' }).attach(guest.host);
  expect(greetings).toBe(1);
});
