/** The FIFO through which processes of the host ring for peers in other kernels and tell of changes: a number a line. */
import { closeSync, constants, lstatSync, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { runCommand } from '../sys/command.ts';

const MAX_DIGITS = 10;

/** Opens the FIFO at `path`, made if absent (mode 0600), and calls `onBell` for each number. Returns what closes it. */
export async function openBellFifo(path: string, onBell: (number: number) => void): Promise<() => void> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isFIFO()) {
    rmSync(path, { force: true });
    // Node has no mkfifo(3).
    await runCommand(['mkfifo', '-m', '600', path]);
  }
  // Open for writing as well, or its end would come with the end of each writer.
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  let socket: Socket;
  try {
    socket = new Socket({ fd, readable: true, writable: false });
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  let rest = '';
  socket.setEncoding('latin1').on('error', () => {});
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!.slice(-MAX_DIGITS);
    for (const line of new Set(lines)) if (/^\d{1,10}$/.test(line)) onBell(Number(line));
  });
  socket.unref();
  return () => socket.destroy();
}
