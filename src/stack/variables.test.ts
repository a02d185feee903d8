// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are what is tested.
/** Variables, merge keys and sections of the writer's own in a stack file. */
import { describe, expect, it } from 'vitest';
import { definitionChanges, storedDefinition } from '../instance/definition.ts';
import { parseStack } from './parse.ts';

const parse = (text: string, variables: Record<string, string> = {}) =>
  parseStack(text, { directory: '/srv/shop', defaultName: 'shop', variables });

const kernel = (lines: string, variables?: Record<string, string>) => {
  const { stack, problems } = parse(`kernels:\n  a:\n    command: x\n    ${lines}\n`, variables);
  expect(problems).toEqual([]);
  return stack!.kernels[0]!;
};

it('a path with a tilde is below the caller’s home, as with Compose, and else below the directory of the file', () => {
  const volumes = (variables?: Record<string, string>) =>
    kernel('volumes: ["~/data:/a", "~me:/b", {source: "~", target: /c}]\n    root: ~/root', variables).create;
  const home = volumes({ HOME: '/home/me' });
  expect(home.volumes?.map(({ source }) => source)).toEqual(['/home/me/data', '/srv/shop/~me', '/home/me']);
  expect(home.root).toBe('/home/me/root');
  expect(volumes().root).toBe('/srv/shop/~/root');
});

