import { describe, expect, it } from 'vitest';
import { FULL, parse } from './testing.ts';

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
        entry: 'web',
        create: {
          driver: 'qemu',
          image: 'mine',
          root: '/srv/shop/rootfs',
          command: ['node', 'server.js', '8080'],
          env: { PORT: '8080', DEBUG: 'true', EMPTY: '' },
          volumes: [
            { source: '/srv/shop/data', target: '/data', readOnly: true },
            { source: '/srv/x', target: '/x', readOnly: false, maySetId: true },
          ],
          network: 'private',
          publish: [
            { hostPort: 8080, guestPort: 80 },
            { hostAddress: '0.0.0.0', hostPort: 9000, guestPort: 90 },
            { hostAddress: '::1', hostPort: 8053, guestPort: 53, protocol: 'udp' },
            { hostPort: 7000, guestPort: 70 },
            { hostPort: 7001, guestPort: 71 },
            { hostPort: 0, guestPort: 75 },
          ],
          cwd: '/data',
          user: '1000:100',
          hostname: 'web.example',
          restart: 'on-failure:3',
          heal: 'hung',
          priority: 5,
          dependsOn: ['db', 'job:restart'],
          standby: true,
          readyTimeoutMs: 90_000,
          stopGraceMs: 5_000,
          healthCommand: 'wget -q localhost',
          healthIntervalMs: 5_000,
          healthTimeoutMs: 2_000,
          healthRetries: 2,
          healthStartPeriodMs: 60_000,
          append: 'loglevel=7',
          initrd: '/srv/shop/early.cpio',
          cold: true,
          labels: { team: 'shop', tier: '1' },
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
        entry: 'db',
        partition: expect.objectContaining({ cpus: { kind: 'exact', cpus: [4, 5, 6, 7] } }),
      }),
      expect.objectContaining({
        name: 'job',
        entry: 'job',
        create: { command: ['/bin/sh', '-c', 'echo hi'] },
        partition: expect.objectContaining({ cpus: { kind: 'shared', milliCpus: 500, weight: 200 } }),
      }),
      ...['plain-1', 'plain-2'].map((name) => ({
        name,
        entry: 'plain',
        create: {
          command: ['x'],
          cpus: 2,
          memoryBytes: 2 ** 29,
          elastic: { cpus: { min: 1, max: 4 }, memoryBytes: { min: 2 ** 28, max: 2 ** 30 } },
        },
        partition: null,
        tenant: null,
      })),
      ...['many-1', 'many-2'].map((name) => ({
        name,
        entry: 'many',
        create: { command: ['x'], network: 'private' },
        partition: null,
        tenant: null,
      })),
    ],
    channels: [
      { name: 'orders', from: 'web', to: 'db', sizeBytes: 2 ** 16 },
      { name: 'hints', from: 'host', to: 'web', sizeBytes: 2 ** 20 },
    ],
    services: [
      {
        name: 'api',
        port: 8081,
        bind: '0.0.0.0',
        targets: [{ instance: 'web' }, { instance: 'many-1', port: 80 }, { instance: 'many-2', port: 80 }],
        mode: 'http',
        balance: 'leastconn',
        check: '/health',
        slo: { latency: { percentile: 99.9, milliseconds: 1500 }, availability: 99.9 },
      },
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
        entry: 'a',
        create: { command: ['x'] },
        tenant: null,
        partition: {
          cpus: { kind: 'count', count: 1, numa: null, smt: 'whole-core', cache: 'any', near: null },
          memory: { kind: 'size', bytes: 2 ** 28, node: null, hugePageBytes: null },
          devices: [],
        },
      },
    ],
    channels: [],
    services: [],
  });
});

