/**
 * Files named by the SHA-256 of their contents.
 *
 * INVARIANTS: a file under blobs/ is complete, synced and never changes, as it gets its name by rename(2) at the very
 * end. Whatever lies in tmp/ while nobody holds the lock was left by a crash.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, realpathSync } from 'node:fs';
import { chmod, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface Blob {
  sha256: string;
  /** Bytes. */
  size: number;
}

export class BlobStore {
  readonly #blobs: string;
  readonly #temporary: string;

  constructor(directory: string) {
    this.#blobs = join(directory, 'blobs', 'sha256');
    this.#temporary = join(directory, 'tmp');
  }

  path(sha256: string): string {
    return join(this.#blobs, sha256);
  }

  /** Whether the blob is there with the size it should have. */
  async has(blob: Blob): Promise<boolean> {
    const status = await stat(this.path(blob.sha256)).catch(() => undefined);
    return status?.isFile() === true && status.size === blob.size;
  }

  /** Path for a file or directory that lives until the end of the operation. */
  async scratch(): Promise<string> {
    await mkdir(this.#temporary, { recursive: true });
    return join(this.#temporary, randomBytes(8).toString('hex'));
  }

  /** Whether a path, without links, lies where scratch() gives places. */
  isTemporary(path: string): boolean {
    const directory = realpathSync(this.#temporary);
    return path.startsWith(`${directory}/`);
  }

  /** Takes over a file made at a path of scratch(). */
  async adopt(scratch: string, mode = 0o644, signal?: AbortSignal): Promise<Blob> {
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of createReadStream(scratch, signal ? { signal } : {})) {
      hash.update(chunk);
      size += chunk.length;
    }
    const blob = { sha256: hash.digest('hex'), size };
    await this.#commit(scratch, blob.sha256, mode);
    return blob;
  }

  /** Stores bytes. */
  async putBytes(bytes: Buffer): Promise<Blob> {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    if (!(await this.has({ sha256, size: bytes.length }))) {
      const temporary = await this.scratch();
      const file = await open(temporary, 'wx');
      await file.writeFile(bytes).finally(() => file.close());
      await this.#commit(temporary, sha256, 0o644);
    }
    return { sha256, size: bytes.length };
  }

  /** Removes every blob whose hash is not in `keep`, and what crashes left in tmp/. The caller holds the lock. */
  async collect(keep: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(this.#blobs).catch(() => [])) {
      if (!keep.has(name)) await rm(join(this.#blobs, name), { force: true });
    }
    await this.clean();
  }

  /** Removes what crashes left in tmp/. The caller holds the lock. */
  async clean(): Promise<void> {
    await rm(this.#temporary, { recursive: true, force: true });
  }

  async #commit(temporary: string, sha256: string, mode: number): Promise<void> {
    await mkdir(this.#blobs, { recursive: true });
    await commitFile(temporary, this.path(sha256), mode);
  }
}

/** Gives a finished file its final name: synced, with its mode, in one step. */
export async function commitFile(temporary: string, path: string, mode = 0o644): Promise<void> {
  await chmod(temporary, mode);
  const file = await open(temporary, 'r');
  await file.sync().finally(() => file.close());
  await rename(temporary, path);
}
