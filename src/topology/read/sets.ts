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

  /**
   * The set that is in `directory` as a list and as a mask. Where these disagree the one that is possible is believed, the list
   * if both are, and `tell` is given which. `isSure`: whether others say the same as the list, so that the mask need not be read.
   */
  pair(
    directory: string,
    [list, mask]: readonly [list: string, mask: string],
    isPossible: (set: readonly number[]) => boolean,
    tell: (what: string) => void,
    isSure: (set: readonly number[]) => boolean = () => false,
  ): readonly number[] | undefined {
    const listed = this.read(directory, list);
    if (listed !== undefined && isSure(listed)) return listed;
    const masked = this.read(directory, mask);
    if (listed === undefined || masked === undefined) return listed ?? masked;
    if (listed.length === masked.length && listed.every((id, index) => id === masked[index])) return listed;
    const believed = !isPossible(listed) && isPossible(masked) ? 'mask' : 'list';
    tell(`${list} and ${mask} disagree; the ${believed} is believed.`);
    return believed === 'mask' ? masked : listed;
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
const MASKS = /^((core|cluster|die|package)_cpus|(thread|core)_siblings|shared_cpu_map|cpumap)$/;

function attempt(parse: () => number[]): number[] | null {
  try {
    return parse();
  } catch {
    return null;
  }
}
