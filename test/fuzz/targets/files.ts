/** What is read from files by their path: each input is one, in memory. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { detectKernel, scanKernel } from '../../../src/image/kernel-file.ts';
import type { Following } from '../../../src/instance/log-file.ts';
import { readConsole, readLog } from '../../../src/instance/log-reader.ts';
import type { FileLog } from '../../../src/instance/workload-log.ts';
import { nameservers } from '../../../src/network/nameservers.ts';
import { readInterrupts } from '../../../src/topology/interrupts.ts';
import { must, type Target } from '../target.ts';

let made: string | undefined;

/** A directory with the files that the targets read, which goes with the thread. */
function place(): string {
  if (made !== undefined) return made;
  const directory = mkdtempSync(`/dev/shm/pk-fuzz-${process.pid}.${threadId}-`);
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  for (const path of ['proc/irq/24', 'etc']) mkdirSync(join(directory, path), { recursive: true });
  made = directory;
  return directory;
}

function written(name: string, input: Uint8Array): string {
  const path = join(place(), name);
  writeFileSync(path, input);
  return path;
}

const kernelFile: Target = {
  name: 'kernel-file',
  dictionary: [
    ...[
      'Linux version ',
      'Linux version 6.1.0-18-amd64 (debian) ',
      'Linux version %s (%s)',
      'virtio-pci',
      'virtio_console',
      'HdrS',
    ],
    ...['.uml.setup.init\0', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]), Buffer.from([62, 0])],
  ],
  async run(input) {
    const path = written('kernel', input);
    const { version, found } = await scanKernel(path, ['virtio-pci', 'virtio_console']);
    must(version.length < 256 && /^[\w.+~-]+$/.test(version), 'a release is a short word');
    return [version, found, detectKernel(path)];
  },
};

const OVER: Following = { changed: async () => {}, over: () => true };

/** The first byte is how many of the last lines are wanted. */
const logs: Target = {
  name: 'log-files',
  dictionary: [
    '{"t":"2026-01-01T00:00:00.000Z","s":"out","d":"a\\nb\\n"}\n',
    '"b":"AAAA"',
    '"d":1',
    '"d":null',
    '\\n',
    '\n',
    '{',
    '}',
    'null',
  ],
  output: { base: 64 * 1024, perByte: 256 },
  async run(input) {
    const path = written('log', input.subarray(1));
    const query = { tail: input[0] };
    const { signal } = new AbortController();
    const found: unknown[] = [];
    for await (const record of readLog({ file: { path } } as FileLog, query, OVER, signal)) found.push(record);
    for await (const record of readConsole(path, query, OVER, signal)) found.push(record);
    return found;
  },
};

const hostFiles: Target = {
  name: 'host-files',
  dictionary: [
    '           CPU0       CPU1\n',
    ' 24:  1  0  IO-APIC  5-edge  x\n',
    '0-65535',
    'nameserver ',
    '127.0.0.53',
    '192.0.2.1\n',
    '\t',
    ':',
  ],
  maxBytes: 32_768,
  output: { base: 2 * 1024 * 1024, perByte: 64 },
  steps: { base: 2_000_000, perByte: 200 },
  run(input) {
    written('proc/interrupts', input);
    written('proc/irq/24/smp_affinity_list', input.subarray(0, 4096));
    written('etc/resolv.conf', input);
    const servers = nameservers(place());
    must(servers.length <= 3 && servers.every((server) => /^[\d.]+$/.test(server)), 'name servers are addresses');
    return [servers, readInterrupts(place())];
  },
};

export const fileTargets: readonly Target[] = [kernelFile, logs, hostFiles];