describe('variables', () => {
  it('stand for values of every kind', () => {
    const { create, partition, tenant } = kernel(
      `
    cpus: $CPUS
    memory: \${MEMORY:-512M}
    cold: $COLD
    stopGrace: $GRACE
    environment: {A: $SECRET, B: "\${SECRET}", C: '$$SECRET', N: $CPUS}
    volumes: ["$DIR:/data:ro"]
    publish: ["\${PORT}:80"]
    tenant: $TENANT`,
      {
        CPUS: '2',
        COLD: 'true',
        GRACE: '5s',
        SECRET: 's3cret',
        DIR: './data',
        PORT: '8080',
        TENANT: 'acme',
      },
    );
    expect(create).toMatchObject({
      cpus: 2,
      memoryBytes: 512 * 2 ** 20,
      cold: true,
      stopGraceMs: 5000,
      env: { A: 's3cret', B: 's3cret', C: '$SECRET', N: '2' },
      volumes: [{ source: '/srv/shop/data', target: '/data', readOnly: true }],
      publish: [{ hostPort: 8080, guestPort: 80 }],
    });
    expect(tenant).toBe('acme');
    expect(partition).toBeNull();
  });

  it('are numbers and booleans where these are wanted, quoted or not, and keep their text where that is', () => {
    const variables = { N: '3', YES: 'true', VERSION: '1.10', OCTAL: '007' };
    const { create } = kernel('cpus: "$N"\n    cold: "${YES}"\n    environment: {V: $VERSION, O: $OCTAL}', variables);
    expect(create).toMatchObject({ cpus: 3, cold: true, env: { V: '1.10', O: '007' } });
    // As in YAML, quotes make the one a list of CPUs that would be their number else.
    expect(kernel('partition: {cpus: $N}', variables).partition?.cpus).toMatchObject({ kind: 'count', count: 3 });
    expect(kernel('partition: {cpus: "$N"}', variables).partition?.cpus).toEqual({ kind: 'exact', cpus: [3] });
  });

  it('cannot add structure', () => {
    const text = 'x\n    network: egress\n  b: {command: y}';
    const variables = { EVIL: text, LIST: '[a, b]', MAP: '{A: 1}', NULL: 'null', ALIAS: '*a', REF: '${LIST}' };
    const { create } = kernel(
      'environment: {E: $EVIL, L: $LIST, M: $MAP, N: $NULL, A: $ALIAS, R: $REF, Z: "${NO:-}"}',
      variables,
    );
    expect(create.env).toEqual({
      E: text,
      L: '[a, b]',
      M: '{A: 1}',
      N: 'null',
      A: '*a',
      // Values are not read again.
      R: '${LIST}',
      Z: '',
    });
    expect(create.network).toBeUndefined();
    const { problems } = parse('kernels: {a: {command: [x], environment: $MAP}}', variables);
    expect(problems[0]?.message).toMatch(/must be a map, not "\{A: 1\}"/);
  });

  it('reach through aliases, in keys they are refused', () => {
    const { stack } = parse('kernels:\n  a: {command: &c ["$X"]}\n  b: {command: *c}', { X: 'y' });
    expect(stack?.kernels.map(({ create }) => create.command)).toEqual([['y'], ['y']]);
    const { problems } = parse('kernels:\n  a:\n    command: x\n    environment:\n      ${X}: 1', { X: 'y' });
    expect(problems).toMatchObject([{ line: 5, column: 7, message: 'the key "${X}" holds a variable' }]);
  });

  it.each([
    ['cwd: $NO', '4:10', /NO is not set/],
    ['cwd: "/x/$NO"', '4:14', /NO is not set/],
    ['environment: {A: "$$ $$x ${NO:?give a number}"}', '4:30', /NO is not set: give a number/],
    ['memory: ${NO}', '4:13', /NO is not set/],
    ['hostname: a$', '4:16', /not followed by a name/],
    ['hostname: |\n      a$NO', '5:8', /NO is not set/],
    ['environment: {A: ${X}}', '4:23', /not valid YAML/],
  ])('%s is an error at %s, and nothing more is told', (line, place, message) => {
    const { stack, problems } = parse(`kernels:\n  a:\n    command: x\n    ${line}`);
    expect(stack).toBeUndefined();
    expect(problems.map(({ line, column }) => `${line}:${column}`)).toContain(place);
    expect(problems[0]?.message).toMatch(message);
    expect(problems[0]?.hint).toBeDefined();
    if (message.source.includes('NO')) expect(problems).toHaveLength(1);
  });

  it('says how a variable between brackets is to be written', () => {
    const { problems } = parse('kernels:\n  a:\n    command: [echo, ${X}]', { X: 'y' });
    expect(problems[0]?.hint).toMatch(/must be quoted: "\$\{NAME\}"/);
  });

  it('are names of the environment, not of what every object has', () => {
    expect(parse('kernels: {a: {command: $constructor}}').problems[0]?.message).toMatch(/constructor is not set/);
  });

  it('never fill memory', () => {
    const words = Array(4000).fill('"$BIG"').join();
    const { problems } = parse(`kernels: {a: {command: [${words}]}}`, { BIG: 'x'.repeat(100_000) });
    expect(problems[0]?.message).toMatch(/too long with its variables/);
  });

  it('are not shown in plans', () => {
    const text = 'command: [serve, "--token=$TOKEN"]\n    cwd: /x\n    partition: {cpus: $N}';
    const of = (token: string, n: string) =>
      parse(`kernels:\n  a:\n    ${text}`, { TOKEN: token, N: n }).stack!.kernels[0]!;
    const changes = definitionChanges(storedDefinition(of('old-secret', '1')), of('new-secret', '2'));
    expect(changes.map(({ path, before, after }) => [path, before, after])).toEqual([
      ['command', '(hidden)', '(hidden)'],
      ['partition.cpus', '(hidden)', '(hidden)'],
    ]);
    const plain = parse('kernels: {a: {command: [serve], partition: {cpus: 2}}}').stack!.kernels[0]!;
    expect(JSON.stringify(definitionChanges(storedDefinition(of('old-secret', '2')), plain))).not.toContain('secret');
    expect(JSON.stringify(definitionChanges(storedDefinition(plain), of('new-secret', '2')))).not.toContain('secret');
  });
});

