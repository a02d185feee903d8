import { duplexPair } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { GuestLink } from './link.ts';
import {
  bareFrame,
  decodePairs,
  encodeFrame,
  encodePairs,
  Flag,
  FrameDecoder,
  LINE_WINDOW,
  MAX_TO_GUEST,
  ToGuest,
  ToHost,
  u16,
  u32,
} from './protocol.ts';
import { connected, Guest } from './testing.ts';

const request = { command: ['cat', 'x'], env: { A: '1' }, cwd: '/', user: '1:2' };

describe('attach', () => {
  it('gives what the guest says of itself', async () => {
    const { link } = await connected();
    expect(link.hello).toMatchObject({ release: '6.1', cpus: 2, bootId: undefined });
  });

  it('ignores answers to another nonce and greets again when the guest opens the line late', async () => {
    const guest = new Guest();
    const answer = guest.hello;
    const nonces: number[] = [];
    guest.hello = (nonce) => {
      nonces.push(nonce);
      if (nonces.length === 1) {
        answer(nonce ^ 1);
        answer(0);
      } else answer(nonce);
    };
    await new GuestLink({ name: 'test' }).attach(guest.host);
    expect(nonces).toHaveLength(2);
  });

  it('fails when the stream ends or the deadline passes first, and refuses another version', async () => {
    const [host, other] = duplexPair();
    const waiting = new GuestLink({ name: 'test' }).attach(host);
    other.end();
    await expect(waiting).rejects.toMatchObject({ code: 'kernel-died' });
    const abort = new AbortController();
    const late = new GuestLink({ name: 'test' }).attach(duplexPair()[0], abort.signal);
    abort.abort();
    await expect(late).rejects.toMatchObject({ code: 'not-ready' });
    const guest = new Guest();
    guest.hello = (nonce) => guest.send(ToHost.hello, 0, Buffer.concat([u16(7, 0), u32(nonce)]));
    await expect(new GuestLink({ name: 'test' }).attach(guest.host)).rejects.toMatchObject({ code: 'protocol' });
  });
});

describe('exec', () => {
  it('carries the request, output and end', async () => {
    const { guest, link } = await connected();
    const process = link.exec({ ...request, tty: { rows: 3, columns: 4 } });
    const { payload, session } = await guest.next(ToGuest.exec);
    expect(decodePairs(payload)).toEqual([
      ['cwd', '/'],
      ['uid', '1'],
      ['gid', '2'],
      ['user', '1:2'],
      ['tty', '1'],
      ['rows', '3'],
      ['cols', '4'],
      ['arg', 'cat'],
      ['arg', 'x'],
      ['env', 'A=1'],
    ]);
    guest.send(ToHost.started, session, u32(77));
    guest.send(ToHost.stdout, session, Buffer.from('out'));
    guest.send(ToHost.stdout, session, undefined, Flag.eof);
    guest.send(ToHost.stderr, session, undefined, Flag.eof);
    guest.send(ToHost.exited, session, u32(1, 9));
    expect(await process.started).toBe(77);
    expect((await buffer(process.stdout)).toString()).toBe('out');
    expect(await process.exited).toEqual({ kind: 'signal', value: 9, message: '' });
    process.forget();
    process.forget();
    expect((await guest.next(ToGuest.forget)).session).toBe(session);
  });

  it('keeps the line window however much there is to send', async () => {
    const { guest, link } = await connected();
    guest.autoAck = false;
    const process = link.exec(request);
    process.stdin.write(Buffer.alloc(100_000));
    await guest.next(ToGuest.stdin);
    await guest.next(ToGuest.stdin);
    const settle = () => new Promise((resolve) => setImmediate(resolve));
    for (let turn = 0; turn < 20; turn++) await settle();
    expect(guest.received).toBeLessThanOrEqual(LINE_WINDOW);
    expect(guest.received).toBeGreaterThan(LINE_WINDOW - 256);
    guest.autoAck = true;
    guest.send(ToHost.ack, 0, u32(guest.received));
    for (let bytes = 0; bytes < 16_384 - 2100; ) bytes += (await guest.next(ToGuest.stdin)).payload.length;
    for (let turn = 0; turn < 20; turn++) await settle();
    const sent = guest.received;
    guest.send(ToHost.credit, process.session, u32(1000));
    while (guest.received < sent + 1000) await guest.next(ToGuest.stdin);
    expect(guest.received).toBe(sent + 1000 + 16);
  });

  it('grants output credit only as it is read', async () => {
    const { guest, link } = await connected();
    const process = link.exec(request);
    const { session } = await guest.next(ToGuest.exec);
    for (let at = 0; at < 16; at++) guest.send(ToHost.stdout, session, Buffer.alloc(4096));
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(guest.frames.filter((frame) => frame.type === ToGuest.credit)).toEqual([]);
    process.stdout.resume();
    expect((await guest.next(ToGuest.credit)).payload.readUInt32LE()).toBe(65_536);
  });
});

