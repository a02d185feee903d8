/** A guest that does not answer, does not read, or does not stop: what that costs, and how it ends. */
import { describe, expect, it } from 'vitest';
import { Turns } from '../../src/guest/inbox.ts';
import { GuestLink } from '../../src/guest/link.ts';
import { SnapshotAssembler } from '../../src/guest/messages.ts';
import { encodeFrame, Flag, MAX_HELD, MAX_QUEUED, ToGuest, ToHost, u32 } from '../../src/guest/protocol.ts';
import { connected, Guest } from '../../src/guest/testing.ts';
import { ManualClock } from '../support/manual-clock.ts';

const request = { command: ['cat'], env: {}, cwd: '/', user: '0' };
const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};

describe('a guest that never acknowledges', () => {
  async function mute() {
    const clock = new ManualClock();
    const { guest, link } = await connected({ clock });
    guest.autoAck = false;
    const ended: unknown[] = [];
    link.on('protocol-error', (error) => ended.push(error));
    return { clock, guest, link, ended };
  }

  it('is told the newest state alone once it reads again', async () => {
    const { guest, link } = await mute();
    const process = link.exec(request);
    process.stdin.write(Buffer.alloc(4096));
    for (let at = 0; at < 10_000; at++) {
      process.resize(1 + (at % 100), 7);
      process.signal(1 + (at % 3));
      link.bell(at % 16);
    }
    guest.autoAck = true;
    guest.send(ToHost.ack, 0, u32(guest.received));
    await settle();
    const count = (type: number) => guest.frames.filter((frame) => frame.type === type).length;
    // One may have left before the window was full.
    expect(count(ToGuest.resize)).toBeLessThanOrEqual(2);
    expect(guest.frames.findLast(({ type }) => type === ToGuest.resize)?.payload.readUInt16LE()).toBe(100);
    expect(count(ToGuest.signal)).toBeLessThanOrEqual(6);
    expect(count(ToGuest.bell)).toBeLessThanOrEqual(32);
  });

  it('is owed a bounded number of bytes, and is cut off when it leaves that full', async () => {
    const { clock, link, ended } = await mute();
    const steps = [['write', 'x'.repeat(10_000)]] as const;
    const waiting = Array.from({ length: 200 }, () =>
      link.configure(steps).then(
        () => '',
        ({ code }) => code as string,
      ),
    );
    await settle();
    const refused = await Promise.all(waiting.map((each) => Promise.race([each, undefined])));
    const accepted = refused.filter((code) => code === undefined).length;
    expect(accepted * 10_000).toBeLessThanOrEqual(MAX_QUEUED);
    expect(accepted * 10_000).toBeGreaterThan(MAX_QUEUED / 2);
    expect(new Set(refused.slice(accepted))).toEqual(new Set(['unavailable']));
    clock.advance(29_999);
    expect(ended).toEqual([]);
    clock.advance(1);
    expect(ended).toMatchObject([{ code: 'protocol' }]);
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['unavailable', 'protocol']));
  });

  it('holds a bounded number of sessions, and those nobody wants any more cost nothing', async () => {
    const { link } = await mute();
    for (let at = 0; at < 1000; at++) link.exec(request).forget();
    const held = Array.from({ length: MAX_HELD - 64 }, () => link.exec(request));
    expect(() => Array.from({ length: MAX_HELD }, () => held.push(link.exec(request)))).toThrow(/does not read/);
    expect(held.length).toBeLessThanOrEqual(MAX_HELD);
  });

  it('is given time while it reads a little', async () => {
    const { clock, guest, link, ended } = await mute();
    for (let at = 0; at < 200; at++) link.configure([['write', 'x'.repeat(10_000)]]).catch(() => {});
    for (let at = 0; at < 10; at++) {
      clock.advance(20_000);
      await settle();
      guest.send(ToHost.ack, 0, u32(guest.received));
      await settle();
    }
    expect(ended).toEqual([]);
  });
});

