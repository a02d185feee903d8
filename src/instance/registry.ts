/** The instances there are, by name. */
import { PolykernelError } from '../sys/errors.ts';
import type { Instance } from './instance.ts';
import { generateName } from './name.ts';
import type { FileLog } from './workload-log.ts';

export interface Entry {
  instance: Instance;
  log: FileLog;
  /** Resolves once it is removed. */
  gone: Promise<void>;
  removed(): void;
  /** Its record is gone, while the rest is being removed. */
  isErased: boolean;
}

/** INVARIANT: a name is here or reserved from before anything of an instance exists until all of it is gone. */
export class Registry {
  readonly #entries = new Map<string, Entry>();
  readonly #reserved = new Set<string>();

  list(): Entry[] {
    return [...this.#entries.values()];
  }

  find(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  /** By name or id. Throws `not-found`. */
  get(name: string): Entry {
    const entry = this.#entries.get(name) ?? this.list().find(({ instance }) => instance.record.id === name);
    if (entry !== undefined) return entry;
    throw new PolykernelError('not-found', `there is no instance ${JSON.stringify(name)}`, {
      field: 'name',
      value: name,
      hint: 'See `pk ps` for those there are.',
    });
  }

  /**
   * A name nobody has, waiting for a foreground instance of that name that has just ended, unless it is stuck; it is reserved until
   * free(). `random`: uniform in [0, 1), for one that nobody wants. Throws `conflict`.
   */
  async reserve(wanted: string | undefined, random: () => number): Promise<string> {
    const isTaken = (name: string) => this.#entries.has(name) || this.#reserved.has(name);
    const name = wanted ?? generateName(isTaken, random);
    const holder = this.#entries.get(name);
    const { record, state, client } = holder?.instance ?? {};
    const isEnding = client?.hasLeft || state === 'stopping' || state === 'exited';
    if (record?.spec.attached && isEnding) await goneOrStuck(holder!);
    if (isTaken(name)) {
      throw new PolykernelError('conflict', `the name ${name} is taken`, {
        field: 'name',
        value: name,
        hint: `Start it again (pk start ${name}), choose another name, or free this one: pk rm -f ${name}.`,
      });
    }
    this.#reserved.add(name);
    return name;
  }

  /** All that are taken. */
  names(): string[] {
    return [...this.#entries.keys(), ...this.#reserved];
  }

  free(name: string): void {
    this.#reserved.delete(name);
  }

  add(entry: Entry): void {
    this.#entries.set(entry.instance.name, entry);
  }

  delete(name: string): void {
    this.#entries.delete(name);
  }
}

/** Resolves when all of it is gone, or is not proven to be: how long that lasts is its guest's to say. */
function goneOrStuck({ instance, gone }: Entry): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      stopListening();
      resolve();
    };
    const look = () => {
      if (instance.state === 'stuck') finish();
    };
    const stopListening = instance.onChange(look);
    void gone.then(finish);
    look();
  });
}