describe('on a port', () => {
  /** What a guest gets that says `pairs` of itself, for 5,000 bytes of input; and its answer in bare frames. */
  async function talk(isPort: boolean, pairs: Record<string, string>) {
    const guest = new Guest();
    let abilities = 0;
    guest.hello = (nonce) =>
      guest.send(ToHost.hello, 0, Buffer.concat([u16(1, 0), u32(nonce), encodePairs(Object.entries(pairs))]));
    const [received, raw]: [Buffer[], Buffer[]] = [[], []];
    guest.stream.on('data', (chunk: Buffer) => raw.push(chunk));
    const { link } = await connected({ isPort }, guest);
    const hello = new FrameDecoder(MAX_TO_GUEST).push(Buffer.concat(raw)).find(({ type }) => type === ToGuest.hello);
    abilities = hello!.payload.readUInt16LE(2);
    guest.stream.on('data', (chunk: Buffer) => received.push(chunk));
    const process = link.exec(request);
    const { session } = await guest.next(ToGuest.exec);
    received.length = 0;
    process.stdin.end(Buffer.alloc(5000, 'x'));
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    for (const part of bareFrame(ToHost.stdout, session, Buffer.alloc(60_000, 'y')).slice(0, 2))
      guest.stream.write(part);
    guest.send(ToHost.exited, session, u32(0, 0));
    const output = (await buffer(process.stdout)).toString();
    link.destroy();
    return { abilities, input: Buffer.concat(received), output, session };
  }
  const wide = { payload: '16384', window: '524288', stdin: '524288' };

  it('sends and takes bulk data without a sum, where the guest has agreed', async () => {
    const { abilities, input, output, session } = await talk(true, { ...wide, bare: '65536' });
    expect(abilities).toBe(15);
    const [head, payload, end] = bareFrame(ToGuest.stdin, session, Buffer.alloc(5000, 'x'));
    expect(input.subarray(0, 5020).equals(Buffer.concat([head!, payload!, end!]))).toBe(true);
    expect(output).toBe('y'.repeat(60_000));
  });

  it('serves an older agent, which has not, with sums', async () => {
    const { input, session } = await talk(true, wide);
    expect(new FrameDecoder(16_384).push(input)[0]).toEqual({
      type: ToGuest.stdin,
      session,
      flags: 0,
      payload: Buffer.alloc(5000, 'x'),
    });
  });

  it('and never does so on a serial line, whatever the guest says', async () => {
    const { abilities, input } = await talk(false, { ...wide, bare: '65536' });
    expect(abilities).toBe(13);
    const frames = new FrameDecoder(MAX_TO_GUEST).push(input);
    expect(frames.filter(({ type }) => type === ToGuest.stdin).every(({ flags }) => (flags & Flag.bare) === 0)).toBe(
      true,
    );
  });
});

describe('a lost connection', () => {
  it('rejects requests, keeps processes, and resumes them', async () => {
    const { guest, link } = await connected();
    const configuring = link.configure([['sync', '1']]);
    const [going, ended, lost] = [link.exec(request), link.exec(request), link.exec(request)];
    const told = new Promise((resolve) => link.once('disconnect', resolve));
    guest.stream.destroy();
    await expect(configuring).rejects.toMatchObject({ code: 'kernel-died' });
    await told;
    expect(() => link.exec(request)).toThrow('not connected');
    const again = new Guest();
    const answer = again.hello;
    again.hello = (nonce) => {
      again.send(ToHost.session, going.session, u32(0, 11, 0, 0));
      again.send(ToHost.session, ended.session, u32(1, 12, 0, 3));
      again.send(ToHost.session, 4242, u32(0, 13, 0, 0));
      answer(nonce);
    };
    await link.attach(again.host);
    expect(await ended.exited).toMatchObject({ kind: 'exit', value: 3 });
    expect(await lost.exited).toMatchObject({ kind: 'failed', value: 0 });
    expect(await again.next(ToGuest.credit)).toMatchObject({ session: going.session });
    expect(link.sessions()).toEqual([{ session: 4242, pid: 13, exit: undefined }]);
    const adopted = link.adopt(4242);
    expect(await again.next(ToGuest.credit)).toMatchObject({ session: 4242 });
    link.destroy();
    expect(await adopted.exited).toMatchObject({ kind: 'failed' });
    expect(await going.exited).toMatchObject({ kind: 'failed' });
  });
});

