/** The memory of a QEMU guest, which QEMU writes as kdump with packed pages into a connection that this process reads. */
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { PolykernelError } from '../../sys/errors.ts';
import { plainLine } from '../../sys/text.ts';
import { connectShim } from '../shim/shim.ts';
import { isRecord, type Qmp } from './qmp.ts';

const DESCRIPTOR = 'memory-dump';
const ANSWER_DEADLINE_MS = 6_000;
const END_DEADLINE_MS = 10_000;
const POLL_MS = 20;

type WithMonitor = <T>(use: (monitor: Qmp) => Promise<T>) => Promise<T>;

/** Has QEMU begin. Its end of the connection is the only thing that it can write to: there is no file that could grow. */
export async function dumpQemu(
  directory: string,
  mostBytes: number,
  withMonitor: WithMonitor,
  signal: AbortSignal,
): Promise<AsyncGenerator<Buffer>> {
  signal.throwIfAborted();
  const socket = await withMonitor(async (monitor) => {
    const connection = await passConnection(directory);
    try {
      await monitor.execute('getfd', { fdname: DESCRIPTOR });
      const wanted = { paging: false, protocol: `fd:${DESCRIPTOR}`, format: 'kdump-zlib', detach: true };
      await monitor.execute('dump-guest-memory', wanted);
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  });
  return received(socket, mostBytes, withMonitor, signal);
}

async function* received(
  socket: Socket,
  mostBytes: number,
  withMonitor: WithMonitor,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const leave = () => void socket.destroy(signal.reason as Error);
  signal.addEventListener('abort', leave, { once: true });
  if (signal.aborted) leave();
  let bytes = 0;
  try {
    for await (const piece of socket as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > mostBytes)
        throw new PolykernelError('internal', `QEMU writes more than the ${mostBytes} bytes that its guest can have`);
      yield piece;
    }
    const end = await untilEnded(withMonitor);
    if (end !== 'completed') throw new PolykernelError('internal', `QEMU did not write the guest's memory: ${end}`);
  } finally {
    signal.removeEventListener('abort', leave);
    socket.destroy();
    // Before that it lets the guest not go on.
    await untilEnded(withMonitor).catch(() => {});
  }
}

async function untilEnded(withMonitor: WithMonitor): Promise<string> {
  for (const deadline = performance.now() + END_DEADLINE_MS; ; ) {
    const state = await withMonitor((monitor) => monitor.execute('query-dump'));
    const status = isRecord(state) && typeof state.status === 'string' ? state.status : 'no answer';
    if (status !== 'active' || performance.now() > deadline) return plainLine(status, 100);
    await pause(POLL_MS);
  }
}

/** A connection whose other end QEMU's monitor has been given. Rejects with `unsupported` where its shim is of an older version. */
async function passConnection(directory: string): Promise<Socket> {
  const socket = await connectShim(directory, 'pass-connection');
  const answer = await new Promise<string>((resolve) => {
    let text = Buffer.alloc(0);
    const finish = () => {
      clearTimeout(timer);
      socket.off('readable', look).off('close', finish);
      resolve(text.toString('latin1').trim());
    };
    const look = () => {
      // Byte by byte: behind the line comes what QEMU writes.
      for (let byte = socket.read(1) as Buffer | null; byte !== null; byte = socket.read(1) as Buffer | null) {
        text = Buffer.concat([text, byte]);
        if (byte[0] === 0x0a || text.length > 1000) return finish();
      }
    };
    const timer = setTimeout(finish, ANSWER_DEADLINE_MS);
    socket.on('readable', look).on('close', finish);
    look();
  });
  if (answer === 'ok') return socket;
  socket.destroy();
  if (answer === 'error unknown request')
    throw new PolykernelError('unsupported', 'the shim of this kernel cannot pass a connection', {
      hint: 'It was started by an older version. Restart the instance.',
    });
  const reason = plainLine(answer.replace(/^error /, ''), 200) || 'no answer';
  throw new PolykernelError('internal', `QEMU could not be given a connection: ${reason}`);
}
