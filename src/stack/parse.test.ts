import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { Compile } from 'typebox/schema';
import { describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { schemaText, withOptionTable } from '../../scripts/stack-documents.ts';
import { keysOf, liveChange, OPTIONS, stackJsonSchema } from './options.ts';
import { parseStack } from './parse.ts';

const ROOT = join(import.meta.dirname, '../..');
const parse = (text: string) => parseStack(text, { directory: '/srv/shop', defaultName: 'shop' });
const FULL = `
name: full
pool: {cpus: 2-15, shared: "14,15", memory: {1: 2GiB, 0: 1GiB}, devices: ["0000:3B:00.0", "3c:00.1"]}
kernels:
  web:
    driver: qemu
    image: mine
    root: ./rootfs
    command: [node, server.js, 8080]
    environment: {PORT: 8080, DEBUG: true, EMPTY: ""}
    volumes: ["./data:/data:ro", {source: /srv/x, target: /x, readOnly: false}]
    cwd: /data
    user: 1000:100
    hostname: web.example
    restart: on-failure:3
    readyTimeout: 1m30s
    stopGrace: 5s
    cold: true
    tenant: acme
    partition:
      cpus: {count: 4, numa: 1, smt: any, cache: shared-l3, near: "0000:3b:00.0"}
      memory: {size: 2GiB, node: 1, hugePages: 2MiB}
      devices: ["0000:3b:00.0", {class: nvme, count: 2, function: virtual}]
  db: {command: [db], partition: {cpus: "4-7", memory: {nodes: {0: 1GiB, 1: 1GiB}, hugePages: 1GiB}}}
  job: {command: echo hi, partition: {cpus: {shared: 0.5, weight: 200}, memory: 64MiB}}
  plain: {command: [x], cpus: 2, memory: 512M}
`;

it('reads every option', () => {
  const { stack, problems } = parse(FULL);
  expect(problems).toEqual([]);
  expect(stack).toEqual({
    name: 'full',
    pool: {
      cpus: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
      sharedCpus: [14, 15],
      memory: {
        kind: 'nodes',
        memory: [
          { node: 0, bytes: 2 ** 30 },
          { node: 1, bytes: 2 ** 31 },
        ],
      },
      devices: ['0000:3b:00.0', '0000:3c:00.1'],
    },
    kernels: [
      {
        name: 'web',
        create: {
          driver: 'qemu',
          image: 'mine',
          root: '/srv/shop/rootfs',
          command: ['node', 'server.js', '8080'],
          env: { PORT: '8080', DEBUG: 'true', EMPTY: '' },
          volumes: [
            { source: '/srv/shop/data', target: '/data', readOnly: true },
            { source: '/srv/x', target: '/x', readOnly: false },
          ],
          cwd: '/data',
          uid: 1000,
          gid: 100,
          hostname: 'web.example',
          restart: 'on-failure:3',
          readyTimeoutMs: 90_000,
          stopGraceMs: 5_000,
          cold: true,
        },
        tenant: 'acme',
        partition: {
          cpus: { kind: 'count', count: 4, numa: 1, smt: 'any', cache: 'shared-l3', near: '0000:3b:00.0' },
          memory: { kind: 'size', bytes: 2 ** 31, node: 1, hugePageBytes: 2 ** 21 },
          devices: [
            { kind: 'address', address: '0000:3b:00.0' },
            { kind: 'class', class: 'nvme', count: 2, function: 'virtual' },
          ],
        },
      },
      expect.objectContaining({
        name: 'db',
        partition: expect.objectContaining({ cpus: { kind: 'exact', cpus: [4, 5, 6, 7] } }),
      }),
      expect.objectContaining({
        name: 'job',
        create: { command: ['/bin/sh', '-c', 'echo hi'] },
        partition: expect.objectContaining({ cpus: { kind: 'shared', milliCpus: 500, weight: 200 } }),
      }),
      { name: 'plain', create: { command: ['x'], cpus: 2, memoryBytes: 2 ** 29 }, partition: null, tenant: null },
    ],
  });
});

it('fills in what is left out', () => {
  expect(parse('kernels: {a: {command: [x], partition: {}}}').stack).toEqual({
    name: 'shop',
    pool: null,
    kernels: [
      {
        name: 'a',
        create: { command: ['x'] },
        tenant: null,
        partition: {
          cpus: { kind: 'count', count: 1, numa: null, smt: 'whole-core', cache: 'any', near: null },
          memory: { kind: 'size', bytes: 2 ** 28, node: null, hugePageBytes: null },
          devices: [],
        },
      },
    ],
  });
});

describe('a problem has its place', () => {
  const kernel = (text: string) => `kernels:\n  web:\n    command: [x]\n    ${text}\n`;
  it.each<[string, string, string, RegExp]>([
    ['no kernels', 'name: a', '1:1', /kernels is missing/],
    ['an empty file', '', '1:1', /must be a map, not nothing/],
    ['a list', '- a', '1:1', /must be a map, not a list/],
    ['broken YAML', 'kernels: {', '1:11', /not valid YAML/],
    ['two documents', 'kernels: {a: {command: x}}\n---\nb: 1', '2:1', /not valid YAML/],
    ['an unknown option', kernel('comand: x'), '4:5', /no option "comand" here/],
    ['a prototype name', kernel('__proto__: {a: 1}'), '4:5', /no option "__proto__"/],
    ['a merge key', kernel('<<: {a: 1}'), '4:5', /no option "<<"/],
    ['an option twice', kernel('restart: no\n    restart: always'), '5:5', /given twice, first in line 4, column 5/],
    ['a kernel twice', 'kernels:\n  a: {command: x}\n  a: {command: x}', '3:3', /"a" is given twice/],
    ['a bad name', 'kernels:\n  A_b: {command: x}', '2:8', /not a valid name/],
    ['no command', 'kernels: {a: {}}', '1:14', /command is missing/],
    ['an empty command', 'kernels: {a: {command: []}}', '1:24', /at least one word/],
    ['zero CPUs', kernel('partition: {cpus: 0}'), '4:23', /is 0; it must be a whole number from 1/],
    ['negative CPUs', kernel('partition: {cpus: -1}'), '4:23', /is -1/],
    ['half a CPU', kernel('partition: {cpus: 1.5}'), '4:23', /must be a whole number, not 1.5/],
    ['huge CPUs', kernel('partition: {cpus: 99999999}'), '4:23', /from 1 to 65536/],
    ['a backward range', kernel('partition: {cpus: "7-4"}'), '4:23', /runs backwards/],
    ['overlapping ranges', kernel('partition: {cpus: "4-7,6"}'), '4:23', /6 is named twice/],
    ['an empty list', kernel('partition: {cpus: ""}'), '4:23', /not a CPU list/],
    [
      'a mix of shared and dedicated',
      kernel('partition: {cpus: {shared: 0.5, numa: 0}}'),
      '4:43',
      /numa does not go with shared/,
    ],
    ['a part of nothing', kernel('partition: {cpus: {shared: 0}}'), '4:32', /from 0.001/],
    [
      'a weight without a share',
      kernel('partition: {cpus: {count: 1, weight: 5}}'),
      '4:42',
      /weight goes only with shared/,
    ],
    ['memory off by one byte', kernel('partition: {memory: 4097}'), '4:25', /4097 bytes are not whole pages/],
    ['decimal memory', kernel('partition: {memory: 1GB}'), '4:25', /"1GB" is not a size/],
    ['no memory', kernel('partition: {memory: 0}'), '4:25', /more than 0/],
    [
      'half a huge page',
      kernel('partition: {memory: {size: 3MiB, hugePages: 2MiB}}'),
      '4:32',
      /3 MiB are not whole huge pages/,
    ],
    [
      'a node that is none',
      kernel('partition: {memory: {nodes: {a: 1GiB}}}'),
      '4:37',
      /"a" is not the number of a NUMA node/,
    ],
    ['an address that is none', kernel('partition: {devices: [eth0]}'), '4:27', /not a PCI address/],
    ['an unknown class', kernel('partition: {devices: [{class: nvmee}]}'), '4:35', /is "nvmee"/],
    ['both sizes', kernel('cpus: 2\n    partition: {cpus: 2}'), '4:11', /given beside a partition/],
    ['a bad restart', kernel('restart: sometimes'), '4:14', /restart/],
    ['a bad volume', kernel('volumes: [data]'), '4:15', /not SOURCE:TARGET/],
    ['a volume over the root', kernel('volumes: ["./a:/"]'), '4:15', /cannot be mounted over/],
    ['a bad variable', kernel('environment: {"A=B": x}'), '4:26', /cannot be set/],
    ['a bad host name', kernel('hostname: a_b'), '4:15', /not a host name/],
    ['a duration without unit', kernel('stopGrace: 10'), '4:16', /not a duration/],
    ['a day', kernel('stopGrace: 1d'), '4:16', /longer than an hour/],
    [
      'shared CPUs outside the pool',
      'pool: {cpus: 2-3, shared: 4}\nkernels: {a: {command: x}}',
      '1:27',
      /CPU 4 is not among/,
    ],
    [
      'exact CPUs outside the pool',
      `pool: {cpus: 2-3}\n${kernel('partition: {cpus: "3-4"}')}`,
      '5:23',
      /CPU 4 is not among/,
    ],
    [
      'exact CPUs that are shared',
      `pool: {cpus: 2-3, shared: 3}\n${kernel('partition: {cpus: "3"}')}`,
      '5:23',
      /CPU 3 is not among/,
    ],
    [
      'a share of no shared CPU',
      `pool: {cpus: 2-3}\n${kernel('partition: {cpus: {shared: 1}}')}`,
      '5:23',
      /the pool has none/,
    ],
    [
      'the same CPUs twice',
      'kernels:\n  a: {command: x, partition: {cpus: "2-3"}}\n  b: {command: x, partition: {cpus: "3-4"}}',
      '3:37',
      /CPU 3 is asked for by a already/,
    ],
    [
      'the same device twice',
      'kernels:\n  a: {command: x, partition: {devices: ["01:00.0"]}}\n  b: {command: x, partition: {devices: ["01:00.0"]}}',
      '3:41',
      /0000:01:00.0 is asked for by a already/,
    ],
  ])('%s', (_what, text, place, message) => {
    const { stack, problems } = parse(text);
    expect(stack).toBeUndefined();
    expect(problems.map((problem) => `${problem.line}:${problem.column} ${problem.message}`)).toContainEqual(
      expect.stringMatching(new RegExp(`^${place} .*${message.source}`)),
    );
  });

  it('and all of them are told, in the order of the file', () => {
    const { problems } = parse(
      'pool: {cpus: x}\nkernels:\n  a: {comand: x, partition: {cpus: 0}}\n  B: {command: []}\nnam: x\n',
    );
    expect(problems.length).toBeGreaterThanOrEqual(6);
    const lines = problems.map(({ line }) => line);
    expect(lines).toEqual([...lines].sort((a, b) => a - b));
  });
});

it('never throws, whatever is in the file, and every place is in it', () => {
  const pieces = fc.constantFrom(
    ...FULL.split(/(?<=[\s{}[\]:,])/),
    '*a',
    '&a ',
    '!!binary x',
    '\t',
    '- ',
    '? ',
    '---\n',
    '__proto__: ',
    '\u2028',
    '"',
    "'",
  );
  const texts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.array(pieces, { maxLength: 60 }).map((list) => list.join('')),
    fc
      .record({ at: fc.nat(FULL.length), cut: fc.nat(20), put: fc.array(pieces, { maxLength: 3 }) })
      .map(({ at, cut, put }) => FULL.slice(0, at) + put.join('') + FULL.slice(at + cut)),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const { stack, problems } = parse(text);
      expect(stack === undefined).toBe(problems.length > 0);
      const lines = text.split('\n');
      for (const { line, column } of problems) {
        expect(line).toBeLessThanOrEqual(lines.length);
        expect(column).toBeLessThanOrEqual(lines[line - 1]!.length + 1);
      }
    }),
    { numRuns: 500 },
  );
});