describe('a hostile guest', () => {
  const attacks: [string, (guest: Guest, session: number) => void][] = [
    ['acknowledges what was never sent', (guest) => guest.send(ToHost.ack, 0, u32(1_000_000))],
    ['sends output without credit', (guest, session) => guest.send(ToHost.stdout, session, Buffer.alloc(4096))],
    ['grants itself stdin credit', (guest, session) => guest.send(ToHost.credit, session, u32(0xffffffff))],
    ['sends short frames', (guest, session) => guest.send(ToHost.exited, session, u32(0))],
    ['sends unknown types', (guest) => guest.send(200, 0)],
    [
      'sends bytes that are no frame',
      (guest) =>
        guest.stream.write(Buffer.concat([Buffer.alloc(40, 0x50), encodeFrame(ToHost.ack, 0, u32(guest.received))])),
    ],
    [
      'sends a snapshot without end',
      (guest) => {
        for (let at = 0; at < 18; at++) guest.send(ToHost.snapshot, 0, Buffer.alloc(4096), at < 17 ? Flag.more : 0);
      },
    ],
  ];
  it.each(attacks)('that %s is cut off', async (_what, attack) => {
    const { guest, link } = await connected();
    const process = link.exec(request);
    const { session } = await guest.next(ToGuest.exec);
    const told = new Promise((resolve) => link.once('protocol-error', resolve));
    for (let round = 0; round < 90; round++) attack(guest, session);
    expect(await told).toMatchObject({ code: 'protocol' });
    expect(await process.exited).toMatchObject({ kind: 'failed' });
    await expect(link.attach(guest.host)).rejects.toMatchObject({ code: 'protocol' });
  });

  it('costs bounded memory and is not cut off for frames of sessions that are gone', async () => {
    const { guest, link } = await connected();
    for (let round = 0; round < 300; round++) guest.send(ToHost.stdout, 99, Buffer.alloc(4096));
    const process = link.exec(request);
    const { session } = await guest.next(ToGuest.exec);
    for (let byte = 0; byte < 5000; byte++) guest.send(ToHost.stdout, session, Buffer.from('x'));
    guest.send(ToHost.exited, session, u32(0, 0));
    expect((await buffer(process.stdout)).length).toBe(5000);
    expect(link.hello).toBeDefined();
  });
});

it('names the step of a configuration that failed, and learns the boot id', async () => {
  const { guest, link } = await connected();
  const failing = link.configure([['module', '/x.ko']]);
  guest.send(
    ToHost.result,
    (await guest.next(ToGuest.configure)).session,
    Buffer.concat([u32(2), Buffer.from('module=/x.ko')]),
  );
  await expect(failing).rejects.toThrow('failed at "module=/x.ko": no such file or directory');
  const seeding = link.configure([['seed', '00']]);
  const id = '25e2ad92-2a10-4e10-9a6a-eeb05cf3c294';
  guest.send(
    ToHost.result,
    (await guest.next(ToGuest.configure)).session,
    Buffer.concat([u32(0), Buffer.from(`boot-id=${id}`)]),
  );
  await seeding;
  expect(link.hello?.bootId).toBe(id);
});

describe('settle', () => {
  it('takes what the guest had sent before it knew of it, and sends nothing more', async () => {
    const { guest, link } = await connected();
    const process = link.exec(request);
    const { session } = await guest.next(ToGuest.exec);
    guest.send(ToHost.started, session, u32(7));
    await process.started;
    const answer = guest.hello;
    guest.hello = (nonce) => {
      guest.send(ToHost.stdout, session, Buffer.from('said before'));
      guest.send(ToHost.session, session, u32(0, 7, 0, 0));
      answer(nonce);
      guest.send(ToHost.credit, session, u32(16_384));
    };
    await link.settle(AbortSignal.timeout(30_000));
    process.signal(15);
    process.stdin.write('more');
    expect(process.stdout.read().toString()).toBe('said before');
    link.detach();
    expect(guest.frames).toEqual([]);
  });

  it('gives up on a guest that is mute, and has nothing to do without one', async () => {
    const { guest, link } = await connected();
    guest.hello = () => {};
    const given = new AbortController();
    const settled = link.settle(given.signal);
    given.abort();
    await settled;
    link.detach();
    await new GuestLink({ name: 'test' }).settle(new AbortController().signal);
  });
});
