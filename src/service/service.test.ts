import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { serviceStatus } from '../../test/support/services.ts';
import { renderConfig } from './config.ts';
import { Histogram, Slices } from './histogram.ts';
import { parseLine } from './log.ts';
import { Objective } from './slo.ts';
import { parseServers, parseStat } from './stat.ts';
import type { ServiceRecord } from './types.ts';

describe('a histogram', () => {
  it('gives percentiles within 1 % of the exact ones', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 10 ** 9 }), { minLength: 1, maxLength: 200 }),
        fc.constantFrom(1, 50, 90, 99, 99.9, 100),
        (values, percentile) => {
          const histogram = new Histogram();
          for (const value of values) histogram.add(value);
          const sorted = [...values].sort((a, b) => a - b);
          const exact = sorted[Math.max(1, Math.ceil(Number(((percentile / 100) * values.length).toFixed(6)))) - 1]!;
          expect(Math.abs(histogram.percentile(percentile)! - exact)).toBeLessThanOrEqual(exact * 0.01);
          expect(histogram.max).toBe(sorted.at(-1));
        },
      ),
    );
  });

  it('is empty at first, and adds up with others', () => {
    const [one, other] = [new Histogram(), new Histogram()];
    expect(one.percentile(99)).toBeUndefined();
    one.add(5);
    other.add(7_000_000);
    one.merge(other);
    expect([one.count, one.max, one.percentile(50)]).toEqual([2, 7_000_000, 5]);
  });
});

it('forgets slices that are too old', () => {
  const slices = new Slices<number[]>(10, 3, () => []);
  for (const now of [5, 15, 25, 35]) slices.at(now).push(now);
  expect(slices.last(30, 35).flat()).toEqual([15, 25, 35]);
  expect(slices.last(20, 35).flat()).toEqual([25, 35]);
  expect(slices.last(30, 59).flat()).toEqual([35]);
});

describe('a line of the log', () => {
  it.each([
    ['pk http 1700000000 api s0 200 ---- 1234 1 -', 's0', { ok: true, microseconds: 1234 }],
    ['pk http 1700000000 api s0 200 ---- 1234 1 12', 's0', { ok: true, microseconds: 1234 }, 12],
    ['pk http 1700000000 api s0 404 ---- - 7 -', 's0', { ok: true, microseconds: 7000 }],
    ['pk http 1700000000 api s1 500 ---- 1234 1 -', 's1', { ok: false, microseconds: undefined }],
    ['pk http 1700000000 api s1 200 SD-- 1234 1 2', 's1', { ok: false, microseconds: undefined }, 2],
    ['pk http 1700000000 api <NOSRV> 503 SC-- 10 0 -', '<NOSRV>', { ok: false, microseconds: undefined }],
    ['pk http 1700000000 api s1 -1 CR-- 1234 1 -', 's1', undefined],
    ['pk http 1700000000 api s1 400 PR-- 1234 1 -', 's1', undefined],
    ['pk tcp 1700000000 api s0 0 -- - 15 -', 's0', { ok: true, microseconds: 15_000 }],
    ['pk tcp 1700000000 api s0 0 CD - 15 -', 's0', { ok: true, microseconds: 15_000 }],
    ['pk tcp 1700000000 api s0 0 SC - -1 -', 's0', { ok: false, microseconds: undefined }],
  ])('%s', (line, server, outcome, weight = 1) => {
    expect(parseLine(line)).toEqual({ at: 1_700_000_000_000, service: 'api', server, outcome, weight });
  });

  it('is ignored when it is about something else', () => {
    expect(parseLine('Server api/s0 is DOWN')).toBeUndefined();
    expect(parseLine('')).toBeUndefined();
  });
});

describe('a promise', () => {
  it('is lost while both windows burn too fast, and kept again when the short one does not', () => {
    const objective = new Objective('availability', 99, undefined, 0);
    expect(objective.status(0)).toMatchObject({ state: 'none', attainment: null, budget: { left: 1 } });
    for (let at = 0; at < 98; at++) objective.add({ ok: true, microseconds: 1 }, 0);
    objective.add({ ok: false, microseconds: undefined }, 0);
    expect(objective.judge(0)).toBe('lost');
    objective.add({ ok: false, microseconds: undefined }, 0);
    expect(objective.judge(0)).toBeUndefined();
    expect(objective.status(0)).toMatchObject({
      state: 'lost',
      attainment: 0.98,
      budget: { allowed: 1, spent: 2, left: 0 },
      burn: [
        { window: '5m', burnRate: 2 },
        { window: '1h', burnRate: 2 },
      ],
    });
    expect(objective.evidence(0)).toBe(
      'availability ≥ 99 %: 2 of 100 bad in 5m (burn rate 2), 2 of 100 bad in 1h (burn rate 2)',
    );
    const later = 10 * 60_000;
    expect(objective.judge(later)).toBe('regained');
    expect(objective.status(later)).toMatchObject({ state: 'met', burn: [{ requests: 0 }, { bad: 2 }] });
    expect(objective.status(2 * 3_600_000)).toMatchObject({ state: 'none' });
  });

  it('of latency counts only what was answered', () => {
    const objective = new Objective('latency', 50, 10, 0);
    objective.add({ ok: false, microseconds: undefined }, 0);
    objective.add({ ok: true, microseconds: 10_000 }, 0);
    objective.add({ ok: true, microseconds: 10_001 }, 0);
    expect(objective.status(0)).toMatchObject({ attainment: 0.5, budget: { allowed: 1, spent: 1, left: 0 } });
  });
});

