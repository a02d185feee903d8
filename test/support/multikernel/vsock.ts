/** What stands for vsock between an instance and its parent: a socket of this machine, and the instance's second serial line. */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Switches } from './switches.ts';

const ENOUGH_BYTES = 64 * 1024;

/** Bytes that passed there, in both directions. */
export const passed = { bytes: 0 };

/** Serves connections to `path` until the line ends: one at a time, by anybody. */
export function serveVsock(path: string, line: Duplex, how: Switches['vsock']): void {
  let peer: Socket | undefined;
  const first = passed.bytes;
  const isOver = () => passed.bytes - first > ENOUGH_BYTES && (how === 'breaks' || how === 'silent');
  const pass = (data: Buffer, to: Duplex | undefined) => {
    if (isOver()) {
      if (how === 'breaks') peer?.destroy();
      return;
    }
    passed.bytes += data.length;
    to?.write(data);
  };
  line.on('data', (data: Buffer) => pass(data, peer)).on('error', () => {});
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const server = createServer((socket) => {
    peer = socket;
    socket.on('data', (data: Buffer) => pass(data, line)).on('error', () => {});
  });
  // Nobody in particular connects: by then pk-mktty has no rights.
  server.listen(path, () => chmodSync(path, 0o666));
  line.on('close', () => {
    peer?.destroy();
    server.close();
    rmSync(path, { force: true });
  });
}
