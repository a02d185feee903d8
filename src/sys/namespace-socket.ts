/**
 * Whether a TCP port takes connections, asked from within another network namespace: a socket stays in the one that it was made in.
 *
 * INVARIANT: setns(2) takes the calling thread alone, and that is back before anything else runs on it.
 */
import { closeSync, openSync } from 'node:fs';
import { libc } from './libc.ts';

const AF_INET = 2;
/** SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK */
const SOCKET_TYPE = 0o2004001;
const CLONE_NEWNET = 0x40000000;
const SOL_SOCKET = 1;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_QUICKACK = 12;
/** EAGAIN, EALREADY, EINPROGRESS of connect(2), of a socket that connects yet. */
const WAITS: ReadonlySet<number> = new Set([11, 114, 115]);
const EISCONN = 106;

export interface Knock {
  /** Looks without waiting; after `taken` and `refused` it says the same for ever. */
  look(): 'waits' | 'taken' | 'refused';
  close(): void;
}

interface Calls {
  socket(domain: number, type: number, protocol: number): number;
  connect(fd: number, address: Buffer, bytes: number): number;
  setsockopt(fd: number, level: number, name: number, value: Buffer, bytes: number): number;
  setns(fd: number, type: number): number;
  errno(): number;
}

let calls: Calls | undefined;

/**
 * Begins to connect to an IPv4 address. `namespace`: the file of a network namespace, which only root may enter; null: this one.
 * Nothing is ever sent, and what listens is not woken up for it, as far as that can be helped: the connection is reset rather than
 * acknowledged. Undefined where it cannot be asked.
 */
export function knock(namespace: string | null, address: string, port: number): Knock | undefined {
  const c = load();
  const fd = c && within(c, namespace, () => c.socket(AF_INET, SOCKET_TYPE, 0));
  if (c === undefined || fd === undefined || fd < 0) return undefined;
  const reset = Buffer.alloc(8);
  reset.writeInt32LE(1, 0);
  c.setsockopt(fd, SOL_SOCKET, SO_LINGER, reset, reset.length);
  c.setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, Buffer.alloc(4), 4);
  const to = socketAddress(address, port);
  let result: ReturnType<Knock['look']> = 'waits';
  const look = () => {
    if (result !== 'waits') return result;
    const code = c.connect(fd, to, to.length) === 0 ? EISCONN : c.errno();
    if (code === EISCONN) result = 'taken';
    else if (!WAITS.has(code)) result = 'refused';
    return result;
  };
  look();
  return { look, close: () => closeSync(fd) };
}

function load(): Calls | undefined {
  if (calls !== undefined) return calls;
  try {
    const c = libc();
    calls = {
      socket: c.func('int socket(int domain, int type, int protocol)'),
      connect: c.func('int connect(int fd, const uint8_t *address, unsigned int bytes)'),
      setsockopt: c.func('int setsockopt(int fd, int level, int name, const uint8_t *value, unsigned int bytes)'),
      setns: c.func('int setns(int fd, int type)'),
      errno: () => c.errno(),
    };
    return calls;
  } catch {
    return undefined;
  }
}

/** What `make` returns, called in that namespace; undefined where that cannot be entered. */
function within(c: Calls, namespace: string | null, make: () => number): number | undefined {
  if (namespace === null) return make();
  const fds: number[] = [];
  const open = (path: string) => fds[fds.push(openSync(path, 'r')) - 1]!;
  try {
    const [own, other] = [open('/proc/thread-self/ns/net'), open(namespace)];
    if (c.setns(other, CLONE_NEWNET) !== 0) return undefined;
    try {
      return make();
    } finally {
      // Nothing of the daemon is to go on in there.
      if (c.setns(own, CLONE_NEWNET) !== 0) process.abort();
    }
  } catch {
    return undefined;
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

/** struct sockaddr_in. */
function socketAddress(address: string, port: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(address.split('.').map(Number), 4);
  return bytes;
}
