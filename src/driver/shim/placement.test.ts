import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { atOnce } from '../../sys/slices.ts';
import { qemuThreads } from '../qemu/threads.ts';
import { umlThreads } from '../uml/threads.ts';
import { type HostThread, listedChildren, threadsBelow } from './launch-threads.ts';
import { realPlacement, residentMemory } from './placement.ts';

let proc: string;
beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), 'pk-proc-'));
});
afterEach(() => rmSync(proc, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(proc, path)), { recursive: true });
  writeFileSync(join(proc, path), text);
}
function process(pid: number, parent: number, jailPid: number | null, names: string[]): void {
  write(`${pid}/stat`, `${pid} (a) name (x)) S ${parent} 1 1 0 -1`);
  write(`${pid}/status`, `Name:\tx\nNSpid:\t${pid}${jailPid === null ? '' : `\t${jailPid}`}\n`);
  for (const [index, name] of names.entries()) write(`${pid}/task/${pid + index}/comm`, `${name}\n`);
}
function launch(...vmm: string[]): HostThread[] {
  process(100, 1, null, ['pk-shim']);
  process(110, 100, null, ['bwrap']);
  process(120, 110, 1, ['bwrap']);
  process(130, 120, 2, vmm);
  process(999, 1, null, ['other']);
  return atOnce(threadsBelow(100, proc));
}

describe('the threads of a launch', () => {
  it('are found from the shim downwards, and nobody else', () => {
    const threads = launch('qemu-system-x86');
    expect(threads.map(({ tid }) => tid)).toEqual([100, 110, 120, 130]);
    expect(threads.map(({ jailPid }) => jailPid)).toEqual([null, null, 1, 2]);
  });

  it('of QEMU are vCPUs by their names', () => {
    expect(qemuThreads(launch('qemu-system-x86', 'CPU 1/TCG', 'worker', 'CPU 0/TCG'))).toEqual({
      vcpus: [[133], [131]],
      others: [100, 110, 120, 130, 132],
      vmm: 130,
    });
  });

  it('of a QEMU that lies about them are still only its own', () => {
    process(140, 999, null, ['CPU 0/KVM']);
    const { vcpus, others } = qemuThreads(
      launch('qemu-system-x86', 'CPU 2/KVM', 'CPU 2/KVM', 'CPU 99999999/KVM', 'CPU 9999/KVM'),
    );
    expect(vcpus).toEqual([[], [], [131, 132]]);
    expect(others).toEqual([100, 110, 120, 130, 133, 134]);
  });

  it('of UML are one vCPU, whatever they call themselves', () => {
    process(150, 130, 3, ['bwrap']);
    // Its parent ended, so that the first process of the jail has it.
    process(125, 120, 9, ['pk-shim']);
    expect(umlThreads(launch('linux', 'linux'))).toEqual({
      vcpus: [[125, 130, 131, 150]],
      others: [100, 110, 120],
      vmm: 130,
    });
  });
});

describe('a VMM with a great many threads and children', () => {
  it('hides none of them behind the others', () => {
    write('thread-self/children', '');
    const pids = Array.from({ length: 2000 }, (_, at) => 20_000 + at);
    write('130/task/130/children', `${pids.join(' ')} `);
    const children = listedChildren(proc, () => new Map([[130, [7]]]));
    expect(children(130, ['130'])).toEqual(pids);
    // With more threads than there are lists to be read of: by a look at all processes.
    const tids = Array.from({ length: 1000 }, (_, at) => String(130 + at));
    expect(children(130, tids)).toEqual([7]);
  });

  it('has no thread looked at for its name that nobody asks for', () => {
    process(100, 1, null, ['pk-shim']);
    mkdirSync(join(proc, '100/task/177'));
    const threads = atOnce(threadsBelow(100, proc));
    expect(threads.map(({ tid }) => tid)).toEqual([100, 177]);
    expect(threads.map(({ name }) => name)).toEqual(['pk-shim', '']);
  });

  it('keeps nobody else waiting while it is read where they may run', async () => {
    const tids = Array.from({ length: 400 }, (_, at) => 20_000 + at);
    for (const tid of tids) write(`${tid}/status`, `Name:\tx\nCpus_allowed_list:\t${tid % 2}\n`);
    let turns = 0;
    const reading = realPlacement('nobody', { vcpus: [tids], others: [], vmm: 0 }, proc);
    const turn = () => {
      turns += 1;
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    expect(await reading).toMatchObject({ vcpus: [[0, 1]] });
    clearImmediate(next);
    expect(turns).toBeGreaterThanOrEqual(3);
  });
});

describe('resident memory', () => {
  it('is counted by node and page size', () => {
    write(
      '7/numa_maps',
      [
        '55d0 default file=/usr/bin/qemu mapped=100 N0=60 N1=40 kernelpagesize_kB=4',
        '7f00 bind:1 file=/memfd:ram\\040(deleted) huge dirty=3 N1=3 kernelpagesize_kB=2048',
        '7fff bind:1 anon=2 dirty=2 N1=2 kernelpagesize_kB=4',
        '',
      ].join('\n'),
    );
    expect(residentMemory(7, proc, [0, 1])).toEqual({
      memory: [
        { node: 0, bytes: 60 * 4096 },
        { node: 1, bytes: 42 * 4096 + 3 * 2 ** 21 },
      ],
      hugePageBytes: 3 * 2 ** 21,
    });
  });

  it('is that of the one node where there is one, without a look at mappings, which a VMM may have any number of', () => {
    write('7/numa_maps', '55d0 default anon=1 N0=1 kernelpagesize_kB=4\n');
    write('7/status', 'Name:\tx\nVmRSS:\t      12 kB\nHugetlbPages:\t    2048 kB\n');
    expect(residentMemory(7, proc, [0])).toEqual({
      memory: [{ node: 0, bytes: 12 * 1024 + 2 ** 21 }],
      hugePageBytes: 2 ** 21,
    });
  });

  it('is unknown where there are more mappings than are read', () => {
    mkdirSync(join(proc, '7'));
    symlinkSync('/dev/zero', join(proc, '7/numa_maps'));
    expect(residentMemory(7, proc, [0, 1])).toEqual({ memory: null, hugePageBytes: null });
  });

  it('is unknown where the host kernel does not tell', () => {
    expect(residentMemory(7, proc)).toEqual({ memory: null, hugePageBytes: null });
  });
});
