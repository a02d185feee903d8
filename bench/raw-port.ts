/**
 * A virtio-serial port set up by hand: QEMU with Polykernel's own command line and a second port, on which `dd` in the guest
 * reads and writes. What the agent does on the first is only to start that; no jail, no shim, no daemon.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { SHARE_TAG } from '../src/driver/qemu/command.ts';
import { GuestLink, type Pair } from '../src/guest/index.ts';
import type { KernelImage } from '../src/image/contract.ts';
import { toolPath } from '../src/sys/tools.ts';
import { rawQemuWords } from './raw.ts';

const PORT = '/dev/vport0p2';
const FILE = '/tmp/raw';
const BOOT_MS = 120_000;

export interface RawPort {
  /** ms for `data` to lie in the file /tmp/raw of the guest. */
  in(data: Uint8Array): Promise<number>;
  /** ms for the `bytes` of that file to be here. */
  out(bytes: number): Promise<number>;
  /** ms for that file to go through a pipe within the guest: the agent is at one end of such, `dd` is not. */
  pipe(): Promise<number>;
  close(): Promise<void>;
}

export async function rawPort(image: KernelImage, memoryBytes: number): Promise<RawPort> {
  const directory = mkdtempSync(join(tmpdir(), 'pk-raw-'));
  const servers: Server[] = [];
  const path = (name: string) => join(directory, name);
  const connection = async (name: string) => {
    const server = createServer().listen(path(name));
    servers.push(server);
    await once(server, 'listening');
    return { socket: once(server, 'connection') as Promise<[Socket]> };
  };
  const [control, port] = [await connection('control'), await connection('port')];
  const words = await rawQemuWords(image, toolPath('qemu-system-x86_64').path, {
    control: path('control'),
    share: '/,readonly=on',
    memoryBytes,
  });
  const child = spawn(
    words[0]!,
    [
      ...words.slice(1).map((word) => word.replace('max_ports=2', 'max_ports=3')),
      ...['-chardev', `socket,id=raw,path=${path('port')}`],
      ...['-device', 'virtserialport,chardev=raw,bus=ports.0,nr=2,name=raw'],
    ],
    { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const link = new GuestLink({ name: 'raw', isPort: true });
  const close = async () => {
    link.destroy();
    await end(child);
    for (const server of servers) server.close();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const signal = AbortSignal.timeout(BOOT_MS);
    const early = once(child, 'exit', { signal }).then(() => {
      throw new Error('QEMU ended');
    });
    early.catch(() => {});
    const [[first], [raw]] = await Promise.race([Promise.all([control.socket, port.socket]), early]);
    await Promise.race([link.attach(first, signal), early]);
    await link.configure(rootSteps(image), signal);
    return { ...ends(link, raw), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The host's files as the root, and memory at /tmp. */
function rootSteps(image: KernelImage): Pair[] {
  const share = ['9p', SHARE_TAG, '/host', 'ro', 'trans=virtio,version=9p2000.L,msize=512000,cache=loose'];
  return [
    ...(image.modules.share ?? []).map((module): Pair => ['module', module]),
    ['mount', share.join('\x1f')],
    ['switch-root', '/host'],
    ['mount', ['tmpfs', 'raw', '/tmp', '', ''].join('\x1f')],
  ];
}

function ends(link: GuestLink, raw: Socket): Omit<RawPort, 'close'> {
  /** Runs `script`, and ends its input once `done`. */
  const sh = async (script: string, done: Promise<void>) => {
    const request = { command: ['/bin/sh', '-c', script], env: { PATH: '/usr/bin:/bin' }, cwd: '/', user: '0' };
    const process = link.exec(request);
    process.stdout.resume();
    const said = text(process.stderr);
    void done.then(() => process.stdin.end());
    const { kind, value } = await process.exited;
    process.forget();
    if (kind !== 'exit' || value !== 0) throw new Error(`${script}: ${kind} ${value} ${await said}`);
  };
  return {
    in: async (data) => {
      const began = performance.now();
      const ended = sh(
        `dd if=${PORT} of=${FILE} bs=128k count=${data.length} iflag=count_bytes,fullblock`,
        Promise.resolve(),
      );
      raw.write(data);
      await ended;
      return performance.now() - began;
    },
    pipe: async () => {
      const began = performance.now();
      await sh(`cat ${FILE} | cat > /tmp/piped`, Promise.resolve());
      return performance.now() - began;
    },
    out: async (bytes) => {
      const began = performance.now();
      const all = received(raw, bytes);
      // What QEMU has not taken when the port is closed is lost.
      await sh(`{ dd if=${FILE} bs=128k; read end || true; } > ${PORT}`, all);
      await all;
      return performance.now() - began;
    },
  };
}

function received(stream: Socket, bytes: number): Promise<void> {
  return new Promise((resolve) => {
    let left = bytes;
    const onData = (piece: Buffer) => {
      left -= piece.length;
      if (left > 0) return;
      stream.off('data', onData);
      resolve();
    };
    stream.on('data', onData);
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
