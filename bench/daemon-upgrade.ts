/** What an upgrade of the daemon costs those who use it, with kernels that run meanwhile. */
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../src/sys/command.ts';
import { copyCheckout } from '../test/support/checkout.ts';
import { until } from '../test/support/pk.ts';
import { withDaemon } from './daemon.ts';
import { atMost, type Row } from './row.ts';

const KERNELS = 20;
const AWAY_MS = 1000;

export async function daemonUpgrade(progress: (text: string) => void): Promise<Row[]> {
  const directory = mkdtempSync(join(tmpdir(), 'pk-next-'));
  try {
    const next = await copyCheckout(join(directory, 'next'));
    return await withDaemon({}, async (home, client) => {
      for (let number = 1; number <= KERNELS; number += 1) {
        progress(`starting kernel ${number} of ${KERNELS}`);
        const name = `k${number}`;
        await client.create({ name, driver: 'uml', memoryBytes: 64 * 2 ** 20, command: ['sleep', '100000'] });
        await until(`${name} runs`, async () => (await client.inspect(name)).state === 'running');
      }
      const kernels = async () => (await client.list()).map(({ bootId, state }) => `${bootId} ${state}`).sort();
      const before = await kernels();
      const pk = (...args: string[]) =>
        runCommand([join(next, 'bin/pk'), 'daemon', ...args, '--home', home], { env: process.env });
      progress('upgrading');
      const upgraded = await longestGap(join(home, 'daemon.sock'), () => pk('upgrade'));
      progress('stopping and starting');
      const restarted = await longestGap(join(home, 'daemon.sock'), async () => {
        await pk('stop');
        await pk('start');
      });
      const after = await kernels();
      const lost = before.filter((kernel) => !after.includes(kernel)).length;
      return [
        atMost(AWAY_MS, {
          name: `upgrade of the daemon under ${KERNELS} kernels: longest time without an answer of the API`,
          value: upgraded,
          unit: 'ms',
          peer: '`pk daemon stop`, `pk daemon start`',
          peerValue: restarted,
          of: 'value',
          note: `asked again as soon as it answered or refused; ${lost} kernels lost`,
        }),
      ];
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** In ms, between two answers while `work` goes on. */
async function longestGap(socket: string, work: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let isOver = false;
  const asking = (async () => {
    for (let last = performance.now(); ; ) {
      const answered = await asks(socket);
      const now = performance.now();
      if (answered) {
        longest = Math.max(longest, now - last);
        last = now;
        if (isOver) return;
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  })();
  try {
    await work();
  } finally {
    isOver = true;
    await asking;
  }
  return longest;
}

function asks(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: '/v1/version', agent: false }, (response) => {
      response.resume();
      response.on('close', () => resolve(response.complete));
    });
    asked.on('error', () => resolve(false));
    asked.end();
  });
}
