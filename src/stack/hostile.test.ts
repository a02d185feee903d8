/** Files that nobody writes in good faith, or that are damaged. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FULL, parse } from './testing.ts';

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

const messages = (text: string) => parse(text).problems.map(({ message }) => message);

it('an alias bomb does no harm', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefgh'.split('').map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[index]}`).join()}]`),
  ];
  expect(messages(`${bomb.join('\n')}\nkernels: {k: {command: *h}}`)).toContain('must be a word, not a list');
});

// Each of these took minutes, or all memory, where the work grew with the square of the file.
it('many aliases take no longer than as many words', () => {
  const text = `kernels: {a: {cwd: &a /x, command: [${'*a,'.repeat(200_000)}]}}`;
  expect(messages(text)).toEqual(['has 200000 items; the most is 16000']);
});

it('an alias of what it stands in ends', () => {
  expect(messages('kernels: &k {a: *k}')).toContain('command is missing');
});

it('many long CPU lists do not fill memory', () => {
  const kernels = Array.from(
    { length: 4000 },
    (_, index) => `  a${index}: {command: x, partition: {cpus: "0-65535"}}\n`,
  );
  expect(messages(`kernels:\n${kernels.join('')}`)).toEqual(['CPUs 0-65535 are asked for by a0 already']);
});

it.each(['[', '{a: ', '- '])('deep nesting of %j is one problem', (piece) => {
  expect(messages(piece.repeat(20_000))).toEqual(['this is nested too deeply']);
});

it('many unknown ends of channels are not all compared with many kernels', () => {
  const lines = (text: (index: number) => string) => Array.from({ length: 4096 }, (_, index) => text(index)).join('');
  const kernels = lines((index) => `  kernel-number-${index}: {command: x}\n`);
  const channels = lines((index) => `  c${index}: {from: kernel-numbex-${index}y, to: kernel-numbez-${index}q}\n`);
  const { problems } = parse(`kernels:\n${kernels}channels:\n${channels}`);
  expect(problems).toHaveLength(201);
  expect(problems[0]?.message).toMatch(/no kernel "kernel-numbex-0y"/);
});

it('tells so many problems and no more, and says so', () => {
  const told = messages(`kernels:\n${'  a: 1\n'.repeat(50_000)}`);
  expect(told).toHaveLength(201);
  expect(told.at(-1)).toBe('only 200 problems are told');
});

it('looks at a line of many errors no more often than it tells of them', () => {
  expect(messages(`kernels: ${'!a '.repeat(200_000)}`)).toHaveLength(201);
});

it('is short about long things', () => {
  const long = 'q'.repeat(100_000);
  const kernel = (option: string) => `kernels: {a: {command: x, ${option}}}`;
  for (const option of ['driver', 'restart', 'user', 'memory', 'stopGrace', 'hostname', 'image']) {
    const [message = ''] = messages(kernel(`${option}: ${long}`));
    expect(message).not.toBe('');
    expect(message.length).toBeLessThan(450);
  }
  const [problem] = parse(kernel(`environment: {"A=[${'q'.repeat(900)}": x}`)).problems;
  expect(problem?.path.length).toBeLessThan(250);
});

it('refuses what is too large to be a stack file', () => {
  expect(messages('#'.repeat(1_048_577))).toEqual(['the file has more than 1048576 characters']);
  const many = Array.from({ length: 4097 }, (_, index) => `  a${index}: {command: x}\n`).join('');
  expect(messages(`kernels:\n${many}`)).toEqual(['names 4097 kernels; the most is 4096']);
});
