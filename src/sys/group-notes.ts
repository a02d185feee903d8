/**
 * Which control groups were made and for whom, written down in the cache before they are made: when whoever was to remove them was
 * killed, or lost what he knew them by, the next daemon removes them. Each note is a file; what is whose is said by its name, or in it.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from './paths.ts';
import { finishedFiles, replaceFile } from './replace-file.ts';

export class GroupNotes<Note> {
  readonly #directory: string;

  /** `name`: of their directory in the cache. */
  constructor(name: string) {
    this.#directory = join(cacheDirectory(), name);
  }

  /** All of it, or nothing. Throws an errno error. */
  write(name: string, note: Note): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    replaceFile(join(this.#directory, name), JSON.stringify(note));
  }

  remove(name: string): void {
    rmSync(join(this.#directory, name), { force: true });
  }

  /** Those that can be read; others tell of nothing that was made, and go. */
  all(): { name: string; note: Note }[] {
    let names: string[];
    try {
      names = finishedFiles(this.#directory);
    } catch {
      return [];
    }
    return names.flatMap((name) => {
      try {
        return [{ name, note: JSON.parse(readFileSync(join(this.#directory, name), 'utf8')) as Note }];
      } catch {
        this.remove(name);
        return [];
      }
    });
  }
}