it('an alias bomb does no harm', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefgh'.split('').map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[index]}`).join()}]`),
  ];
  const { problems } = parse(`${bomb.join('\n')}\nkernels: {k: {command: *h}}`);
  expect(problems.length).toBeGreaterThan(0);
});

describe('the table of options', () => {
  it('names every key the parser takes, and the whole example uses each', () => {
    for (const { path } of OPTIONS) {
      const key = path.split('.').at(-1)!.replace('[]', '');
      expect(FULL).toContain(`${key}:`);
    }
    expect(keysOf('kernels.*.partition')).toEqual(['cpus', 'memory', 'devices']);
  });

  it('says what is live', () => {
    expect(liveChange('restart')).toBe(true);
    expect(liveChange('environment.MODE')).toBe(false);
    expect(liveChange('partition.cpus')).toBe(true);
    expect(liveChange('partition.memory')).toBe(false);
    expect(liveChange('unheard-of')).toBe(false);
  });

  it('is what the published schema and docs/stack.md say (node scripts/stack-reference.ts)', () => {
    expect(readFileSync(join(ROOT, 'polykernel.schema.json'), 'utf8')).toBe(schemaText());
    const page = readFileSync(join(ROOT, 'docs/stack.md'), 'utf8');
    expect(page).toBe(withOptionTable(page));
  });
});

