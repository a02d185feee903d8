/** Finds the daemon of a state directory, or starts it. Two clients that race start one daemon. */
import { PolykernelError } from '../sys/errors.ts';
import { checkSocketPath, home as defaultHome, layout } from '../sys/paths.ts';
import { checkSocket, STATE } from '../sys/places.ts';
import { Client } from './client.ts';

// Not by `import`: see src/sys/node.ts.
const { connect: connectSocket } = process.getBuiltinModule('node:net');

export interface ConnectOptions {
  /** State directory; default: that of the environment. */
  home?: string;
  /** Start a daemon when none answers. Default true. */
  start?: boolean;
  signal?: AbortSignal;
  /** How long a daemon may take to answer. Default 20 s. */
  deadlineMs?: number;
}

/**
 * A client whose daemon answers. Rejects with `unavailable` (none runs, or none came up in time), `permission`, or what
 * the daemon said when it could not start.
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const paths = layout(options.home ?? defaultHome());
  checkSocketPath(paths.socket);
  if (checkSocket(paths.socket, STATE) && (await answers(paths.socket))) return new Client(paths.socket);
  if (options.start === false) {
    throw new PolykernelError('unavailable', `no daemon runs for ${paths.home}`, {
      hint: 'Start one with `pk daemon`.',
    });
  }
  // Loaded on demand: most commands find a daemon.
  const { startDaemon } = await import('./start.ts');
  await startDaemon(paths, answers, options.deadlineMs ?? 20_000, options.signal);
  return new Client(paths.socket);
}

/**
 * Whether a daemon answers. Being connected is not enough: the socket of one that is being killed still takes connections.
 * Throws `permission` when this user may not know.
 */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ path: socketPath });
    socket.once('connect', () => socket.write('GET /v1/version HTTP/1.1\r\nHost: daemon\r\nConnection: close\r\n\r\n'));
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('close', () => resolve(false));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EACCES' && error.code !== 'EPERM') return resolve(false);
      reject(
        new PolykernelError('permission', `this user may not use the daemon on ${socketPath}`, {
          hint: 'Set POLYKERNEL_HOME to a directory of your own, or run as the user who owns the daemon.',
        }),
      );
    });
  });
}
