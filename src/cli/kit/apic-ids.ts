/** Physical ids of CPUs in short: `0-7=0-14/2` are eight CPUs with every second id from 0 on. Empty where none has one. */
import type { Cpu } from '../../topology/topology.ts';

type Named = Pick<Cpu, 'id' | 'apicId'>;

export function formatApicIds(cpus: readonly Named[]): string {
  const runs: { first: [number, number]; last: [number, number]; step: number }[] = [];
  for (const { id, apicId } of cpus) {
    if (apicId === undefined) continue;
    const run = runs.at(-1);
    const step = run && apicId - run.last[1];
    const isFirst = run?.first === run?.last;
    if (run !== undefined && id === run.last[0] + 1 && step! > 0 && (isFirst || step === run.step))
      Object.assign(run, { last: [id, apicId], step });
    else {
      const at: [number, number] = [id, apicId];
      runs.push({ first: at, last: at, step: 1 });
    }
  }
  return runs
    .map(({ first, last, step }) => {
      if (first[0] === last[0]) return `${first[0]}=${first[1]}`;
      return `${first[0]}-${last[0]}=${first[1]}-${last[1]}${step === 1 ? '' : `/${step}`}`;
    })
    .join(' ');
}
