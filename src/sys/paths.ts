/** Where Polykernel keeps its things. Nothing here creates a directory; who needs one makes it, mode 0700. */
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { PolykernelError } from './errors.ts';

// Not by `import`: see src/sys/node.ts.
const { existsSync } = process.getBuiltinModule('node:fs');

/** sun_path of unix(7) holds 108 bytes with its final NUL. */
const SOCKET_PATH_BYTES = 107;

type Environment = Readonly<Record<string, string | undefined>>;

const callerUid = (): number => process.getuid?.() ?? -1;

/** The user's. Throws `invalid` for one who has none: neither $HOME nor an entry in passwd says it. */
function homeOf(env: Environment): string {
  if (env.HOME) return env.HOME;
  try {
    return homedir();
  } catch {
    throw new PolykernelError(
      'invalid',
      `the user ${callerUid()} has no home directory: there is neither HOME nor an entry in passwd`,
      {
        field: 'HOME',
        hint: 'Set HOME, or POLYKERNEL_HOME and POLYKERNEL_CACHE to directories of your own.',
      },
    );
  }
}

/** The state directory: $POLYKERNEL_HOME, else /var/lib/polykernel for root, else under $XDG_STATE_HOME. Absolute. */
export function home(env: Environment = process.env, uid: number = callerUid()): string {
  return env.POLYKERNEL_HOME ? resolve(env.POLYKERNEL_HOME) : defaultHome(env, uid);
}

/** The state directory where the environment names none. */
export function defaultHome(env: Environment = process.env, uid: number = callerUid()): string {
  if (uid === 0) return '/var/lib/polykernel';
  return join(resolve(env.XDG_STATE_HOME || join(homeOf(env), '.local/state')), 'polykernel');
}

/** What can be made again (kernel images, compiled programs, templates): $POLYKERNEL_CACHE, else under $XDG_CACHE_HOME. */
export function cacheDirectory(env: Environment = process.env): string {
  if (env.POLYKERNEL_CACHE) return resolve(env.POLYKERNEL_CACHE);
  return join(resolve(env.XDG_CACHE_HOME || join(homeOf(env), '.cache')), 'polykernel');
}

/** The files of one state directory. */
export interface Layout {
  home: string;
  /** The daemon's HTTP socket. */
  socket: string;
  /** SQLite database. */
  database: string;
  /** Another one, of measurements: losing it is harmless. */
  telemetry: string;
  /** Held by the one daemon of this state directory. */
  lock: string;
  daemonLog: string;
  instances: string;
  /** Directory of one instance. */
  instance(name: string): string;
  /** Descriptors of channels for the host's processes. */
  channels: string;
  /** HAProxy's files. */
  haproxy: string;
  /** What is constant in configuration spaces of PCI functions. */
  pciCache: string;
}

export function layout(root: string = home()): Layout {
  return {
    home: root,
    socket: join(root, 'daemon.sock'),
    database: join(root, 'state.db'),
    telemetry: join(root, 'telemetry.db'),
    lock: join(root, 'daemon.lock'),
    daemonLog: join(root, 'daemon.log'),
    instances: join(root, 'instances'),
    instance: (name) => join(root, 'instances', name),
    channels: join(root, 'channels'),
    haproxy: join(root, 'haproxy'),
    pciCache: join(root, 'pci-cache'),
  };
}

/** There from when somebody stops the daemon of this socket until another one serves: none is to be expected by itself. */
export const stoppedMark = (socket: string): string => join(dirname(socket), 'daemon.stopped');

/** There while somebody starts the daemon of this socket, or has it upgraded. */
export const startingMark = (socket: string): string => join(dirname(socket), 'daemon.starting');

/** A short directory that is the user's own, to propose. */
export function ownShortDirectory(uid: number = callerUid()): string {
  return uid === 0 ? '/run/pk' : `/run/user/${uid}/pk`;
}

/** Throws `invalid` when a socket cannot have this path because it is too long for the kernel. Returns the path. */
export function checkSocketPath(path: string): string {
  const length = Buffer.byteLength(path);
  if (length <= SOCKET_PATH_BYTES) return path;
  throw new PolykernelError(
    'invalid',
    `the socket path ${path} has ${length} bytes, and a Unix socket's path at most ${SOCKET_PATH_BYTES}`,
    {
      field: 'POLYKERNEL_HOME',
      value: path,
      hint: `Set POLYKERNEL_HOME to a shorter directory, such as ${ownShortDirectory()}.`,
    },
  );
}

/** Names of the C programs in native/. */
export type NativeProgram =
  | 'pk-init'
  | 'pk-shim'
  | 'pk-cell'
  | 'pk-jail'
  | 'pk-ram.so'
  | 'pk-xstate.so'
  | 'pk-ring'
  | 'pk-ring-bench'
  | 'pk-share'
  | 'pk-modprobe'
  | 'pk-forward'
  | 'pk-enter'
  | 'pk-netns'
  | 'pk-trial'
  | 'pk-tsc'
  | 'pk-mktty'
  | 'pk-kexec'
  | 'pk-holes'
  | 'pk-sysfs'
  | 'pk-vfio-nvme';

/** Where set-up puts a compiled program; it need not exist. */
export function nativePath(name: NativeProgram, cache: string = cacheDirectory()): string {
  return join(cache, 'native', name);
}

/** Path of a compiled program. Throws `unavailable` when set-up has not built it. */
export function nativeBinary(name: NativeProgram, cache: string = cacheDirectory()): string {
  const path = nativePath(name, cache);
  if (existsSync(path)) return path;
  throw new PolykernelError('unavailable', `${name} is not built (looked for ${path})`, {
    hint: 'Run `npm run setup` in the Polykernel checkout.',
  });
}
