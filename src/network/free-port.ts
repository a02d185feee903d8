/** Ports of this machine that nobody listens on, as its kernel chooses them. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6 } from 'node:net';
import type { PublishedPort } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { meets } from './published-port.ts';

/** The kernel chooses at random: this many times one that is promised already does not happen. */
const TRIES = 100;

/**
 * The ports with a free number in place of 0, none of which meets another or one of `taken`. Rejects with `unavailable` where the
 * address is not this machine's.
 */
export async function withFreePorts(
  ports: readonly PublishedPort[],
  taken: readonly PublishedPort[],
): Promise<PublishedPort[]> {
  const chosen = ports.filter(({ hostPort }) => hostPort !== 0);
  const others = [...taken, ...chosen];
  const all: PublishedPort[] = [];
  for (const port of ports) {
    const whole = port.hostPort === 0 ? await freePort(port, others) : port;
    all.push(whole);
    others.push(whole);
  }
  return all;
}

/** Those that may be any as they were before, where the same port of the guest was published then. */
export function asBefore(ports: readonly PublishedPort[], before: readonly PublishedPort[]): PublishedPort[] {
  const left = before.filter((each) => each.hostPort !== 0 && !ports.some((port) => meets(port, each)));
  return ports.map((port) => {
    if (port.hostPort !== 0) return port;
    const { hostAddress, guestPort, protocol } = port;
    const at = left.findIndex(
      (each) => each.hostAddress === hostAddress && each.guestPort === guestPort && each.protocol === protocol,
    );
    return at < 0 ? port : left.splice(at, 1)[0]!;
  });
}

async function freePort(port: PublishedPort, others: readonly PublishedPort[]): Promise<PublishedPort> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const whole = { ...port, hostPort: await ask(port) };
    if (!others.some((other) => meets(whole, other))) return whole;
  }
  throw new PolykernelError('unavailable', `no port of ${port.hostAddress} is free`, { field: 'publish' });
}

async function ask({ hostAddress, protocol }: PublishedPort): Promise<number> {
  const ipv6Only = isIPv6(hostAddress);
  const socket =
    protocol === 'udp'
      ? createSocket({ type: ipv6Only ? 'udp6' : 'udp4', ipv6Only }).bind(0, hostAddress)
      : createServer().listen({ port: 0, host: hostAddress, ipv6Only });
  try {
    await once(socket, 'listening');
    return (socket.address() as { port: number }).port;
  } catch (error) {
    const message = `no port of ${hostAddress} can be chosen: ${(error as Error).message}`;
    throw new PolykernelError('unavailable', message, {
      field: 'publish',
      value: hostAddress,
      hint: 'Give an address of this machine, as `ip addr` shows them.',
    });
  } finally {
    if (socket.listenerCount('error') === 0) socket.on('error', () => {});
    try {
      socket.close();
    } catch {
      // It never was open.
    }
  }
}