describe('merge keys', () => {
  const envOf = (text: string) => {
    const { stack, problems } = parse(text);
    expect(problems).toEqual([]);
    return stack?.kernels.map(({ create }) => create.env);
  };

  it('bring in what the map has not, the first of a list before the others', () => {
    expect(
      envOf(`
x-a: &a {A: 1, B: 1}
x-b: &b {B: 2, C: 2, <<: {D: 3, B: 3}}
kernels:
  one: {command: x, environment: {<<: *a, A: 0}}
  two: {command: x, environment: {C: 0, <<: [*a, *b]}}
  three: {command: x, environment: {<<: {X: 1}}}
`),
    ).toEqual([{ A: '0', B: '1' }, { A: '1', B: '1', C: '0', D: '3' }, { X: '1' }]);
  });

  it('work on kernels, and with what has variables', () => {
    const { stack, problems } = parse(
      `
x-base: &base
  command: [serve, $MODE]
  restart: unless-stopped
  cpus: 2
kernels:
  web: {<<: *base, cpus: 1}
  job: {<<: *base}
`,
      { MODE: 'fast' },
    );
    expect(problems).toEqual([]);
    const same = { command: ['serve', 'fast'], restart: 'unless-stopped' };
    expect(stack?.kernels.map(({ create }) => create)).toEqual([
      { ...same, cpus: 1 },
      { ...same, cpus: 2 },
    ]);
  });

  it.each([
    ['<<: x', /stands for a map or a list of maps/],
    ['<<: [a]', /stands for a map or a list of maps/],
    ['<<: *nobody', /stands for a map or a list of maps/],
    ['<<:', /stands for a map or a list of maps/],
    ['<<: {A: 1}\n      <<: {B: 2}', /"<<" is given twice/],
  ])('%s is an error with its place', (line, message) => {
    const { problems } = parse(`kernels:\n  a:\n    command: x\n    environment:\n      ${line}\n`);
    expect(problems[0]?.message).toMatch(message);
    expect(problems[0]?.line).toBeGreaterThanOrEqual(5);
  });

  it('tell what is wrong where it stands', () => {
    const { problems } = parse('x-a: &a\n  comand: x\nkernels:\n  a: {command: y, <<: *a}\n');
    expect(problems).toMatchObject([{ path: 'kernels.a.comand', line: 2, column: 3, hint: 'Did you mean command?' }]);
  });

  it('end where they go in a circle, and harm nobody where they pile up', () => {
    expect(parse('kernels: &k {a: {command: x, environment: &e {A: 1, <<: *e}}}').problems).toEqual([]);
    const bomb = ['x-a: &a {X: 1}'];
    for (const [index, name] of [...'bcdefgh'].entries())
      bomb.push(`x-${name}: &${name} {<<: [${Array(9).fill(`*${'abcdefg'[index]}`).join()}]}`);
    const { problems } = parse(`${bomb.join('\n')}\nkernels: {k: {command: x, environment: {<<: *h}}}`);
    expect(problems[0]?.message).toBe('merge keys bring in too much');
    const chain = Array.from({ length: 2000 }, (_, at) => `x-${at + 1}: &m${at + 1} {<<: *m${at}}`);
    const deep = parse(`x-0: &m0 {A: 1}\n${chain.join('\n')}\nkernels: {k: {command: x, environment: {<<: *m2000}}}`);
    expect(deep.problems[0]?.message).toBe('merge keys bring in too much');
  });
});

it('x- sections are nobody’s business, where keys are known', () => {
  const { stack, problems } = parse(`
x-anything: {with: [$ANY, "content"]}
kernels:
  a: {command: x, x-note: hello, partition: {cpus: 1, x-why: {}}}
  x-b: {command: y}
services: {}
`);
  expect(problems).toEqual([]);
  // Where any name may stand it is one.
  expect(stack?.kernels.map(({ name }) => name)).toEqual(['a', 'x-b']);
});

it.each([
  ['{team: shop, tier: 1, empty: ""}', { team: 'shop', tier: '1', empty: '' }],
  ['[team=shop, "a=b=c", flag]', { team: 'shop', a: 'b=c', flag: '' }],
  ['{}', {}],
])('labels %s', (text, labels) => {
  expect(kernel(`labels: ${text}`).create.labels).toEqual(labels);
});

it('the environment is a map or a list, as in Compose', () => {
  const { stack } = parse('kernels: {a: {command: x, environment: ["A=1=2", "B=", "A=3", "__proto__=x"]}}');
  expect(Object.entries(stack?.kernels[0]?.create.env ?? {})).toEqual([
    ['A', '3'],
    ['B', ''],
    ['__proto__', 'x'],
  ]);
});

it('a label without a name is an error', () => {
  expect(parse('kernels: {a: {command: x, labels: ["=x"]}}').problems[0]?.message).toMatch(/no name of a label/);
});
