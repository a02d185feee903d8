/** A file system whose server, this process, stops answering. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmdirSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface SilentMount {
  path: string;
  /** All who wait for it get an error, and it is gone. */
  end(): void;
}

/** Whether this process can make one. */
export function canServe(): boolean {
  try {
    closeSync(openSync('/dev/fuse', 'r+'));
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
}

/** A mount, in a new directory in `parent`, whose server says nothing. */
export function silentMount(parent = tmpdir()): SilentMount {
  const { server, options, path, end } = prepare(parent);
  const mount = spawnSync('mount', argv(options, path), { stdio: ['ignore', 'ignore', 'pipe', server] });
  if (mount.status !== 0) {
    end();
    throw new Error(String(mount.stderr));
  }
  return { path, end };
}

export interface LateSilentMount extends SilentMount {
  /** Takes a request that waits, and leaves it: who made it cannot be killed until `end`. False when there is none. */
  swallow(): boolean;
}

/** The same, but it holds directories of all names until a file system of `type` is mounted on its `in`: silent from then on. */
export async function silentAround(parent = tmpdir(), type = 'tmpfs'): Promise<LateSilentMount> {
  const { server, options, path, end } = prepare(parent);
  const inner = join(path, 'in');
  const undo = () => {
    end();
    spawnSync('umount', ['-l', inner]);
  };
  try {
    for (const args of [argv(options, path), ['-i', '-t', type, 'inner', inner]]) {
      const mount = spawn('mount', args, { stdio: ['ignore', 'ignore', 'inherit', server] });
      const ended = once(mount, 'close');
      while (mount.exitCode === null) {
        answer(server);
        await delay(1);
      }
      await ended;
      if (mount.exitCode !== 0) throw new Error(`mount ${args.join(' ')}: ${mount.exitCode}`);
    }
  } catch (error) {
    undo();
    throw error;
  }
  return { path, swallow: () => take(server) !== undefined, end: undo };
}

const argv = (options: string, path: string) => ['-i', '-t', 'fuse', '-o', options, 'silent', path];

function prepare(parent: string): { server: number; options: string; path: string; end(): void } {
  const path = mkdtempSync(join(parent, 'pk-silent-'));
  const server = openSync('/dev/fuse', constants.O_RDWR | constants.O_NONBLOCK);
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0,allow_other';
  let isOpen = true;
  const end = () => {
    if (!isOpen) return;
    isOpen = false;
    closeSync(server);
    spawnSync('umount', ['-l', path]);
    rmdirSync(path);
  };
  return { server, options, path, end };
}

const INIT = 26;
const LOOKUP = 1;
const GETATTR = 3;
/** FORGET, INTERRUPT, BATCH_FORGET. */
const NO_ANSWER = [2, 36, 42];
const ENOSYS = 38;

/** The next request; undefined when none waits, or it is not mounted yet. */
function take(server: number): Buffer | undefined {
  const request = Buffer.alloc(1 << 18);
  try {
    return request.subarray(0, readSync(server, request, 0, request.length, null));
  } catch {
    return undefined;
  }
}

/** Answers what waits, in FUSE's protocol (linux/fuse.h): everything is a directory, and nothing may be remembered. */
function answer(server: number): void {
  for (let request = take(server); request !== undefined; request = take(server)) {
    const opcode = request.readUInt32LE(4);
    const body = reply(opcode, request.readBigUInt64LE(16));
    if (NO_ANSWER.includes(opcode)) continue;
    const head = Buffer.alloc(16);
    head.writeUInt32LE(16 + (body?.length ?? 0), 0);
    head.writeInt32LE(body === undefined ? -ENOSYS : 0, 4);
    request.copy(head, 8, 8, 16);
    writeSync(server, Buffer.concat([head, body ?? Buffer.alloc(0)]));
  }
}

function reply(opcode: number, node: bigint): Buffer | undefined {
  const attributes = (of: bigint) => {
    const bytes = Buffer.alloc(88);
    bytes.writeBigUInt64LE(of, 0);
    bytes.writeUInt32LE(0o40755, 60);
    bytes.writeUInt32LE(2, 64);
    return bytes;
  };
  switch (opcode) {
    case INIT: {
      const bytes = Buffer.alloc(64);
      bytes.writeUInt32LE(7, 0);
      bytes.writeUInt32LE(31, 4);
      bytes.writeUInt32LE(4096, 20);
      return bytes;
    }
    case LOOKUP: {
      const entry = Buffer.alloc(40);
      entry.writeBigUInt64LE(2n, 0);
      return Buffer.concat([entry, attributes(2n)]);
    }
    case GETATTR:
      return Buffer.concat([Buffer.alloc(16), attributes(node)]);
    default:
      return undefined;
  }
}
