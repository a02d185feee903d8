/** A stack file out of the device tree that `pk pool dump --dts` has written, or kerf: the pool, and no kernels. */
import { type DeviceTree, parseDts } from '../../devicetree/index.ts';
import { readBaseline, validateMultikernel } from '../../devicetree/multikernel/index.ts';
import { formatCpuList } from '../../sys/cpu-list.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { Cpu } from '../../topology/topology.ts';

/** A comment ends with its line, and nowhere else: what is to look like thousands of them is seen through at once. */
export const isDts = (text: string): boolean => /^\s*(?:\/\/[^\n]*\n\s*)*\/dts-v1\/\s*;/.test(text);

/** Of no dump or directory: kernels of a stack that this one took the name of would be none of it, and removed. */
const NAME = 'pool-of-device-tree';

type Cpus = readonly Pick<Cpu, 'id' | 'apicId'>[];

/** `cpus`: of this machine. Throws `invalid` for a tree that is no pool's, or of another machine. */
export const stackOfDts = (text: string, file: string, cpus: Cpus): string =>
  stackOfTree(parseDts(Buffer.from(text), { file }), file, cpus);

/** The same of a tree that came as a blob. */
export function stackOfTree(tree: DeviceTree, file: string, cpus: Cpus): string {
  const baseline = readBaseline(tree);
  const invalid = (reason: string, hint: string): PolykernelError =>
    new PolykernelError('invalid', `${file}: ${reason}`, { field: '--input', value: file, hint });
  if (baseline === undefined)
    throw invalid('it is not the tree of a pool', 'Give what `pk pool dump --dts` writes, without a NAME.');
  const wrong = validateMultikernel(tree).findings.find(({ kind }) => kind === 'error');
  if (wrong !== undefined)
    throw invalid(`${wrong.path}: ${wrong.problem}`, 'All of it: pk dt validate --schema multikernel FILE');
  const numbers = new Map(cpus.flatMap(({ id, apicId }) => (apicId === undefined ? [] : [[apicId, id] as const])));
  const own = baseline.cpus.map((apicId) => {
    const id = numbers.get(apicId);
    if (id !== undefined) return id;
    throw invalid(`no CPU of this machine has the APIC id ${apicId}`, '`pk topology` shows which it has.');
  });
  const memory = new Map<number, number>();
  for (const { bytes, node } of baseline.memory) {
    if (node === undefined)
      throw invalid('it has memory without numa-node-id', 'Say which node gives it: numa-node-id = <0>;');
    memory.set(node, (memory.get(node) ?? 0) + bytes);
  }
  const devices = (baseline.devices ?? []).flatMap((device) => (device.kind === 'pci' ? [device.address] : []));
  const pool = {
    cpus: formatCpuList(own.sort((a, b) => a - b)),
    memory: Object.fromEntries([...memory].map(([node, bytes]) => [node, `${bytes / 1024}KiB`])),
    ...(devices.length > 0 && { devices }),
  };
  return `name: ${NAME}\npool: ${JSON.stringify(pool)}\nkernels: {}\n`;
}
