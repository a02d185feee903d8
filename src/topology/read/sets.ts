/** Sets of CPUs or nodes as sysfs writes them. */
import { parseCpuList, parseCpuMask } from '../../sys/cpu-list.ts';
import type { MachineFiles } from './files.ts';
import { quoted, type Warnings } from './warnings.ts';

export interface Look {
  files: MachineFiles;
  warnings: Warnings;
}

/** Reads sets and parses each text once: the CPUs of a package all show the same one. */
export class SetReader {
  readonly #look: Look;
  readonly #parsed = new Map<string, number[] | null>();

  constructor(look: Look) {
    this.#look = look;
  }

  /** The first of `names` in `directory` that can be understood: a list, or a mask where the name says so. */
  read(directory: string, ...names: readonly string[]): readonly number[] | undefined {
    for (const name of names) {
      const text = this.#look.files.text(`${directory}/${name}`);
      if (text === undefined) continue;
      const set = this.parse(text, MASKS.test(name) ? parseCpuMask : parseCpuList);
      if (set !== undefined) return set;
      this.#look.warnings.add(`${directory}/${name} is no set of CPUs: ${quoted(text)}; it is ignored.`);
    }
    return undefined;
  }

  /** Empty text is the empty set: of a node without CPUs, of a machine without isolated ones. */
  parse(text: string, parser: (text: string) => number[] = parseCpuList): readonly number[] | undefined {
    if (text === '') return [];
    const key = parser === parseCpuMask ? `mask ${text}` : text;
    let set = this.#parsed.get(key);
    if (set === undefined) {
      set = attempt(() => parser(text));
      this.#parsed.set(key, set);
    }
    return set ?? undefined;
  }
}

/** Files that hold a mask; all others that are read hold a list. */
const MASKS = /^((core|cluster|die)_cpus|(thread|core)_siblings|shared_cpu_map|cpumap)$/;

function attempt(parse: () => number[]): number[] | null {
  try {
    return parse();
  } catch {
    return null;
  }
}
