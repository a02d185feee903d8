/** Whose the networks of this machine are: namespaces, tables and interfaces outlive the state directory that they are of. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { goneOf } from '../sys/patience.ts';
import { ownView, seesAs, type View, viewText } from '../sys/view.ts';

/** Where daemons of root meet. It does not outlive the kernel, nor do networks. */
const NOTES = '/run/polykernel';
const FILE = /^(pk-[0-9a-f]{8})\.network$/;
const PATIENCE_MS = 2000;

/** For root. */
export class NetworkNotes {
  readonly #directory: string;
  readonly #view: View;

  constructor(directory = NOTES, view: View = ownView()) {
    this.#directory = directory;
    this.#view = view;
  }

  /** Before there is anything of it. */
  write(name: string, home: string): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    writeFileSync(this.#viewFile(name), viewText(this.#view), { mode: 0o600 });
    writeFileSync(this.#file(name), home, { mode: 0o600 });
  }

  /** Once nothing of it is left. */
  forget(name: string): void {
    for (const file of [this.#file(name), this.#viewFile(name)]) rmSync(file, { force: true });
  }

  /** Those whose state directory is proven not to be there, for their daemon too. */
  async lost(): Promise<{ name: string; home: string }[]> {
    const homes = new Map(this.#names().map((name) => [name, this.#home(name)] as const));
    const gone = await goneOf(
      [...homes.values()].filter((home) => home !== ''),
      PATIENCE_MS,
    );
    return [...homes].flatMap(([name, home]) =>
      gone.has(home) && seesAs(this.#view, this.#viewOf(name)) ? { name, home } : [],
    );
  }

  #file(name: string): string {
    return join(this.#directory, `${name}.network`);
  }

  #viewFile(name: string): string {
    return join(this.#directory, `${name}.view`);
  }

  /** Empty where a version before has written. */
  #viewOf(name: string): string {
    try {
      return readFileSync(this.#viewFile(name), 'utf8');
    } catch {
      return '';
    }
  }

  #names(): string[] {
    try {
      return readdirSync(this.#directory).flatMap((file) => FILE.exec(file)?.[1] ?? []);
    } catch {
      // There never was one.
      return [];
    }
  }

  /** Empty where another daemon is about to write, or has forgotten it. */
  #home(name: string): string {
    try {
      const home = readFileSync(this.#file(name), 'utf8');
      return home.startsWith('/') ? home : '';
    } catch {
      return '';
    }
  }
}
