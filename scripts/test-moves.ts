/**
 * `npm run test:moves -- [--kills N] [--seed S]`: CPUs and memory change hands between UML kernels on a host of six CPUs, while the daemon,
 * a VMM or a guest is killed at a random moment; after each kill ledger, pins, control groups and guests must agree
 * (scripts/moves/host.ts). The host is a kernel of QEMU that the product runs, in which it runs again. No part of `npm test`: a
 * processor that is emulated takes a minute for a kill. As root, where the outer kernel needs no pool.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cacheDirectory } from '../src/sys/paths.ts';
import { argumentsOrHelp } from './usage.ts';

const USAGE = 'usage: npm run test:moves -- [--kills N] [--seed S]';
const CHECKOUT = join(import.meta.dirname, '..');
const PK = join(CHECKOUT, 'bin/pk');

const { values } = parseArgs({
  args: argumentsOrHelp(USAGE),
  options: {
    kills: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
for (const name of ['kills', 'seed'] as const) {
  if (/^\d{1,9}$/.test(values[name])) continue;
  console.error(`--${name}: ${JSON.stringify(values[name])} is no whole number\n${USAGE}`);
  process.exit(2);
}

/** Six emulated CPUs take their time on a busy machine. */
const READY = '5m';
/** Of the cache, what UML kernels take. */
const PARTS = ['native', 'compile', 'images/names/debian:uml.json', 'images/blobs', 'images/initramfs'];

const home = mkdtempSync(join(tmpdir(), 'pk-moves-'));
const shown = mkdtempSync(join(tmpdir(), 'pk-moves-cache-'));
const env = { ...process.env, POLYKERNEL_HOME: home };
/** Its exit status; a signal is a failure. */
const pk = async (...words: string[]): Promise<number> => {
  const child = spawn(PK, words, { env, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => {});
try {
  // No kernel sees the cache of the daemon that runs it. As one file: each of many takes an emulated processor a while.
  execFileSync('tar', ['-cf', join(shown, 'cache.tar'), '-C', cacheDirectory(), ...PARTS]);
  const unpacked =
    'mkdir -m 700 /run/cache && tar -xf /run/shown/cache.tar -C /run/cache && exec sh scripts/node.sh scripts/moves/host.ts "$1" "$2"';
  process.exitCode = await pk(
    ...['run', '--driver', 'qemu', '--cpus', '6', '--memory', '1536M', '--ready-timeout', READY],
    ...['--workdir', CHECKOUT, '-v', `${shown}:/run/shown:ro`],
    ...['--env', 'POLYKERNEL_CACHE=/run/cache', '--env', 'NODE_COMPILE_CACHE=/run/cache/compile'],
    ...['--', 'sh', '-c', unpacked, 'sh', values.kills, values.seed],
  );
} finally {
  await pk('daemon', 'stop');
  for (const directory of [home, shown]) rmSync(directory, { recursive: true, force: true });
}