describe('a guest that never answers', () => {
  it('keeps nobody waiting, and is cut off when that goes on', async () => {
    const clock = new ManualClock();
    const { link } = await connected({ clock });
    const told = new Promise((resolve) => link.once('protocol-error', resolve));
    const process = link.exec(request);
    const [reading, writing] = [link.readFile('/x'), link.writeFile('/x', 0o644, Buffer.from('x'))];
    const failures = Promise.allSettled([process.started, reading, writing]);
    await settle();
    clock.advance(60_000);
    expect(await failures).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }, { status: 'rejected' }]);
    expect(await process.exited).toMatchObject({ kind: 'failed', value: 0, message: /did not answer in time/ });
    for (let round = 0; round < 16; round++) {
      const asked = link.configure([['sync', '1']]);
      clock.advance(60_000);
      await expect(asked).rejects.toMatchObject({ code: 'not-ready' });
    }
    expect(await told).toMatchObject({ code: 'protocol' });
  });

  it('because it is paused, or was, is not blamed for that', async () => {
    const clock = new ManualClock();
    const { link } = await connected({ clock });
    for (let round = 0; round < 40; round++) {
      link.rest(true);
      const asked = link.configure([['sync', '1']]);
      clock.advance(50_000);
      if (round % 2 === 0) link.rest(false);
      clock.advance(10_000);
      await expect(asked).rejects.toMatchObject({ code: 'not-ready' });
    }
    expect(link.hello).toBeDefined();
  });

  it('while it works on a file has all the time it needs', async () => {
    const clock = new ManualClock();
    const { guest, link } = await connected({ clock });
    const writing = link.writeFile('/x', 0o644, Buffer.alloc(40_000));
    const { session } = await guest.next(ToGuest.put);
    for (let minute = 0; minute < 30; minute++) {
      clock.advance(50_000);
      guest.send(ToHost.credit, session, u32(minute < 29 ? 0 : 16_384));
      await settle();
    }
    guest.send(ToHost.exited, session, u32(0, 0));
    await writing;
  });
});

