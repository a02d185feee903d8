import { describe, expect, it } from 'vitest';
import { readTrace } from './csv.ts';
import { caseOf, readHost } from './host.ts';

const loads = (text: string, interval?: number) => readTrace(text, interval).load.map((values) => [...values]);

describe('readTrace', () => {
  it.each<[string, string, number | undefined, number[][]]>([
    ['a value a line', '3\n4\n\n5\n', undefined, [[3, 4, 5]]],
    ['a value every two seconds', '3\r\n4\r\n', 2, [[3, 3, 4, 4]]],
    ['values finer than a second', '1\n3\n5\n7', 0.5, [[2, 6]]],
    ['times, with a heading', 'timestamp,value\n10,1\n12,2\n', undefined, [[1, 1, 2, 2]]],
    ['ISO times', '2014-02-14 14:30:00,1\n2014-02-14 14:30:02,2\n', undefined, [[1, 1, 2, 2]]],
    [
      'tenants',
      '0,a,1\n0,b,5\n1,a,2\n',
      undefined,
      [
        [1, 2],
        [5, 5],
      ],
    ],
  ])('reads %s', (_, text, interval, expected) => {
    expect(loads(text, interval)).toEqual(expected);
  });

  it.each([
    ['1\nx\n', /^--trace: line 2: "x" is no value/],
    ['1\n-1\n', /line 2: "-1" is no value from 0/],
    ['1,2\n3\n', /line 2: "3" has 1 columns, not 2/],
    ['5,1\n4,1\n', /line 2: "4" is earlier/],
    ['yesterday,1\n', /line 1: "yesterday" is no time/],
    ['0,,1\n', /line 1: "0,,1" names no tenant/],
    // Not taken for a heading, as its number would be lost.
    ['1O\n2\n', /line 1: "1O" is no value/],
    ['0,1x\n1,2\n', /line 1: "1x" is no value/],
    ['0,1\n1e9,1\n', /too many values/],
    ['time,value\n', /there is no value in it/],
    ['', /there is no value in it/],
  ])('refuses %j', (text, message) => {
    expect(() => readTrace(text)).toThrow(message);
  });
});

describe('a host', () => {
  const trace = readTrace('0,web,100\n1,web,200\n');
  it('is just large enough when nothing is said of it', () => {
    const scene = caseOf(trace);
    // 200 requests/s of 20 ms are 4 CPUs; a quarter more, and one for the batch kernel.
    expect(scene).toMatchObject({ cpus: 6, seconds: 2 });
    expect(scene.tenants.map(({ name, entitlement }) => [name, entitlement])).toEqual([
      ['web', 3],
      ['batch', 3],
    ]);
  });

  it('has no floor above the most that it says', () => {
    const { tenants } = caseOf(trace, readHost('{"cpus": 8, "grain": 0.1, "all": {"max": 0.5}}'));
    expect(tenants[0]).toMatchObject({ min: 0.5, max: 0.5 });
  });

  it('is as its file says', () => {
    const host = readHost(
      '{"cpus": 8, "batch": false, "all": {"serviceMs": 5}, "tenants": {"web": {"max": 3, "scale": 2}}}',
    );
    const scene = caseOf(trace, host);
    expect(scene.tenants).toHaveLength(1);
    expect(scene.tenants[0]).toMatchObject({ serviceMs: 5, promiseMs: 50, max: 3 });
    expect([...scene.load[0]!]).toEqual([200, 400]);
  });

  it('has a batch kernel of another name where a tenant has that', () => {
    const { tenants } = caseOf(readTrace('0,batch,100\n1,batch,200\n'));
    expect(tenants.map(({ name, kind }) => [name, kind])).toEqual([
      ['batch', 'service'],
      ['batch-2', 'batch'],
    ]);
  });

  it.each([
    ['{"cpus": 8, "tenants": {"web": {"min": 4, "max": 2}}}', /tenants.web: min is 4, and max is 2/],
    ['{', /is not JSON/],
    ['[]', /the file must be an object/],
    ['{"cpus": "8"}', /cpus must be a number/],
    ['{"cpus": 0}', /cpus is 0; the least is 0.001/],
    ['{"cpus": 8, "tenants": {"web": {"serviceMS": 1}}}', /serviceM/],
    ['{"cpus": 8, "tenants": {"db": {}}}', /no tenant "db"/],
    ['{"cpus": 1, "grain": 1, "all": {"min": 1}}', /at least, of 1/],
  ])('is refused: %s', (text, message) => {
    const refused = () => caseOf(trace, readHost(text));
    expect(refused).toThrow(message);
    expect(refused).toThrow(/^--host: /);
  });
});
