/** How fast the machine is read: as a process against lstopo, and in process on a large snapshot. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toolPath } from '../src/sys/tools.ts';
import { readTopology } from '../src/topology/index.ts';
import { writeHost } from '../test/fixtures/hosts/index.ts';
import { atMost, type Bench, median } from './row.ts';
import { interleaved, timeProcess } from './timing.ts';

const PK = join(import.meta.dirname, '..', 'bin', 'pk');
const PROCESS_ROUNDS = 21;
const READ_ROUNDS = 9;
const SNAPSHOT = 'epyc-256';

export const topologyRows: Bench = async (progress) => {
  progress('topology: pk topology and lstopo in turn');
  const lstopo = toolPath('lstopo-no-graphics');
  const { ours, theirs, node } = await interleaved(PROCESS_ROUNDS, {
    ours: () => timeProcess([PK, 'topology', '--json'], { cwd: '/' }),
    theirs: () => timeProcess([lstopo.path, '--of', 'xml'], { cwd: '/', env: { ...process.env, ...lstopo.env } }),
    node: () => timeProcess([process.execPath, '-e', '0']),
  });
  progress(`topology: reading ${SNAPSHOT}`);
  return [
    atMost(1.5, {
      name: 'pk topology --json, this machine',
      value: ours,
      unit: 'ms',
      peer: 'lstopo --of xml',
      peerValue: theirs,
      note: `a Node process that does nothing takes ${node.toFixed(0)} ms of it`,
    }),
    atMost(150, {
      name: 'read a snapshot of 256 CPUs in process',
      value: readTime(),
      unit: 'ms',
      peer: 'goal',
      peerValue: 150,
      of: 'value',
    }),
  ];
};

/** The first reading, before the compiler has seen the code, counts like every other. */
function readTime(): number {
  const root = mkdtempSync(join(tmpdir(), 'pk-bench-host-'));
  try {
    writeHost(SNAPSHOT, root);
    const times = Array.from({ length: READ_ROUNDS }, () => {
      const began = performance.now();
      readTopology(root);
      return performance.now() - began;
    });
    return median(times);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
