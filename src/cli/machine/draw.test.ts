import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ledger, machine, partition, pool, range, share, withCpus } from '../../../test/support/machines.ts';
import { EMPTY_LEDGER } from '../../ledger/index.ts';
import { drawMap } from './draw.ts';
import { bar } from './memory.ts';

const plain = { color: false, width: 60 };

test('two CPUs', () => {
  const mine = ledger(pool([1], [[0, 4]]), { web: partition([1], [[0, 1]]) });
  expect(drawMap(machine({ coresPerL3: 2, gibPerNode: 8 }), mine, plain)).toBe(
    `x86_64 · 1 package · 1 node · 2 cores · 2 CPUs · 8 GiB
╭─ package 0 · node 0 ─────────────────────────────────────╮
│ L3 32 MiB                                                │
│ [0=] [1w]                                                │
│ memory 8 GiB: owned 1 GiB, free 3 GiB, host 4 GiB        │
│ wwwwwww.....................============================ │
╰──────────────────────────────────────────────────────────╯
 w  web          CPU 1 · 1 GiB on node 0
 .  free         no CPUs · 3 GiB
 =  host         CPU 0 · 4 GiB
`,
  );
});

test('two packages with every kind of CPU', () => {
  let topology = machine({ packages: 2, l3PerNode: 2, coresPerL3: 2, threads: 2 });
  topology = withCpus(topology, (cpu) => cpu.id === 15, { online: false });
  topology = withCpus(topology, (cpu) => cpu.core === 2, { isolated: true });
  topology = { ...topology, limits: { ...topology.limits, cpus: range(0, 6).concat(range(8, 15)) } };
  const given = pool(
    [...range(1, 6), ...range(9, 14)],
    [
      [0, 8],
      [1, 8],
    ],
    { sharedCpus: [6, 14], devices: ['0000:3b:00.0'] },
  );
  const partitions = {
    cron: share([6], 400, [[1, 0.5]]),
    db: partition([2, 3, 10, 11], [[0, 4]], { devices: ['0000:3b:00.0'] }),
    web: partition([4, 12], [[1, 2]], { hugePageBytes: 2 ** 21 }),
  };
  expect(drawMap(topology, ledger(given, partitions), plain)).toBe(
    `x86_64 · 2 packages · 2 nodes · 8 cores · 16 CPUs · 32 GiB
╭─ package 0 · node 0 ─────────────────────────────────────╮
│ L3 32 MiB                                                │
│ [ 0=   8= ] [ 1.   9. ]                                  │
│ L3 32 MiB                                                │
│ [ 2d' 10d'] [ 3d  11d ]                                  │
│ memory 16 GiB: owned 4 GiB, free 4 GiB, host 8 GiB       │
│ dddddddddddddd..............============================ │
╰──────────────────────────────────────────────────────────╯
╭─ package 1 · node 1 ─────────────────────────────────────╮
│ L3 32 MiB                                                │
│ [ 4w  12w ] [ 5.  13. ]                                  │
│ L3 32 MiB                                                │
│ [ 6%  14% ] [ 7?  15× ]                                  │
│ memory 16 GiB: owned 2.5 GiB, free 5.5 GiB, host 8 GiB   │
│ ccwwwwwww...................============================ │
╰──────────────────────────────────────────────────────────╯
 c  cron         0.4 of CPU 6 · 512 MiB on node 1
 d  db           4 CPUs 2-3,10-11 · 4 GiB on node 0 ·
                 0000:3b:00.0
 w  web          2 CPUs 4,12 · 2 GiB on node 1 · pages of 2
                 MiB
 %  shared       2 CPUs 6,14 · 20 % promised
 .  free         4 CPUs 1,5,9,13 · 9.5 GiB
 =  host         2 CPUs 0,8 · 16 GiB
 ?  not allowed  CPU 7
 ×  offline      CPU 15
 '  isolated     2 CPUs 2,10
`,
  );
});

test('nodes within a package, a node across packages, and memory without CPUs', () => {
  const boxes = (text: string) =>
    text
      .split('\n')
      .filter((line) => line.includes('╭'))
      .map((line) => line.replace(/[╭─╮ ]+/g, ' ').trim());
  expect(boxes(drawMap(machine({ nodesPerPackage: 2 }), EMPTY_LEDGER, plain))).toEqual([
    'package 0',
    '│ node 0 │',
    '│ node 1 │',
  ]);
  const two = machine({ packages: 2 });
  const odd = {
    ...two,
    cpus: two.cpus.map((cpu) => ({ ...cpu, node: cpu.id === 7 ? null : 0 })),
    numaNodes: two.numaNodes.map((node) => ({ ...node, cpus: node.id === 0 ? range(0, 6) : [] })),
  };
  expect(boxes(drawMap(odd, EMPTY_LEDGER, plain))).toEqual([
    'package 0 · node 0 (part)',
    'package 1',
    '│ no node │',
    '│ node 0 (part) │',
    'node 0 · memory',
    'node 1 · memory only',
  ]);
});

