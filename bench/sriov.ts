/**
 * Dense SR-IOV without hardware: the recorded life of a virtual function replayed against our rules and PCSC's, and the manager on a
 * modelled kernel of thousands. What takes an emulated host is `npm run test:sriov`.
 */
import { functionsOn } from '../test/support/sriov-functions.ts';
import { SriovModel } from '../test/support/sriov-model.ts';
import { atLeast, atMost, type Bench, median } from './row.ts';
import { replayOurs } from './sriov/ours.ts';
import { replayRfc, type Served } from './sriov/rfc.ts';
import { readTrace, type Trace } from './sriov/trace.ts';

const MANY = 2048;
const FEW = 512;
const ROUNDS = 25;
const SERVED = 0.85;

export const sriov: Bench = async (progress) => {
  progress('sriov: replaying the life of a virtual function');
  const trace = readTrace();
  const [ours, theirs] = [replayOurs(trace), replayRfc(trace, true)];
  const withoutResets = replayRfc(trace, false);
  progress(`sriov: ${FEW} and ${MANY} modelled functions`);
  const [few, many] = [await managed(FEW), await managed(MANY)];
  return [
    atLeast(SERVED, {
      ...{ name: 'replay: reads of a VF’s life served by our rules, resets honoured', value: ours.hits, unit: 'reads' },
      ...{ peer: 'all', peerValue: ours.reads, note: `${ceiling(trace, ours)}; ${ours.own} reads of its own` },
    }),
    atLeast(1, {
      ...{ name: 'replay: the same beside PCSC’s rules (RFC v1)', value: ours.hits, unit: 'reads' },
      ...{ peer: 'RFC v1', peerValue: theirs.hits, note: `RFC v1 with resets ignored: ${withoutResets.hits}` },
    }),
    atMost(0, {
      ...{ name: 'replay: stale reads', value: ours.stale, unit: 'reads', of: 'value' },
      ...{ peer: 'all', peerValue: ours.reads },
    }),
    atMost(2, {
      ...{ name: `list of ${MANY} modelled VFs, each`, value: many.list / MANY, unit: 'us' },
      ...{ peer: `of ${FEW}`, peerValue: few.list / FEW, note: 'linear is 1' },
    }),
    atMost(50, {
      ...{ name: `lease one of ${MANY} VFs: our own time`, value: many.assign, unit: 'ms', of: 'value' },
      ...{
        peer: `of ${FEW}`,
        peerValue: few.assign,
        note: 'on a model that answers at once; binding costs the kernel 10 ms',
      },
    }),
  ];
};

/** Why reads went through: what no rule may serve, and what has to be asked once after a start, a write or a reset. */
function ceiling({ accesses }: Trace, { through }: Served): string {
  const reads = accesses.filter(({ kind }) => kind === 'read').length;
  const of = (...keys: string[]) => keys.reduce((sum, key) => sum + (through.get(key) ?? 0), 0);
  // Of Power Management the dword has Data beside the state, of PCI Express status beside control.
  const status = of('6.2', '4.4', '8a.2', '92.2', 'b2.2', '64.4', '88.4', '90.4', 'a8.4');
  const [power, command] = [of('64.2'), of('4.2')];
  const all = [...through.values()].reduce((sum, count) => sum + count, 0);
  const percent = (count: number) => `${((100 * count) / reads).toFixed(1)} %`;
  const once = `${power} of the power state, ${command} of Command, ${all - status - power - command} of others`;
  return `of those that went through ${status} are of status registers (${percent(status)}), and ${all - status} the first after a start, a write or a reset (${percent(all - status)}: ${once}): at most ${percent(reads - status)} can be had while what changes by itself is never kept`;
}

/** The microseconds of a list, in the best round of a machine that others use too, and the milliseconds of a lease in the middle one. */
async function managed(count: number) {
  const cards = Math.ceil(count / 256);
  const model = new SriovModel(
    Array.from({ length: cards }, (_, index) => ({
      ...{ address: `0000:${hex(16 + 2 * index)}:00.0`, firstVirtual: `0000:${hex(17 + 2 * index)}:00.0`, most: 256 },
    })),
  );
  const functions = functionsOn(model);
  for (const address of [...model.functions.keys()]) await functions.set(256, address);
  const lists: number[] = [];
  const leases: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    lists.push(await microseconds(() => functions.list()));
    leases.push((await microseconds(() => functions.assign('vf:nvme', 'web'))) / 1000);
  }
  await functions.end();
  // The first looks at all of them.
  return { list: Math.min(...lists), assign: median(leases.slice(1)) };
}

const hex = (bus: number): string => bus.toString(16).padStart(2, '0');

async function microseconds(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return (performance.now() - from) * 1000;
}