describe('the published schema', () => {
  const schema = Compile(stackJsonSchema() as never) as { Check(value: unknown): boolean };
  const accepts = (text: string) => schema.Check(parseYaml(text));

  it('accepts what the parser accepts', () => {
    expect(accepts(FULL)).toBe(true);
    for (const example of ['three-kernels', 'dedicated']) {
      const text = readFileSync(join(ROOT, `examples/${example}/polykernel.yaml`), 'utf8');
      expect(parse(text).problems).toEqual([]);
      expect(accepts(text)).toBe(true);
    }
  });

  it.each([
    'name: a',
    'kernels: {a: {comand: x}}',
    'kernels: {a: {}}',
    'kernels: {a: {command: []}}',
    'kernels: {A: {command: x}}',
    'kernels: {a: {command: x, partition: {cpus: 0}}}',
    'kernels: {a: {command: x, partition: {cpus: {count: 1, smt: half}}}}',
    'kernels: {a: {command: x, partition: {devices: [eth0]}}}',
    'kernels: {a: {command: x, restart: sometimes}}',
    'pool: {memory: 1GiB}\nkernels: {a: {command: x}}',
  ])('refuses what the parser refuses: %s', (text) => {
    expect(parse(text).stack).toBeUndefined();
    expect(accepts(text)).toBe(false);
  });
});
