import { formatCpuList } from '../../sys/cpu-list.ts';

/** Gathers what was missing or contradictory. What is said of many CPUs becomes one sentence. */
export class Warnings {
  readonly #sentences = new Set<string>();
  readonly #ofCpus = new Map<string, number[]>();

  add(sentence: string): void {
    this.#sentences.add(sentence);
  }

  /** `what` follows `CPUs 4-7: `. */
  cpu(id: number, what: string): void {
    const ids = this.#ofCpus.get(what);
    if (ids === undefined) this.#ofCpus.set(what, [id]);
    else ids.push(id);
  }

  list(): string[] {
    const ofCpus = [...this.#ofCpus].map(([what, ids]) => {
      const list = formatCpuList(ids);
      return `CPU${/^\d+$/.test(list) ? '' : 's'} ${list}: ${what}`;
    });
    return [...this.#sentences, ...ofCpus];
  }
}

/** A file's content as it may stand in a sentence: short, printable, quoted. */
export function quoted(text: string): string {
  return JSON.stringify((text.length > 40 ? `${text.slice(0, 40)}…` : text).replace(/[^\x20-\x7e…]/g, '?'));
}