it('reads what HAProxy says', () => {
  const stat =
    '# pxname,svname,scur,stot,hrsp_5xx,srv_abrt,status,check_status,check_desc,mode\napi,s0,1,7,2,1,UP,* L4OK,"a ""b"", c",http\n\n';
  expect(parseStat(stat)).toMatchObject([
    {
      proxy: 'api',
      server: 's0',
      inFlight: 1,
      requests: 7,
      errors: 2,
      status: 'UP',
      checkStatus: 'L4OK',
      checkReason: 'a "b", c',
    },
  ]);
  const servers =
    '1\n# be_name srv_name srv_addr srv_port srv_uweight srv_admin_state\napi s0 10.213.0.2 80 100 0\napi s1 0.0.0.0 1 0 5\n';
  expect(parseServers(servers)).toEqual([
    { backend: 'api', server: 's0', address: '10.213.0.2', port: 80, weight: 100, maintenance: false },
    { backend: 'api', server: 's1', address: '0.0.0.0', port: 1, weight: 0, maintenance: true },
  ]);
});

it('makes a configuration', () => {
  const record = { ...serviceStatus({ bind: '::1', check: '/health' }), removing: false };
  const servers = [
    { name: 'web', address: '10.213.0.2', port: 80, weight: 100 },
    { name: 'gone', address: null, port: 80, weight: 0 },
  ];
  const text = renderConfig([{ record, servers }], {
    statsSocket: "/a b'c",
    files: 10,
    threads: 2,
    bindNamespace: 'host',
    confined: { directory: '/empty', uid: 7 },
  });
  for (const line of [
    '  timeout http-request 5s',
    "  stats socket '/a b'\\''c' mode 600 level admin expose-fd listeners",
    '  bind [::1]:8080 namespace host',
    '  balance random(2)',
    '  default-server downinter 200ms',
    '  http-check send meth GET uri /health ver HTTP/1.1 hdr Host api',
    '  server web 10.213.0.2:80 weight 100 tcp-ut 3s',
    '  server gone 0.0.0.0:80 weight 0 tcp-ut 3s disabled',
    "  chroot '/empty'",
    '  uid 7',
  ])
    expect(text.split('\n')).toContain(line);
});

it('leaves every service clients of its own, whatever the others have', () => {
  const options = { statsSocket: '/s', threads: 1, bindNamespace: null, confined: null };
  const limits = (modes: readonly ServiceRecord['mode'][], files: number) => {
    const services = modes.map((mode, at) => {
      const record = { ...serviceStatus({ name: `s${at}`, mode }), removing: false };
      return { record, servers: [] };
    });
    const numbers = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, number]) => Number(number));
    const text = renderConfig(services, { ...options, files });
    const [all, ...shares] = numbers(text, /^ {2}maxconn (\d+)$/gm);
    const bounds = numbers(text, /^ {2}tcp-request connection reject if \{ sc0_conn_cur gt (\d+) \}$/gm);
    expect(all).toBe(shares.reduce((sum, share) => sum + share, 0));
    // Everybody is counted, and nobody has more than half.
    expect(numbers(text, /^ {2}stick-table type ipv6 size (\d+) .*$/gm)).toEqual(shares);
    expect(bounds).toEqual(shares.map((share) => Math.ceil(share / 2)));
    return shares;
  };
  expect(limits(['http'], 1e6)).toEqual([10_000]);
  expect(limits(['http', 'tcp'], 1e6)).toEqual([5_000, 5_000]);
  expect(limits(Array(30).fill('http'), 1e6)).toEqual(Array(30).fill(1_000));
  expect(limits(['http', 'tcp'], 800)).toEqual([200, 200]);
  expect(limits(['http'], 800)).toEqual([800]);
  expect(limits(['tcp', 'tcp'], -5)).toEqual([1, 1]);
});
