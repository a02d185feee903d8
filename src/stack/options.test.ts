import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Compile } from 'typebox/schema';
import { describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { schemaText, withOptionTable } from '../../scripts/stack-documents.ts';
import { liveChange } from '../instance/stack-options.ts';
import { keysOf, OPTIONS, stackJsonSchema } from './options.ts';
import { FULL, parse } from './testing.ts';

const ROOT = join(import.meta.dirname, '../..');

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

  it.each([
    'kernels: {a: {command: x, partition: {cpus: {}}}}',
    'kernels: {a: {command: x, partition: {cpus: {smt: any}}}}',
    'kernels: {a: {command: x, partition: {cpus: {count: 1, shared: 0.5}}}}',
    'kernels: {a: {command: x, partition: {cpus: {count: 1, weight: 5}}}}',
    'kernels: {a: {command: x, partition: {cpus: {shared: 0.5, numa: 0}}}}',
    'kernels: {a: {command: x, partition: {memory: {node: 1}}}}',
    'kernels: {a: {command: x, partition: {memory: {nodes: {0: 1GiB}, size: 1GiB}}}}',
    'kernels: {a: {command: x, cpus: 1, partition: {}}}',
    'kernels: {a: {command: x, memory: 1GiB, partition: {}}}',
    'kernels: {a: {command: x, volumes: [{source: a}]}}',
    'kernels: {a: {command: ""}}',
    'kernels: {}',
    'kernels: [a]',
  ])('and what does not go together: %s', (text) => {
    expect(parse(text).stack).toBeUndefined();
    expect(accepts(text)).toBe(false);
  });

  // The other way round it cannot hold: a schema does not count pages, nor compare two kernels.
  it.each(OPTIONS.filter(({ path }) => path.includes('.')).map(({ path }) => path))(
    'refuses no value that the parser accepts: %s',
    (path) => {
      const accepted = VALUES.filter((value) => {
        const text = fileWith(path, value);
        if (parse(text).stack === undefined) return false;
        expect(accepts(text), text).toBe(true);
        return true;
      });
      expect(accepted).not.toEqual([]);
    },
  );
});

/** One value or more for every kind of option, right and wrong, as written in YAML. */
const VALUES = [
  ...['0', '1', '4', '1.5', '0.5', '-1', '4096', '8192.0', '1e3', '99999', '0x10', 'true', 'false', 'no', 'null', '""'],
  ...['a', 'A', 'b-1', '"1"', '"2-3"', '2-3', '"4, 6"', '" 7 "', '3-2', 'x y', './data', '/data', 'host', 'debian:uml'],
  ...['1GiB', '64m', '1.5G', '"4096 b"', '2MiB', '1GB', '10s', '1m30s', '250ms', '1.5s', '0s', '2h', 'always'],
  ...['on-failure', 'on-failure:3', 'on-failure:0', '1000:100', 'root', 'auto', 'qemu', 'kvm', 'any', 'whole-core'],
  ...[
    'shared-l3',
    'private',
    'virtual',
    'nvme',
    '"0000:3b:00.0"',
    '"3B:00.1"',
    '"10000:00:1f.7"',
    'eth0',
    'a.example',
    '[]',
    '{}',
  ],
  ...[
    '[a]',
    '[a, 1, true]',
    '["3b:00.0"]',
    '["./a:/b:ro"]',
    '[{source: a, target: /b}]',
    '[{class: nvme}]',
    '[null]',
    'p99=20ms',
    'p99=20',
    '10.0.0.1',
    'leastconn',
    'tcp',
    '{availability: 99.9}',
    '["8080:80"]',
  ],
  ...['{A: 1, B: x, C: true}', '{0: 1GiB}', '{0: 1GiB, 17: 64m}', '{a: 1GiB}', '{size: 1GiB}', '{nodes: {0: 1GiB}}'],
  ...['{min: 1, max: 4}', '{min: 64m, max: 1GiB}', '{cpus: {min: 1, max: 2}}', '{max: 2}'],
  ...['{count: 2}', '{shared: 1.5}', '{cpus: 2}', '{command: y}', '" 1GiB "', '" 10s "', '" 3b:00.0 "'],
];

/** What an option cannot stand without. */
const BESIDE: Readonly<Record<string, string>> = {
  'kernels.*.healthcheck': 'command: x',
  'kernels.*': 'command: x',
  'kernels.*.partition.cpus': 'count: 1',
  'kernels.*.partition.memory': 'size: 1GiB',
  'kernels.*.elastic.cpus': 'min: 1, max: 4096',
  'kernels.*.elastic.memory': 'min: 1MiB, max: 8GiB',
  'kernels.*.volumes[]': 'source: a, target: /b',
  'kernels.*.partition.devices[]': 'class: nvme',
  pool: 'cpus: 2-3',
  'channels.*': 'from: a',
  'services.*': 'port: 80, targets: [a]',
};
const INSTEAD: Readonly<Record<string, string>> = {
  'kernels.*.partition.cpus.shared': '',
  'kernels.*.partition.cpus.weight': 'shared: 1',
  'kernels.*.partition.memory.nodes': '',
};

/** A file in which only that option, and what it cannot stand without, is given. */
function fileWith(path: string, value: string): string {
  let inner = value;
  for (let at = path; at !== ''; ) {
    const [, above = '', key = ''] = /^(?:(.*)\.)?([^.]+)$/.exec(at)!;
    const beside = (at === path ? INSTEAD[at] : undefined) ?? BESIDE[above] ?? '';
    const others = beside.split(', ').filter((each) => each !== '' && !each.startsWith(`${key}:`));
    if (key === '*') inner = `{a: ${inner}}`;
    else if (key.endsWith('[]')) inner = `{${[`${key.slice(0, -2)}: [${inner}]`, ...others].join(', ')}}`;
    else inner = `{${[`${key}: ${inner}`, ...others].join(', ')}}`;
    at = above;
  }
  if (path.startsWith('services')) return `{kernels: {a: {command: x, network: private}}, ${inner.slice(1)}`;
  if (path.startsWith('channels')) return `{kernels: {a: {command: x}}, ${inner.slice(1)}`;
  return path.startsWith('pool') ? `{kernels: {a: {command: x}}, ${inner.slice(1)}` : inner;
}
