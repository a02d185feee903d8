/** Datagrams to a Unix socket, which Node has none of: the only door to socket(2) and sendto(2). */
import { closeSync } from 'node:fs';
import { type Libc, libc } from './libc.ts';

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
/** MSG_DONTWAIT | MSG_NOSIGNAL */
const SEND_FLAGS = 0x4040;
/** Of sun_path of unix(7). */
const PATH_BYTES = 108;

export interface Datagrams {
  /** Whether it was taken; nobody may listen any more, or be slow. */
  send(text: string): boolean;
  close(): void;
}

/** To the socket at `path`, with a leading `@` one of the abstract kind. Undefined where there can be none. */
export function datagramsTo(path: string): Datagrams | undefined {
  const address = socketAddress(path);
  if (address === undefined) return undefined;
  let c: Libc;
  try {
    c = libc();
  } catch {
    return undefined;
  }
  const socket = c.func('int socket(int domain, int type, int protocol)');
  const sendTo = c.func(
    'long sendto(int fd, const uint8_t *data, size_t bytes, int flags, const uint8_t *to, unsigned int size)',
  );
  let fd = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0) as number;
  if (fd < 0) return undefined;
  return {
    send(text) {
      const bytes = Buffer.from(text);
      return (
        fd >= 0 && (sendTo(fd, bytes, bytes.length, SEND_FLAGS, address, address.length) as number) === bytes.length
      );
    },
    close() {
      if (fd >= 0) closeSync(fd);
      fd = -1;
    },
  };
}

/** struct sockaddr_un. */
function socketAddress(path: string): Buffer | undefined {
  const name = path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`;
  const bytes = Buffer.from(name);
  if (bytes.length < 2 || bytes.length > PATH_BYTES) return undefined;
  const family = Buffer.alloc(2);
  new DataView(family.buffer, family.byteOffset).setUint16(0, AF_UNIX, true);
  return Buffer.concat([family, bytes]);
}
