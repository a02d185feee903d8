/** Reads a machine from the files of its kernel: this one, or a snapshot of another one. */
import { PolykernelError } from '../sys/errors.ts';
import { readCaches } from './read/caches.ts';
import { readArchitecture } from './read/cpuinfo.ts';
import { type CpuSources, presentCpus, readCpus } from './read/cpus.ts';
import { MachineFiles } from './read/files.ts';
import { readLimits } from './read/limits.ts';
import { readNodes } from './read/nodes.ts';
import { readPageBytes } from './read/page-size.ts';
import { readPci } from './read/pci.ts';
import { SetReader } from './read/sets.ts';
import { type FileTree, HostTree } from './read/tree.ts';
import { Warnings } from './read/warnings.ts';
import type { Topology } from './topology.ts';

/**
 * The machine whose sys/ and proc/ are below `root`: this one with `/`, another with a snapshot. Reads nothing outside of
 * `root`, also through links. What is missing or contradictory gives the best answer there is and a sentence in `warnings`.
 * Throws `not-found` when nothing there tells of a single CPU, and `invalid` for an empty `root`.
 */
export function readTopology(root = '/'): Topology {
  // An unset variable in a script must not show this machine for another.
  if (root === '') {
    throw new PolykernelError('invalid', 'the root of the machine is empty', {
      field: 'root',
      value: root,
      hint: 'Give `/` for this machine, or the directory of a snapshot.',
    });
  }
  return readTree(new HostTree(root), root);
}

/** The same of any tree of files; `root` names it in messages. */
export function readTree(tree: FileTree, root: string): Topology {
  const limit = Error.stackTraceLimit;
  // Many files are there on some machines only, and capturing a stack costs more than looking for a file.
  Error.stackTraceLimit = 0;
  try {
    return read(tree, root);
  } finally {
    Error.stackTraceLimit = limit;
  }
}

function read(tree: FileTree, root: string): Topology {
  const files = new MachineFiles(tree);
  const warnings = new Warnings();
  const look = { files, warnings };
  const architecture = readArchitecture(files);
  const sources: CpuSources = { ...look, sets: new SetReader(look), root, architecture };
  const present = presentCpus(sources);
  const { nodes, nodeOf } = readNodes(sources, present);
  const cpus = readCpus(sources, present, nodeOf);
  const caches = readCaches(sources, cpus);
  const online = cpus.flatMap((cpu) => (cpu.online ? [cpu.id] : []));
  for (const cpu of cpus) if (cpu.online && cpu.node === null) warnings.cpu(cpu.id, 'no NUMA node claims it.');
  const limits = readLimits(sources, online, nodes);
  const pci = readPci(look, new Set(nodes.map(({ id }) => id)));
  const pageBytes = readPageBytes(files, architecture, warnings);
  return { format: 1, architecture, cpus, caches, numaNodes: nodes, pci, pageBytes, limits, warnings: warnings.list() };
}
