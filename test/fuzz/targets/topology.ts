/** Machines as their files, or JSON, tell of them. */

import { parseTopology } from '../../../src/topology/parse.ts';
import { normalizePciAddress } from '../../../src/topology/pci-address.ts';
import { readTree } from '../../../src/topology/read.ts';
import { summarize } from '../../../src/topology/summary.ts';
import type { Entries } from '../../fixtures/hosts/entries.ts';
import { MemoryTree } from '../../fixtures/hosts/memory-tree.ts';
import { must, type Target } from '../target.ts';

/** Each file as `=PATH` and lines; `=PATH -> TARGET` is a link. */
function entriesOf(text: string): Entries {
  const entries: Entries = new Map();
  for (const part of text.split(/^=/m).slice(1)) {
    const end = part.indexOf('\n');
    const [path = '', link] = part.slice(0, end < 0 ? part.length : end).split(' -> ');
    if (path !== '' && !path.startsWith('/')) entries.set(path, link === undefined ? part.slice(end + 1) : { link });
  }
  return entries;
}

const files: Target = {
  name: 'topology-files',
  dictionary: [
    ...[
      '\n=sys/devices/system/cpu/online\n0-3\n',
      '\n=sys/devices/system/cpu/present\n0-511\n',
      '=proc/cpuinfo\n',
      ' -> ../../',
    ],
    ...[
      '\n=sys/devices/system/node/node0/cpulist\n0\n',
      '\n=sys/devices/system/node/node1/meminfo\nNode 1 MemTotal: 1 kB\n',
    ],
    ...[
      '\n=sys/bus/pci/devices/0000:00:01.0/class\n0x020000\n',
      '\n=proc/self/cgroup\n0::/\n',
      'processor\t: 1\n',
      'ffffffff,',
    ],
    ...[
      '\n=proc/self/mountinfo\n36 35 98:0 / /mnt rw - ext4 /dev/sda rw\n',
      '\n=sys/devices/system/cpu/cpu1/cache/index0/shared_cpu_list\n0-1\n',
    ],
    ...[
      '\n=proc/swaps\n/dev/sda2 partition 1 0 -2\n',
      '\n=sys/block/dm-0/slaves/sda\n',
      '\n=proc/net/route\neth0 00000000\n',
    ],
  ],
  maxBytes: 6000,
  // A machine of 65,536 CPUs takes a second: one in a thousand inputs may be one.
  repair: (input) => (input.length % 1000 === 0 ? input : Buffer.from(withSmall(input.toString('latin1')), 'latin1')),
  output: { base: 48 * 1024 * 1024, perByte: 4096 },
  // Lists may name all CPUs that there can be, and each gets a record.
  steps: { base: 10_000_000, perByte: 100_000 },
  cpuMs: 20_000,
  run(input) {
    const found = readTree(new MemoryTree(entriesOf(input.toString('latin1'))), '/fuzz');
    // What was read, whatever the files said, is a machine that can be handed on.
    parseTopology(JSON.parse(JSON.stringify(found)));
    return found;
  },
};

const withSmall = (text: string): string => text.replace(/\b\d{4,5}\b/g, '511');

const json: Target = {
  name: 'topology-json',
  dictionary: [
    ...[
      '"id":0',
      '"online":true',
      '"cpus":[]',
      '"caches":[',
      '"numaNodes":[',
      '"pci":[',
      '"format":1',
      '"limits":{',
      '"node":null',
    ],
    ...[
      '-1',
      '65536',
      '1e308',
      'null',
      'true',
      '"0000:00:01.0"',
      '[',
      ']',
      '{',
      '}',
      ',',
      '"__proto__":{},',
      '"constructor":1,',
    ],
  ],
  run(input) {
    const topology = parseTopology(parsed(input));
    return [topology, summarize(topology)];
  },
};

const address: Target = {
  name: 'pci-address',
  dictionary: ['0000:', '3b:00.0', '.7', ':', 'ffffffff', '1f.'],
  run(input) {
    const canonical = normalizePciAddress(input.toString('utf8'));
    must(normalizePciAddress(canonical) === canonical, 'the canonical form is its own');
    return canonical;
  },
};

function parsed(input: Buffer): unknown {
  try {
    return JSON.parse(input.toString('utf8'));
  } catch {
    return undefined;
  }
}

export const topologyTargets: readonly Target[] = [files, json, address];