describe('a problem has its place', () => {
  const channel = (text: string) => `kernels:\n  web: {command: x}\nchannels:\n  c: ${text}\n`;
  const service = (text: string) =>
    `kernels:\n  web: {command: x, network: private}\n  alone: {command: x}\nservices:\n  s: ${text}\n`;
  const kernel = (text: string) => `kernels:\n  web:\n    command: [x]\n    ${text}\n`;
  it.each<[string, string, string, RegExp]>([
    ['a service without a port', service('{targets: [web]}'), '5:6', /port is missing/],
    ['a service without targets', service('{port: 80}'), '5:6', /targets is missing/],
    ['an unknown target', service('{port: 80, targets: [wbe]}'), '5:27', /there is no kernel "wbe"/],
    ['a target without a network', service('{port: 80, targets: [alone]}'), '5:27', /alone has no network/],
    ['a target twice', service('{port: 80, targets: [web, "web:81"]}'), '5:26', /named twice/],
    ['a bad port of a target', service('{port: 80, targets: ["web:0"]}'), '5:26', /the least is 1/],
    ['a bad bind', service('{port: 80, targets: [web], bind: localhost}'), '5:39', /not an IP address/],
    [
      'a check of connections',
      service('{port: 80, targets: [web], mode: tcp, check: /x}'),
      '5:51',
      /only in http mode/,
    ],
    ['no promise', service('{port: 80, targets: [web], slo: {latency: fast}}'), '5:48', /not a promise/],
    [
      'too good a promise',
      service('{port: 80, targets: [web], slo: {availability: 100}}'),
      '5:53',
      /from 1 to 99.9999/,
    ],
    [
      'replicas of one port',
      kernel('publish: ["80:80"]\n    replicas: 2'),
      '4:14',
      /one kernel, and there are 2 replicas/,
    ],
    ['replicas on exact CPUs', kernel('replicas: 3\n    partition: {cpus: "2-4"}'), '5:23', /CPUs have one owner/],
    ['no replicas', kernel('replicas: 0'), '4:15', /not 0|1 to 4096|from 1/],
    [
      'too many replicas',
      `${kernel('replicas: 4000')}  db:\n    command: x\n    replicas: 97\n`,
      '6:5',
      /more than 4096/,
    ],
    [
      'the name of a replica',
      `${kernel('replicas: 2')}  web-2: {command: x}\n`,
      '5:10',
      /web-2 is a name that web gives/,
    ],
    ['no kernels', 'name: a', '1:1', /kernels is missing/],
    ['an empty file', '', '1:1', /must be a map, not nothing/],
    ['a list', '- a', '1:1', /must be a map, not a list/],
    ['broken YAML', 'kernels: {', '1:11', /not valid YAML/],
    ['two documents', 'kernels: {a: {command: x}}\n---\nb: 1', '2:1', /second document/],
    ['an unknown option', kernel('comand: x'), '4:5', /no option "comand" here/],
    ['a prototype name', kernel('__proto__: {a: 1}'), '4:5', /no option "__proto__"/],
    ['a merge key of an unknown option', kernel('<<: {a: 1}'), '4:10', /no option "a" here/],
    ['an option twice', kernel('restart: no\n    restart: always'), '5:5', /given twice, first in line 4, column 5/],
    ['a kernel twice', 'kernels:\n  a: {command: x}\n  a: {command: x}', '3:3', /"a" is given twice/],
    ['a bad name', 'kernels:\n  A_b: {command: x}', '2:3', /not a valid name/],
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
      '4:34',
      /"a" is not the number of a NUMA node/,
    ],
    ['an address that is none', kernel('partition: {devices: [eth0]}'), '4:27', /not a PCI address/],
    ['an unknown class', kernel('partition: {devices: [{class: nvmee}]}'), '4:35', /is "nvmee"/],
    // What only the whole of a kernel, or of the file, tells.
    ["a word of the agent's", kernel('append: "quiet root=/dev/sda"'), '4:13', /root=.* is refused/],
    ['functions of no kind', kernel('devices: [vf:bogus]'), '4:15', /no virtual functions of the kind "bogus"/],
    ['two of one name', kernel('devices: [vf:any=a, vf:any=a]'), '4:25', /two devices are called a/],
    ['one function twice', kernel('devices: ["01:00.0", "0000:01:00.0"]'), '4:26', /is asked for twice/],
    ['replicas of a function', kernel('replicas: 2\n    devices: ["01:00.0"]'), '5:14', /one owner.* 2 replicas/],
    ['a function of two', `${kernel('devices: ["01:00.0"]')}  b: {command: x, devices: ["01:00.0"]}`, '5:29', /by web/],
    [
      'a function that is owned, too',
      `${kernel('devices: ["01:00.0"]')}  b: {command: x, partition: {devices: ["01:00.0"]}}`,
      '5:41',
      /by web/,
    ],
    [
      'a function of the pool without a partition',
      `pool: {cpus: "1", devices: ["01:00.0"]}\n${kernel('devices: ["01:00.0"]')}`,
      '5:15',
      /is the pool's/,
    ],
    ['a size outside its bounds', kernel('elastic: {cpus: {min: 2, max: 4}}'), '4:21', /begins with 1/],
    [
      'memory that functions write to',
      kernel('devices: [vf:any]\n    elastic: {memory: {min: 64M, max: 1G}}'),
      '5:23',
      /functions write to/,
    ],
    ['ports without a network', kernel('network: none\n    publish: ["80:80"]'), '4:14', /has no network/],
    ['both sizes', kernel('cpus: 2\n    partition: {cpus: 2}'), '4:11', /given beside a partition/],
    ['a bad restart', kernel('restart: sometimes'), '4:14', /is "sometimes"/],
    ['a bad tenant', kernel('tenant: A b'), '4:13', /is "A b"/],
    ['a relative cwd', kernel('cwd: data'), '4:10', /is "data"/],
    ['a user that is none', kernel('user: 4294967295'), '4:11', /a number that no id has/],
    ['no time at all', kernel('readyTimeout: 0'), '4:19', /0 is too short/],
    ['a port that is none', kernel('publish: ["80:http"]'), '4:15', /"http" is no port/],
    ['too many ports', kernel('publish: ["1-40:1-40", "51-90:51-90"]'), '4:14', /64/],
    ['a port out of range', kernel('publish: ["80:70000"]'), '4:15', /70000/],
    ['an unknown end', channel('{from: wbe}'), '4:13', /there is no kernel "wbe"/],
    ['one end twice', channel('{from: web, to: web}'), '4:6', /has web at both ends/],
    ['two ends on the host', channel('{size: 1MiB}'), '4:6', /has host at both ends/],
    [
      'too many channels of a kernel',
      `kernels: {web: {command: x}}\nchannels:\n${Array.from({ length: 17 }, (_, index) => `  c${index}: {from: web}\n`).join('')}`,
      '19:15',
      /web has more than 16 channels/,
    ],
    ['an odd size', channel('{from: web, size: 12KiB}'), '4:24', /no size that a channel can have/],
    [
      'a channel with a bad name',
      'kernels: {web: {command: x}}\nchannels: {A_b: {from: web}}',
      '2:12',
      /not a valid name/,
    ],
    ['an empty root', kernel('root: ""'), '4:11', /is empty/],
    ['an empty source', kernel('volumes: [{source: "", target: /x}]'), '4:24', /is empty/],
    ['an empty text to run', 'kernels: {a: {command: ""}}', '1:24', /is empty/],
    [
      'CPUs as a YAML list',
      'pool: {cpus: [2, 3]}\nkernels: {a: {command: x}}',
      '1:14',
      /must be a text such as "2-7,10"/,
    ],
    ['a node twice', kernel('partition: {memory: {nodes: {0: 1GiB, 00: 1GiB}}}'), '4:43', /"00" is not the number/],
    ['huge pages of no size', kernel('partition: {memory: {size: 6MiB, hugePages: 3MiB}}'), '4:49', /no size of huge/],
    ['half a huge page on a node', kernel('partition: {memory: {nodes: {0: 3MiB}, hugePages: 2MiB}}'), '4:37', /3 MiB/],
    ['a merge key of nothing', kernel('<<: *nobody'), '4:9', /\*nobody is an alias of nothing/],
    ['a variable by its name alone', kernel('environment: [A=1, HOME]'), '4:24', /must be NAME=VALUE/],
    ['a bad variable in a list', kernel('environment: ["A\\0=1"]'), '4:19', /cannot be set/],
    ['a tag', kernel('cwd: !!str /x'), '4:16', /the tag !!str/],
    ['an unknown tag', kernel('cwd: !foo /x'), '4:15', /the tag !foo/],
    ['another YAML', '%YAML 1.1\n---\nkernels: {a: {command: x}}', '1:1', /YAML 1.1 is not understood/],
    ['a merge key among variables', kernel('environment: {<<: x}'), '4:23', /a merge key stands for/],
    ['an alias of nothing', kernel('cwd: *nobody'), '4:10', /an alias of nothing/],
    ['a key that is a list', kernel('environment: {[a]: x}'), '4:19', /a key must be a plain word/],
    ['a NUL byte', 'kernels:\n  \0: x', '2:3', /holds a NUL byte/],
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

  it('and all of them are told, in the order of the file, also those between options', () => {
    const { problems } = parse(`
pool: {cpus: 2-3, shared: 9}
kernels:
  a:
    hostname: a_b
    restart: sometimes
    environment: {"A=B": 1, "C=D": 2}
    volumes: ["./a:/", "./b:/../c"]
    partition: {cpus: "7", devices: ["01:00.0"]}
  B: {comand: x}
`);
    expect(problems.map(({ line, path }) => `${line} ${path}`)).toEqual([
      '2 pool.shared',
      '5 kernels.a',
      '5 kernels.a.hostname',
      '6 kernels.a.restart',
      '7 kernels.a.environment.A=B',
      '7 kernels.a.environment.C=D',
      '8 kernels.a.volumes[0].target',
      '8 kernels.a.volumes[1].target',
      '9 kernels.a.partition.cpus',
      '9 kernels.a.partition.devices[0]',
      '10 kernels.B',
      '10 kernels.B',
      '10 kernels.B.comand',
    ]);
  });

  it('and what is wrong with the pool is not held against the kernels', () => {
    const { problems } = parse('pool: {cpus: 2-x}\nkernels: {a: {command: x, partition: {cpus: "7"}}}');
    expect(problems.map(({ path }) => path)).toEqual(['pool.cpus']);
  });

  it('names each kernel that has the CPUs already', () => {
    const { problems } = parse(
      'kernels:\n' +
        ['a: "2-3"', 'b: "4"', 'c: "3-5"']
          .map((each) => each.split(': '))
          .map(([name, cpus]) => `  ${name}: {command: x, partition: {cpus: ${cpus}}}\n`)
          .join(''),
    );
    expect(problems.map(({ message }) => message)).toEqual([
      'CPU 3 is asked for by a already',
      'CPU 4 is asked for by b already',
    ]);
  });
});

it('names of the prototype are names like any other', () => {
  const { stack } = parse('kernels: {constructor: {command: x, environment: {__proto__: a, toString: b}}}');
  expect(stack?.kernels[0]?.name).toBe('constructor');
  expect(Object.entries(stack?.kernels[0]?.create.env ?? {})).toEqual([
    ['__proto__', 'a'],
    ['toString', 'b'],
  ]);
});

it('an alias stands for the last anchor of its name', () => {
  const { stack } = parse(`
kernels:
  a: {command: &c [x], environment: &e {A: 1}}
  b: {command: *c, environment: *e, partition: &c {cpus: 2}}
  c: {command: y, partition: *c}
`);
  expect(stack?.kernels[1]?.create).toEqual({ command: ['x'], env: { A: '1' } });
  expect(stack?.kernels[2]?.partition).toEqual(stack?.kernels[1]?.partition);
});