describe('a guest that floods', () => {
  const bells = (frames: number) =>
    Buffer.concat(Array.from({ length: frames }, (_, at) => encodeFrame(ToHost.bell, at % 16)));

  it('is handled at a bounded pace and read no more meanwhile, however many do it', async () => {
    const clock = new ManualClock();
    const turns = new Turns(clock);
    const flood = Buffer.concat(Array.from({ length: 20_000 }, () => encodeFrame(ToHost.credit, 99, u32(0))));
    const flooding = await Promise.all(Array.from({ length: 6 }, () => connected({ clock, turns })));
    const handled = () => flooding.reduce((sum, { link }) => sum + link.heard, 0);
    const before = handled();
    for (const { guest } of flooding) guest.stream.write(flood);
    await settle();
    expect(flooding.map(({ guest }) => guest.host.isPaused())).toEqual(Array(6).fill(true));
    const bursts = handled() - before;
    expect(bursts).toBeLessThanOrEqual(6 * 512);
    for (let turn = 0; turn < 200; turn++) clock.advance(5);
    // In a second: what all of them get together.
    expect(handled() - before - bursts).toBeLessThanOrEqual(50_000);
    expect(handled() - before - bursts).toBeGreaterThan(40_000);

    const { guest, link } = await connected({ clock, turns });
    const process = link.exec(request);
    const { session } = await guest.next(ToGuest.exec);
    guest.send(ToHost.started, session, u32(5));
    // No turn has to come for it.
    expect(await process.started).toBe(5);
    for (const each of flooding) each.link.destroy();
  });

  it('no more than its share is never held', async () => {
    const clock = new ManualClock();
    const { guest, link } = await connected({ clock, turns: new Turns(clock) });
    let rung = 0;
    link.on('bell', () => {
      rung += 1;
    });
    for (let at = 0; at < 2000; at++) {
      // 20,000 a second, each in a turn of its own.
      clock.advance(1);
      for (let bell = 0; bell < 20; bell++) guest.send(ToHost.bell, bell % 16);
      await new Promise((resolve) => setImmediate(resolve));
      expect(guest.host.isPaused()).toBe(false);
    }
    await settle();
    expect(rung).toBeGreaterThanOrEqual(2000 * 16);
  });

  it('with output for nobody costs what reading that does', async () => {
    const clock = new ManualClock();
    const { guest, link } = await connected({ clock, turns: new Turns(clock) });
    const before = link.heard;
    const stray = encodeFrame(ToHost.stdout, 99, Buffer.alloc(16_384));
    guest.stream.write(Buffer.concat(Array.from({ length: 400 }, () => stray)));
    await settle();
    expect(guest.host.isPaused()).toBe(true);
    expect(link.heard - before).toBeLessThanOrEqual(512 / 32);
    // It is no fault: of a session that was given up, there may be some on its way.
    for (let turn = 0; link.heard - before < 400; turn++) {
      expect(turn).toBeLessThan(1000);
      clock.advance(5);
    }
    expect(link.hello).toBeDefined();
  });

  it('with headers whose content is none costs as much as it does', async () => {
    const clock = new ManualClock();
    const turns = new Turns(clock);
    const { guest, link } = await connected({ clock, turns });
    const told = new Promise((resolve) => link.once('protocol-error', resolve));
    const header = Buffer.alloc(12);
    header.write('PK');
    header.writeUInt16LE(4096, 8);
    const garbage = Buffer.concat(Array.from({ length: 5000 }, () => header));
    for (let round = 0; round < 100; round++) guest.stream.write(garbage);
    await settle();
    expect(guest.host.isPaused()).toBe(true);
    for (let turn = 0; turn < 100_000 && link.hello !== undefined; turn++) {
      clock.advance(5);
      if (turn % 100 === 0) await settle();
    }
    expect(await told).toMatchObject({ code: 'protocol' });
  });

  it.each([
    ['trouble', ToHost.trouble],
    ['ends', ToHost.exited],
    ['results', ToHost.result],
    ['files that are watched', ToHost.snapshot],
  ])('with texts (%s) is heard as much less as they cost', async (_, type) => {
    const clock = new ManualClock();
    const { guest, link } = await connected({ clock, turns: new Turns(clock) });
    guest.stream.write(Buffer.concat(Array.from({ length: 60 }, () => encodeFrame(type, 1, Buffer.alloc(64, 'x')))));
    await settle();
    expect(guest.host.isPaused()).toBe(true);
    link.destroy();
  });

  it('with what may begin a frame and does not costs as much as it does, before it answers too', async () => {
    const clock = new ManualClock();
    const guest = new Guest();
    guest.hello = () => {};
    const link = new GuestLink({ name: 'test', clock, turns: new Turns(clock) });
    const attached = link.attach(guest.host);
    guest.stream.write(Buffer.alloc(2 ** 20, 'P'));
    await settle();
    expect(guest.host.isPaused()).toBe(true);
    link.destroy();
    await expect(attached).rejects.toMatchObject({ code: 'kernel-died' });
  });

  it('with files that are watched is heard as much less as they cost, however few frames they come in', async () => {
    const clock = new ManualClock();
    const { guest, link } = await connected({ clock, turns: new Turns(clock) });
    const before = link.heard;
    const piece = encodeFrame(ToHost.snapshot, 0, Buffer.alloc(16_384, 'x'), Flag.more);
    guest.stream.write(Buffer.concat(Array.from({ length: 100 }, () => piece)));
    await settle();
    expect(guest.host.isPaused()).toBe(true);
    expect(link.heard - before).toBeLessThanOrEqual(512 / 32);
    link.destroy();
  });

  it.each([
    ['greetings', ToHost.hello],
    ['sessions', ToHost.session],
  ])('and answers no greeting is heard no more for that (%s)', async (_, type) => {
    const clock = new ManualClock();
    const guest = new Guest();
    guest.hello = () => {};
    const link = new GuestLink({ name: 'test', clock, turns: new Turns(clock) });
    const attached = link.attach(guest.host);
    guest.stream.write(Buffer.concat(Array.from({ length: 60 }, () => encodeFrame(type, 9, Buffer.alloc(64, 1)))));
    await settle();
    expect(guest.host.isPaused()).toBe(true);
    link.destroy();
    await expect(attached).rejects.toMatchObject({ code: 'kernel-died' });
  });

  it('has its last words heard when its line closes', async () => {
    const clock = new ManualClock();
    const { guest, link } = await connected({ clock, turns: new Turns(clock) });
    const process = link.exec(request);
    const { session } = await guest.next(ToGuest.exec);
    guest.stream.write(bells(2000));
    guest.send(ToHost.exited, session, u32(0, 7));
    await settle();
    expect(process.exit).toBeUndefined();
    link.destroy();
    expect(await process.exited).toMatchObject({ kind: 'exit', value: 7 });
  });
});

it('a snapshot in pieces of a byte is put together in one piece of memory', () => {
  const assembler = new SnapshotAssembler();
  const message = Buffer.concat([
    Buffer.alloc(8),
    Buffer.from([5, 0]),
    Buffer.from('/proc'),
    Buffer.alloc(50_000, 0x61),
  ]);
  for (let at = 0; at < message.length - 1; at++)
    expect(assembler.push(message.subarray(at, at + 1), true)).toBeUndefined();
  const snapshot = assembler.push(message.subarray(-1), false);
  expect(snapshot).toMatchObject({ path: '/proc' });
  expect((snapshot as { content: Buffer }).content.length).toBe(50_000);
});
