/** Node must act on nothing that the caller of `pk` passes: some of its options load code, wherever they stand. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NODE_FLAGS, nodeCommand } from '../../src/sys/node.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Those that Node looks for everywhere; the others it takes before the name of the program alone. */
const EVERYWHERE = [
  '--env-file',
  '--env-file-if-exists',
  '--experimental-config-file',
  '--experimental-default-config-file',
];
const OTHERS = ['--require', '-r', '--import', '--loader', '--experimental-loader', '--eval', '-e', '--openssl-config'];
let base: string;
let marker: string;
/** A checkout whose `pk` prints its arguments. */
let checkout: string;

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'pk-node-'));
  marker = join(base, 'loaded');
  const code = join(base, 'code.cjs');
  writeFileSync(code, `require('node:fs').writeFileSync(${JSON.stringify(marker)}, '')`);
  writeFileSync(join(base, 'env'), `NODE_OPTIONS=--require ${code}\n`);
  // Read by name from the working directory.
  writeFileSync(join(base, 'node.config.json'), JSON.stringify({ nodeOptions: { require: [code] } }));
  checkout = join(base, 'checkout');
  mkdirSync(join(checkout, 'src/cli'), { recursive: true });
  mkdirSync(join(checkout, 'bin'));
  symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
  copyFileSync(join(ROOT, 'bin/polykernel'), join(checkout, 'bin/polykernel'));
  mkdirSync(join(checkout, 'scripts'));
  copyFileSync(join(ROOT, 'scripts/find-node.sh'), join(checkout, 'scripts/find-node.sh'));
  const own = pathToFileURL(join(ROOT, 'src/sys/node.ts')).href;
  const echo = `import { ownArguments } from '${own}'; console.log(JSON.stringify([ownArguments(), process.execArgv]));`;
  writeFileSync(join(checkout, 'src/cli/main.ts'), echo);
});
afterAll(() => rmSync(base, { recursive: true }));

/** What Node is told besides by who starts a command of the caller's, and nobody else. */
const COMMAND_FLAGS = ['--min-semi-space-size=16'];

const launchers: Record<string, (args: readonly string[]) => string[]> = {
  'bin/pk': (args) => [join(checkout, 'bin/polykernel'), ...args],
  'npm scripts': (args) => [
    'sh',
    join(ROOT, 'scripts/node.sh'),
    relative(ROOT, join(checkout, 'src/cli/main.ts')),
    ...args,
  ],
  'nodeCommand()': (args) => nodeCommand(join(checkout, 'src/cli/main.ts'), args),
};

/** What the program at the end was given. */
function arrived(launcher: string, args: readonly string[]): unknown {
  const [program, ...rest] = launchers[launcher]!(args);
  return JSON.parse(execFileSync(program!, rest, { cwd: base, encoding: 'utf8', env: quiet() }));
}

function quiet(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...env } = process.env;
  return env;
}

describe.each(Object.keys(launchers))('%s', (launcher) => {
  const flags = launcher === 'bin/pk' ? [...NODE_FLAGS, ...COMMAND_FLAGS] : NODE_FLAGS;

  it.each(EVERYWHERE)('passes %s on and does not act on it', (option) => {
    const file = join(base, option.includes('config') ? 'node.config.json' : 'env');
    for (const given of [[`${option}=${file}`], ['run', '--', 'prog', option, file], [option]]) {
      expect(arrived(launcher, given)).toEqual([given, flags]);
      expect(existsSync(marker)).toBe(false);
    }
  });

  it('passes all other options of Node on', () => {
    const known = execFileSync(process.execPath, ['--help'], { encoding: 'utf8' }).match(/(?<=[ ,])--?[a-z][\w-]*/g)!;
    expect(known.length).toBeGreaterThan(200);
    expect(arrived(launcher, known)).toEqual([known, flags]);
    const loading = OTHERS.flatMap((option) => [`${option}=${join(base, 'code.cjs')}`, option, join(base, 'code.cjs')]);
    expect(arrived(launcher, loading)).toEqual([loading, flags]);
    expect(existsSync(marker)).toBe(false);
  });

  it('passes text on as it is', () => {
    const odd = ['', ' ', '=', '--', '-', "it's", '"', '$HOME', '`id`', '$(id)', '$1', '*', '\\', 'a\nb', 'ü', '='];
    expect(arrived(launcher, odd)).toEqual([odd, flags]);
    const many = Array.from({ length: 3000 }, (_, index) => `--${index}`);
    expect(arrived(launcher, many)).toEqual([many, flags]);
    expect(arrived(launcher, [])).toEqual([[], flags]);
  });

  // It takes half a second, and a minute where the time grows with the square of their number.
  it('passes as many on as Linux lets a program have', { timeout: 30_000 }, () => {
    const many = Array.from({ length: 60_000 }, (_, index) => `-${index}`);
    expect(arrived(launcher, many)).toEqual([many, flags]);
  });
});

it('the experiment would show it: Node itself does act on them', () => {
  const direct = (option: string) => {
    spawnSync(process.execPath, ['--', join(checkout, 'src/cli/main.ts'), option], { cwd: base, env: quiet() });
    const acted = existsSync(marker);
    rmSync(marker, { force: true });
    return acted;
  };
  expect(direct('--experimental-default-config-file')).toBe(true);
  expect(direct(`--experimental-config-file=${join(base, 'node.config.json')}`)).toBe(true);
});

it.each(['>&-', '>/dev/full', '>&- <&-', '>&- 2>&-'])('output that cannot be written (%s) is no success', (where) => {
  const { status, stderr } = spawnSync('sh', ['-c', `"$0" --help ${where}`, join(ROOT, 'bin/pk')], {
    encoding: 'utf8',
    env: quiet(),
  });
  expect(status).toBe(125);
  if (!where.includes('2>')) expect(stderr).toMatch(/^pk: writing standard output failed: /);
});

it('an entry that is started without a launcher says how', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(ROOT, 'src/cli/main.ts'), 'ps'], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining('Use bin/pk') });
});

it('what npm starts reads its arguments, and says how it is used', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const started = Object.entries(scripts).flatMap(([name, text]) => {
    const file = /node\.sh (\S+)/.exec(text)?.[1];
    return file === undefined || name === 'start' ? [] : [{ name, file }];
  });
  expect(started.length).toBeGreaterThan(4);
  for (const { name, file } of started) {
    const { status, stdout, stderr } = spawnSync('sh', ['scripts/node.sh', file, '--help'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({
      status: 0,
      stdout: expect.stringMatching(`^usage: npm run ${name}`),
      stderr: '',
    });
  }
});

it('every start of a program of ours goes through a launcher', () => {
  const sources = globSync('{src,scripts,bench}/**/*.ts', { cwd: ROOT }).filter((path) => !path.endsWith('.test.ts'));
  const bare = sources.filter((path) =>
    // A script in the argument vector itself comes before all others.
    /process\.execPath(?!, \.\.\.NODE_FLAGS, \.\.\.flags, '--|, '-)/.test(readFileSync(join(ROOT, path), 'utf8')),
  );
  expect(bare).toEqual([]);
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  expect(Object.values(scripts).filter((script) => /\bnode [\w/]+\.ts/.test(String(script)))).toEqual([]);
});
