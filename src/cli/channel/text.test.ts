import { describe, expect, it } from 'vitest';
import { channelEnd, channelStatus } from '../../../test/support/channels.ts';
import type { ChannelStatus } from '../../channel/contract.ts';
import { command as run } from '../instance/run.ts';
import { runRequest } from '../instance/run-request.ts';
import { parse } from '../kit/command.ts';
import { candidates } from '../kit/complete.ts';
import { tableOf } from '../kit/table.ts';
import { channelRequest, command as create } from './create.ts';
import { CHANNEL_COLUMNS, channelState, ratesBetween, ratesLine, ratesOf, ratesText } from './text.ts';

const channelTable = (channels: readonly ChannelStatus[]) => tableOf(CHANNEL_COLUMNS, channels);

it('completes the commands about channels', async () => {
  expect(await candidates(['channel', ''])).toEqual(['create', 'ls', 'inspect', 'stats', 'send', 'recv', 'rm']);
  expect(await candidates(['channel', 'recv', '--'])).toContain('--timeout');
});

describe('pk channel create', () => {
  const request = (...args: string[]) => channelRequest(parse('channel create', create, args));

  it('leaves to the daemon what is not given', () => {
    expect(request('orders')).toEqual({ name: 'orders' });
    expect(request('orders', '--from', 'web', '--to=host', '--size', '64K')).toEqual({
      name: 'orders',
      from: 'web',
      to: 'host',
      sizeBytes: 65_536,
    });
  });

  it('refuses a size that is none, and a second name', () => {
    expect(() => request('orders', '--size', 'big')).toThrow(/--size: "big" is not a size/);
    expect(() => request('orders', 'more')).toThrow(/"more" is one argument too many/);
  });
});

describe('pk run --channel', () => {
  const around = { cwd: '/', env: {}, terminal: false, oneOutput: false, rows: 0, columns: 0, envFiles: [] };
  const channels = (...args: string[]) => runRequest(parse('run', run, [...args, 'true']), around).channels;

  it('names channels and sides', () => {
    expect(channels()).toBeUndefined();
    expect(channels('--channel', 'orders:recv', '--channel', 'answers:send')).toEqual([
      { name: 'orders', side: 'recv' },
      { name: 'answers', side: 'send' },
    ]);
  });

  it.each(['orders', 'orders:both', ':send', 'a:b:send'])('refuses %s', (text) => {
    expect(() => channels('--channel', text)).toThrow(/--channel: ".*" is not NAME:send or NAME:recv/);
  });
});

it('lists channels', () => {
  const busy = channelStatus({
    depthBytes: 1536,
    from: channelEnd({ messages: 1200 }),
    to: channelEnd({ owner: 'web', messages: 1180, visible: 'pending', reason: 'starts anew' }),
  });
  expect(channelTable([busy, channelStatus({ name: 'b' })])).toBe(
    [
      'NAME    FROM  TO    SIZE    DEPTH  SENT  RECEIVED  STATE',
      'orders  host  web  1 MiB  1.5 KiB  1200      1180  to pending',
      'b       host  web  1 MiB      0 B     0         0  ok',
      '',
    ].join('\n'),
  );
});

it.each([
  [{}, 'ok'],
  [{ state: 'error', fault: 'removed by its owner', to: channelEnd({ visible: 'absent' }) }, 'error'],
  [{ from: channelEnd({ visible: 'pending' }), to: channelEnd({ visible: 'absent' }) }, 'from pending, to absent'],
  [{ from: channelEnd({ state: 'closed' }) }, 'closed'],
  [{ to: channelEnd({ state: 'closed' }) }, 'ok'],
] as const)('tells the state of %j', (change, text) => {
  expect(channelState(channelStatus(change))).toBe(text);
});

describe('rates', () => {
  const at = Date.parse('2026-11-23T10:00:00Z');
  const before = channelStatus({ from: channelEnd({ messages: 100, bytes: 1000, stalls: 1 }) });
  const after = channelStatus({
    depthBytes: 2 ** 18,
    from: channelEnd({ messages: 1100, bytes: 3048, stalls: 2, bells: 5 }),
    to: channelEnd({ owner: 'web', messages: 3, drops: 1 }),
  });
  const rates = ratesBetween({ status: before, at }, { status: after, at: at + 2000 });

  it('are differences by time', () => {
    expect(rates).toMatchObject({
      name: 'orders',
      at: '2026-11-23T10:00:02.000Z',
      seconds: 2,
      depthBytes: 2 ** 18,
      from: { messagesPerSecond: 500, bytesPerSecond: 1024, stallsPerSecond: 0.5, bellsPerSecond: 2.5, messages: 1100 },
      to: { owner: 'web', messagesPerSecond: 1.5, dropsPerSecond: 0.5 },
    });
  });

  it('are none for a channel that was made anew, or whose counters went back', () => {
    const other = { ...after, id: 'b'.repeat(32) };
    expect(ratesBetween({ status: before, at }, { status: other, at: at + 1000 }).from.messagesPerSecond).toBe(0);
    expect(ratesBetween({ status: before, at }, { status: after, at }).from.messagesPerSecond).toBe(0);
    expect(ratesBetween({ status: after, at }, { status: before, at: at + 1000 }).from.messagesPerSecond).toBe(0);
  });

  it('are shown side by side on a terminal', () => {
    expect(ratesText(rates)).toBe(
      [
        'orders: 256 KiB of 1 MiB in use (25 %)',
        '           SEND  PER SECOND  RECV  PER SECOND',
        'owner      host               web',
        'state      open              open',
        'messages   1100         500     3         1.5',
        'bytes     3 KiB       1 KiB   0 B         0 B',
        'stalls        2         0.5     0           0',
        'drops         0           0     1         0.5',
        'bells         5         2.5     0           0',
        '',
      ].join('\n'),
    );
  });

  it('are one line elsewhere, with the fault of a broken channel', () => {
    expect(ratesLine(rates)).toBe(
      '2026-11-23T10:00:02.000Z  orders: 256 KiB of 1 MiB in use (25 %)' +
        '  send 500 msg/s 1 KiB/s 0.5 stalls/s 0 drops/s 2.5 bells/s' +
        '  recv 1.5 msg/s 0 B/s 0 stalls/s 0.5 drops/s 0 bells/s\n',
    );
    const broken = { ...rates, state: 'error' as const, fault: 'removed by its owner' };
    expect(ratesLine(broken)).toMatch(/ {2}error: removed by its owner\n$/);
    expect(ratesText(broken)).toContain('\nerror: removed by its owner\n');
  });

  it('come between each two samples', async () => {
    const counts = [0, 10, 40];
    let now = at;
    const read = async () => channelStatus({ from: channelEnd({ messages: counts.shift()! }) });
    const pause = async () => {
      now += 1000;
    };
    const seen: number[] = [];
    for await (const each of ratesOf(read, pause, () => now)) {
      seen.push(each.from.messagesPerSecond);
      if (seen.length === 2) break;
    }
    expect(seen).toEqual([10, 30]);
  });
});
