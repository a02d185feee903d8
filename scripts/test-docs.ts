/** `npm run test:docs`: runs the examples of README.md and docs, as scripts/docs/examples.ts says, and compares what they print. */
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeCommand } from '../src/sys/node.ts';
import { type Example, examplesOf } from './docs/examples.ts';
import { play } from './docs/play.ts';
import { argumentsOrHelp } from './usage.ts';

const USAGE = 'usage: npm run test:docs [-- FILE[:LINE]...]';
const ROOT = join(import.meta.dirname, '..');
const APART = 'POLYKERNEL_DOCS_APART';

const asked = argumentsOrHelp(USAGE);
if (process.getuid?.() === 0 && process.env[APART] === undefined) process.exit(apart());

const files = ['README.md', ...globSync('docs/*.md', { cwd: ROOT }).sort()];
const all = files.flatMap((file) => examplesOf(file, readFileSync(join(ROOT, file), 'utf8')));
const chosen = all.filter((example) => asked.length === 0 || asked.some((name) => isNamed(example, name)));
if (chosen.length === 0) {
  console.error(`test:docs: there is no example in ${asked.join(', ')}\n${USAGE}`);
  process.exit(2);
}
const faults: string[] = [];
for (const example of chosen) {
  if (example.skipped !== null) console.log(`${example.file}:${example.line}: (${example.skipped})`);
  else
    faults.push(...(await play(example, console.log).catch((error: Error) => [`${example.file}: ${error.message}`])));
}
for (const fault of faults) console.error(`\n✗ ${fault}`);
const run = chosen.filter(({ skipped }) => skipped === null).length;
console.log(`\n${run - faults.length} passed, ${faults.length} failed, ${chosen.length - run} skipped`);
process.exitCode = faults.length === 0 ? 0 : 1;

function isNamed({ file, line }: Example, name: string): boolean {
  return name === file || name === `${file}:${line}`;
}

/** Ports that examples publish are another's here: root has a network for them. */
function apart(): number {
  const again = nodeCommand(import.meta.filename, asked);
  const script = 'ip link set lo up && exec "$@"';
  const argv = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', script, 'sh', ...again];
  return spawnSync('unshare', argv, { stdio: 'inherit', env: { ...process.env, [APART]: '1' } }).status ?? 1;
}
