/** Whether a TCP port of this machine is free, and who has it. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { PolykernelError } from '../sys/errors.ts';

const LISTENING = '0A';

/** Rejects with `conflict` when the port is taken, naming the process where it is known, and with `invalid` for no address of this machine. */
export async function checkPortFree(bind: string, port: number): Promise<void> {
  const failure = await bindFailure(bind, port);
  if (failure === undefined) return;
  if (failure === 'EADDRNOTAVAIL') {
    throw new PolykernelError('invalid', `bind: ${bind} is no address of this machine`, {
      field: 'bind',
      value: bind,
      hint: 'See `ip address` for those there are; 127.0.0.1 is this machine alone, 0.0.0.0 is all of them.',
    });
  }
  if (failure === 'EACCES') {
    throw new PolykernelError('permission', `port ${port} is for root alone`, {
      field: 'port',
      value: port,
      hint: 'Choose a port above 1023.',
    });
  }
  const holder = portHolder(port);
  throw new PolykernelError(
    'conflict',
    `port ${port} of ${bind} is in use${holder === undefined ? '' : ` by ${holder}`}`,
    {
      field: 'port',
      value: port,
      hint: 'Choose another port, or end what uses it.',
    },
  );
}

/** The errno of an attempt to listen there; undefined when it went well. */
export function bindFailure(bind: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host: bind, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

/** `nginx (pid 123)`; undefined when it is another user's or in a container. */
function portHolder(port: number): string | undefined {
  const links = new Set(['tcp', 'tcp6'].flatMap((table) => inodes(table, port)).map((inode) => `socket:[${inode}]`));
  const pid = readdirSync('/proc').find((entry) => /^\d+$/.test(entry) && holds(entry, links));
  return pid === undefined ? undefined : `${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()} (pid ${pid})`;
}

/** Of listening sockets. */
function inodes(table: string, port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = readFileSync(`/proc/net/${table}`, 'latin1').split('\n').slice(1);
  return lines.flatMap((line) => {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
    return local?.endsWith(wanted) && state === LISTENING && inode !== undefined ? inode : [];
  });
}

/** Not looked for in pid namespaces: all processes of one VMM may have millions of descriptors. */
function holds(pid: string, links: ReadonlySet<string>): boolean {
  try {
    if (/^NSpid:\t\d+\t/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))) return false;
    return readdirSync(`/proc/${pid}/fd`).some((fd) => links.has(readlinkSync(`/proc/${pid}/fd/${fd}`)));
  } catch {
    return false;
  }
}
