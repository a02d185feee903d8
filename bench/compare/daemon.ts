/** The daemon of a commit with many kernels that do nothing: how long `pk ps` takes, and what it holds. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from '../row.ts';
import type { Checkout } from './checkout.ts';

const KERNELS = 20;
const LISTS = 9;
/** After the last start; what the starts needed has been given back by then. */
const SETTLE_MS = 20_000;
const SAMPLES = 20;
const SAMPLE_MS = 1_000;

/** One run; removes its kernels. */
export async function daemonAtRest(checkout: Checkout): Promise<Record<string, number>> {
  const names = Array.from({ length: KERNELS }, (_, index) => `rest-${index}`);
  const pk = `${checkout.tree}/bin/pk`;
  try {
    for (const name of names) {
      const options = ['--driver', 'uml', '--memory', '64MiB', '--name', name, '--workdir', '/'];
      await checkout.run(pk, 'run', '-d', ...options, '--', 'sleep', '100000');
    }
    const { pid } = JSON.parse(await checkout.run(pk, 'daemon', 'status', '--json')) as { pid: number };
    const last = await resident(pid);
    await sleep(SETTLE_MS);
    const held: number[] = [];
    for (let sample = 0; sample < SAMPLES; sample++) {
      await sleep(SAMPLE_MS);
      held.push(await resident(pid));
    }
    const lists: number[] = [];
    for (let list = 0; list < LISTS; list++) lists.push(await checkout.time('ps'));
    return {
      [`pk ps with ${KERNELS} kernels, ms`]: median(lists),
      'daemon after the last start, MiB': last,
      [`daemon at rest with ${KERNELS} kernels, MiB`]: median(held),
      'the same at most, MiB': Math.max(...held),
    };
  } finally {
    await checkout.run(pk, 'rm', '-f', ...names).catch(() => {});
    await checkout.run(pk, 'daemon', 'stop').catch(() => {});
  }
}

/** MiB that a process has in memory. */
async function resident(pid: number): Promise<number> {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'latin1'))!;
  return Number(kib) / 1024;
}
