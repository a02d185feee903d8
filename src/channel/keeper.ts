/**
 * The memory of channels, held by a small process each (`pk-ring keep`) that outlives the daemon. What it holds is sealed in
 * its size: no end of a channel can cut it short under the other.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  type BackgroundProcess,
  endAllBut,
  endBackground,
  findBackground,
  startBackground,
} from '../core/background.ts';
import { PolykernelError } from '../sys/errors.ts';

const ID = /^[0-9a-f]{32}$/;
/** A keeper's file names the descriptor of the memory. */
const NUMBERS = 1;

/** Of the keepers' own files, within that of the channels. */
export const KEEPER_DIRECTORY = '.keepers';

export class Keepers {
  readonly #directory: string;

  /** `directory`: of the keepers' own files, made with the first of them. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Starts a keeper for `dataBytes` of messages, formatted as an empty ring; with `from`, the path of such memory, it takes
   * that over. Resolves with the path under which the memory can be opened while the keeper lives.
   * Rejects with `unavailable` (not enough memory, not built) or `internal`.
   */
  async start(id: string, dataBytes: number, from?: string): Promise<string> {
    const file = this.#file(id);
    const args = ['keep', id, String(dataBytes), file, ...(from === undefined ? [] : [from])];
    const started = await startBackground({ program: 'pk-ring', file, args, numbers: NUMBERS });
    const path = 'reason' in started ? undefined : memoryOf(id, started);
    if (path !== undefined) return path;
    const reason = 'reason' in started ? started.reason : 'its keeper is gone';
    const code = /not enough memory/.test(reason) ? 'unavailable' : 'internal';
    throw new PolykernelError(code, `the memory of a channel could not be made: ${reason}`);
  }

  /** Path of the memory that a living keeper holds for `id`; undefined when there is none. */
  find(id: string): string | undefined {
    const keeper = findBackground(this.#file(id), NUMBERS);
    return keeper === undefined ? undefined : memoryOf(id, keeper);
  }

  /** Ends the keeper, if there is one; its memory goes with the last who has it mapped. Rejects with `internal`. */
  end(id: string): Promise<void> {
    return endBackground(this.#file(id), NUMBERS);
  }

  /** Ends all keepers but those of `ids`. Rejects with `internal`. */
  endAllBut(ids: ReadonlySet<string>): Promise<void> {
    return endAllBut(this.#directory, ids, NUMBERS);
  }

  /** Ids for which there is, or was, a keeper. */
  list(): string[] {
    try {
      return readdirSync(this.#directory).filter((name) => ID.test(name));
    } catch {
      return [];
    }
  }

  #file(id: string): string {
    return join(this.#directory, id);
  }
}

function memoryOf(id: string, { pid, numbers: [fd] }: BackgroundProcess): string | undefined {
  const path = `/proc/${pid}/fd/${fd}`;
  try {
    return readlinkSync(path).startsWith(`/memfd:pk-channel:${id}`) ? path : undefined;
  } catch {
    return undefined;
  }
}
