/**
 * In a network namespace where fd00::/16 is this machine: pk-forward (argument 1; 2: its file) with more clients of one /64 than it has
 * places, each with an address of its own, and then one of another. Prints `{"late": its answer came, "dropped": of the many}`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const [program, file] = process.argv.slice(2) as [string, string];
const PLACES = 1024;

const server = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1');
await once(server, 'listening');
const target = String((server.address() as AddressInfo).port);
const argv = [file, 'fd00::1', '8080', '/proc/self/ns/net', '127.0.0.1', target, 'tcp'];
const forward = spawn(program, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
await Promise.race([once(forward.stdout, 'data'), once(forward, 'close').then(() => process.exit(1))]);

/** Once it was answered. */
async function client(localAddress: string): Promise<Socket> {
  const socket = connect({ port: 8080, host: 'fd00::1', localAddress });
  socket.on('error', () => {});
  socket.write('hello');
  await Promise.race([once(socket, 'data'), once(socket, 'close')]);
  return socket;
}

const many = await Promise.all(
  Array.from({ length: PLACES }, (_, at) => client(`fd00:0:0:1::${(at + 1).toString(16)}`)),
);
const late = await client('fd00:0:0:2::1');
const dropped = () => many.filter(({ closed }) => closed).length;
for (const end = performance.now() + 60_000; dropped() === 0 && performance.now() < end; ) await delay(20);
console.log(JSON.stringify({ late: late.bytesRead > 0, dropped: dropped() }));
forward.kill('SIGKILL');
process.exit(0);
