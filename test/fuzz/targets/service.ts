/** What HAProxy says. */
import { Histogram } from '../../../src/service/histogram.ts';
import { parseLine } from '../../../src/service/log.ts';
import { parseServers, parseStat } from '../../../src/service/stat.ts';
import { must, type Target } from '../target.ts';

const log: Target = {
  name: 'haproxy-log',
  dictionary: [
    'pk http ',
    'pk tcp ',
    '1700000000 ',
    'web s0 ',
    '200 ',
    '-1 ',
    '---- ',
    'SC-- ',
    'cD',
    '- ',
    '+5',
    '<NOSRV>',
    ' ',
  ],
  maxBytes: 8192,
  run(input) {
    const request = parseLine(input.toString('utf8'));
    if (request === undefined) return undefined;
    must(request.weight >= 1, 'a line stands for at least one request');
    const { microseconds } = request.outcome ?? {};
    const histogram = new Histogram();
    if (microseconds !== undefined) histogram.add(microseconds, Math.min(request.weight, 1000));
    return [request, histogram.percentile(99)];
  },
};

const stat: Target = {
  name: 'haproxy-stat',
  dictionary: [
    ...[
      '# pxname,svname,scur,stot,hrsp_5xx,eresp,econ,wretr,status,weight,check_status,check_desc,last_chk,mode,\n',
      ',',
      '"',
      '""',
    ],
    ...[
      'BACKEND',
      'FRONTEND',
      '* L7OK',
      '\n',
      '#',
      '1\n# be_id be_name srv_id srv_name srv_addr srv_port\n',
      ' ',
      'http',
      'tcp',
    ],
  ],
  maxBytes: 16_384,
  output: { base: 64 * 1024, perByte: 256 },
  steps: { base: 20_000, perByte: 400 },
  run(input) {
    const text = input.toString('utf8');
    return [parseStat(text), parseServers(text)];
  },
};

/** Latencies as doubles, each with a count. */
const histogram: Target = {
  name: 'histogram',
  dictionary: [0, 1, 127, 128, 1e6, 2 ** 40, 2 ** 41, -1, Number.POSITIVE_INFINITY, 1e-300].map((value) =>
    Buffer.from(Float64Array.of(value).buffer),
  ),
  maxBytes: 512,
  steps: { base: 20_000, perByte: 2000 },
  run(input) {
    const [one, both] = [new Histogram(), new Histogram()];
    let count = 0;
    for (let at = 0; at + 9 <= input.length; at += 9) {
      const value = input.readDoubleLE(at);
      if (Number.isNaN(value)) continue; // no latency is one: parseLine gives numbers
      one.add(value, input[at + 8]!);
      count += input[at + 8]!;
    }
    both.merge(one);
    must(one.count === count && both.count === count, 'nothing is lost');
    let last = 0;
    for (const percentile of [0, 1, 50, 99, 99.9, 100]) {
      const value = both.percentile(percentile);
      must((value === undefined) === (count === 0), 'an empty one has no percentiles');
      must((value ?? last) >= last && (value ?? 0) <= both.max, 'percentiles ascend up to the largest');
      last = value ?? last;
    }
    return [one.count, one.max, last];
  },
};

export const serviceTargets: readonly Target[] = [log, stat, histogram];