test('caches of one core each group nothing, and core types are told apart', () => {
  const own = machine({ l3PerNode: 4, coresPerL3: 1 });
  expect(drawMap(own, EMPTY_LEDGER, plain)).toContain('│ L3 32 MiB each ');
  const topology = machine();
  const hybrid = {
    ...topology,
    cpus: topology.cpus.map((cpu) => ({
      ...cpu,
      type: cpu.id < 2 ? ('performance' as const) : ('efficiency' as const),
    })),
  };
  expect(drawMap(hybrid, EMPTY_LEDGER, plain)).toMatch(
    /performance cores +│\n│ \[0=\] \[1=\] +│\n│ L3 32 MiB · efficiency cores/,
  );
});

test('a large machine has one character per CPU, and numbers in front of each line', () => {
  const topology = machine({ packages: 8, l3PerNode: 8, coresPerL3: 8, threads: 2 });
  const mine = ledger(pool(range(16, 1023), [[0, 8]]), { web: partition([16, 17, 528, 529], [[0, 1]]) });
  const map = drawMap(topology, mine, { color: false, width: 80 });
  expect(map).toContain('│      0-15,512-527 =. =. =. =. =. =. =. =. │ =. =. =. =. =. =. =. =.          │');
  expect(map).toContain('│     16-31,528-543 ww ww .. ..');
  expect(map.split('\n').length).toBeLessThan(80);
});

test('colour adds nothing but escapes, and many owners are named side by side', () => {
  const topology = machine({ packages: 2, coresPerL3: 64, threads: 2 });
  const partitions = Object.fromEntries(range(0, 99).map((index) => [`app-${index}`, partition([index], [[0, 0.01]])]));
  const mine = ledger(pool(range(0, 200), [[0, 8]]), partitions);
  const [colored, without] = [true, false].map((color) => drawMap(topology, mine, { color, width: 80 }));
  expect(colored).toContain('\x1b[48;5;');
  expect(stripVTControlCharacters(colored!).replace(/ +$/gm, '')).toBe(without);
  expect(without).toContain('app-1 1 ');
  expect(without).toContain('+  48 more with 48 CPUs');
});

test('a bar is as long as its room, and shows whoever has something', () => {
  const part = fc.record({
    bytes: fc.integer({ min: 0, max: 2 ** 45 }),
    mark: fc.constant({ glyph: 'x', sgr: undefined }),
  });
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 60 }), fc.integer({ min: 30, max: 100 }), (parts, room) => {
      const there = parts.filter(({ bytes }) => bytes > 0).length;
      const spans = bar(parts, room);
      expect(spans.reduce((sum, { text }) => sum + text.length, 0)).toBe(there === 0 ? 0 : room);
      if (there <= room) expect(spans.every(({ text }) => text.length > 0)).toBe(true);
    }),
  );
});

const glyphs = { host: '=', free: '.', a: 'a', b: 'b' } as const;

test('every CPU is drawn once, with its owner, and no line is too wide', () => {
  const shape = fc.record({
    packages: fc.integer({ min: 1, max: 3 }),
    nodesPerPackage: fc.integer({ min: 1, max: 2 }),
    l3PerNode: fc.integer({ min: 0, max: 3 }),
    coresPerL3: fc.integer({ min: 1, max: 12 }),
    threads: fc.constantFrom(1, 2, 4, 8),
  });
  const owner = fc.constantFrom('host', 'free', 'a', 'b');
  fc.assert(
    fc.property(shape, fc.integer({ min: 1, max: 160 }), fc.infiniteStream(owner), (form, width, stream) => {
      const topology = machine(form);
      const owners = topology.cpus.map((): keyof typeof glyphs => stream.next().value!);
      const of = (name: string) => topology.cpus.filter((_cpu, index) => owners[index] === name).map(({ id }) => id);
      const given = topology.cpus.filter((_cpu, index) => owners[index] !== 'host').map(({ id }) => id);
      const mine = ledger(pool(given, [[0, 8]]), { a: partition(of('a'), [[0, 1]]), b: partition(of('b'), [[0, 2]]) });
      const lines = drawMap(topology, mine, { color: false, width }).split('\n');
      for (const line of lines) expect([...line].length).toBeLessThanOrEqual(Math.max(width, 40));

      // Lines of CPUs are those that follow a top edge or an L3's title, before the memory.
      const inside = lines.filter((line) => line.startsWith('│')).map((line) => line.replace(/^[│ ]+|[│ ]+$/g, ''));
      const cells = inside.filter((line) => line.startsWith('['));
      if (cells.length > 0) {
        const drawn = cells.flatMap((line) =>
          [...line.matchAll(/(\d+)([=.ab])/g)].map((each) => `${each[1]}${each[2]}`),
        );
        expect(drawn.sort()).toEqual(topology.cpus.map(({ id }, index) => `${id}${glyphs[owners[index]!]}`).sort());
        return;
      }
      const rows = inside.filter((line) => /^\d[\d,…-]* [=.ab]/.test(line)).map((line) => line.replace(/^\S+ /, ''));
      const count = (glyph: string) => [...rows.join('')].filter((each) => each === glyph).length;
      for (const [name, glyph] of Object.entries(glyphs)) expect(count(glyph)).toBe(of(name).length);
    }),
    { numRuns: 200 },
  );
});
