/** What the stack of examples/spike is told of this machine. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { allowedCpus } from '../../src/sys/process.ts';

export const SPIKE = join(import.meta.dirname, '../../examples/spike');
export const SERVICES = ['shop', 'search'] as const;
export const KERNELS = ['shop', 'annex', 'search', 'batch'] as const;
/** In which programs load what they need, before anything is judged. */
export const WARM_SECONDS = 10;
/** Each promises that 99 of 100 requests take no longer. */
export const PROMISE_MS = 400;
const REQUEST_MS = 6;

/** Free ports for its services, the CPU that all of its kernels share, and the variables that its file names. */
export async function spikeStack() {
  const ports = { shop: await freePort(), search: await freePort() } as const;
  const cpu = allowedCpus().at(-1)!;
  const env = {
    // For the workloads, which are no programs of ours.
    NODE: process.argv[0]!,
    WORK: rounds(),
    CPU: String(cpu),
    SHOP: String(ports.shop),
    SEARCH: String(ports.search),
  };
  return { ports, cpu, env };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Millions of rounds of the server's arithmetic that take so long here. */
function rounds(): string {
  const before = process.cpuUsage();
  let value = 1;
  for (let round = 0; round < 5e6; round++) value = (value * 1_103_515_245 + 12_345) % 2_147_483_648;
  const { user } = process.cpuUsage(before);
  return (((REQUEST_MS * 1000) / (user + (value > 0 ? 0 : 1))) * 5).toFixed(3);
}
