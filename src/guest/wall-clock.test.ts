import { expect, it, vi } from 'vitest';
import { ToGuest, ToHost } from './protocol.ts';
import { connected } from './testing.ts';
import { moveClock } from './wall-clock.ts';

const time = (ms: number) => {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64LE(BigInt(ms) * 1_000_000n);
  return payload;
};

it('says between what the lag of a guest lies: as long as the answer took', async () => {
  const { guest, link } = await connected();
  const measured = vi.spyOn(performance, 'now').mockReturnValue(1_000);
  const lag = link.clockLag(() => 50_000);
  expect(link.answeredMs).toBeUndefined();
  const { session } = await guest.next(ToGuest.time);
  measured.mockReturnValue(1_040);
  guest.send(ToHost.time, session, time(49_000));
  expect(await lag).toEqual({ least: 960, most: 1_000 });
  expect(link.answeredMs).toBe(1_000);
  vi.restoreAllMocks();
});

it('takes no answer but that to its last question', async () => {
  const { guest, link } = await connected();
  guest.send(ToHost.time, 0, time(1));
  const first = link.clockLag(() => 0);
  const { session } = await guest.next(ToGuest.time);
  const second = link.clockLag(() => 7_000);
  await expect(first).rejects.toMatchObject({ code: 'conflict' });
  const next = await guest.next(ToGuest.time);
  guest.send(ToHost.time, session, time(1));
  guest.send(ToHost.time, next.session, time(7_000));
  expect((await second).most).toBe(0);
});

it('holds a malformed answer against the guest, and fails with the line', async () => {
  const { guest, link } = await connected();
  const cut = new Promise<Error>((resolve) => void link.once('protocol-error', resolve));
  const lag = link.clockLag(() => 0);
  lag.catch(() => {});
  const { session } = await guest.next(ToGuest.time);
  for (let bad = 0; bad <= 64; bad++) guest.send(ToHost.time, session, Buffer.alloc(7));
  expect(await cut).toMatchObject({ code: 'protocol' });
  await expect(lag).rejects.toMatchObject({ code: 'protocol' });
  await expect(link.clockLag(() => 0)).rejects.toMatchObject({ code: 'protocol' });
});

it('takes any time that a hostile guest may say', async () => {
  const { guest, link } = await connected();
  const lag = link.clockLag(Date.now);
  const { session } = await guest.next(ToGuest.time);
  guest.send(ToHost.time, session, Buffer.alloc(8, 0xff));
  const { least } = await lag;
  expect(moveClock(least, 'step')).toEqual(['time-step', expect.stringMatching(/^-\d{10,20}$/)]);
});
