/**
 * Which CPU is which: the host kernel counts those that are there, hardware has ids (APIC ids on x86). A CPU in the pool has vanished from
 * /proc/cpuinfo, and so what was seen is kept until the machine boots anew.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { PolykernelError } from '../../sys/errors.ts';
import { hostBootId } from '../../sys/host-boot.ts';

type Pair = readonly [logical: number, physical: number];

/** The pairs of a /proc/cpuinfo of x86: `initial apicid` is another number. */
export function parseCpuinfo(text: string): Pair[] {
  const pairs: Pair[] = [];
  let logical: number | undefined;
  for (const line of text.split('\n')) {
    const [, key, value] = /^(processor|apicid)\s*:\s*(\d+)\s*$/.exec(line) ?? [];
    if (key === 'processor') logical = Number(value);
    if (key !== 'apicid' || logical === undefined) continue;
    pairs.push([logical, Number(value)]);
    logical = undefined;
  }
  return pairs;
}

export class CpuMap {
  readonly #cpuinfo: string;
  readonly #saved: string;
  readonly #bootId: string;

  constructor(cpuinfo: string, saved: string, bootId = hostBootId()) {
    this.#cpuinfo = cpuinfo;
    this.#saved = saved;
    this.#bootId = bootId;
  }

  /** What is to be seen, and what was; the former is kept. To be called before any CPU leaves. */
  read(): ReadonlyMap<number, number> {
    const now = parseCpuinfo(readFileSync(this.#cpuinfo, 'latin1'));
    const before = this.#load();
    const known = new Map([...before, ...now]);
    if (known.size > before.length) this.#save([...known]);
    return known;
  }

  /** Physical ids of CPUs of the host, in their order. Throws `invalid` for one that was never seen. */
  physical(cpus: readonly number[]): number[] {
    const known = this.read();
    return cpus.map((cpu) => {
      const physical = known.get(cpu);
      if (physical === undefined)
        throw new PolykernelError('invalid', `CPU ${cpu} is not among those that this machine has shown`, {
          field: 'cpus',
          value: cpu,
          hint: 'CPUs that were given away before Polykernel first looked have no number here.',
        });
      return physical;
    });
  }

  /** The other way round. A CPU without a number is named by its physical id, as a negative number. */
  logical(physical: readonly number[]): number[] {
    const known = new Map([...this.read()].map(([logical, id]) => [id, logical]));
    return physical.map((id) => known.get(id) ?? -id);
  }

  #load(): Pair[] {
    try {
      const { bootId, cpus } = JSON.parse(readFileSync(this.#saved, 'utf8')) as { bootId: string; cpus: Pair[] };
      return bootId === this.#bootId ? cpus : [];
    } catch {
      return [];
    }
  }

  #save(cpus: Pair[]): void {
    mkdirSync(dirname(this.#saved), { recursive: true });
    const temporary = `${this.#saved}.${process.pid}`;
    writeFileSync(temporary, JSON.stringify({ bootId: this.#bootId, cpus }), { mode: 0o600 });
    renameSync(temporary, this.#saved);
  }
}
