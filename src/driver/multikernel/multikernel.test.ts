/** What the driver reads of a machine, and what it makes for a kernel: without a machine. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { spawnKernel } from '../../../test/support/multikernel/images.ts';
import { toolPath } from '../../sys/tools.ts';
import { type HostLook, multikernelChecks } from './checks.ts';
import { CpuMap, parseCpuinfo } from './cpus.ts';
import { MultikernelDriver } from './driver.ts';
import { largestGap, parseIomem } from './iomem.ts';
import { PACKED_ROOT, packRoot } from './pack-root.ts';
import { chunkBytes } from './pool.ts';
import { BroughtStore, instanceName } from './record.ts';
import { checkSameSource, checkSpawnKernel, commandLine } from './spawn-image.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pk-mk-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const cpu = (logical: number, apic: number) =>
  `processor\t: ${logical}\nmodel name\t: x\napicid\t\t: ${apic}\ninitial apicid\t: ${apic + 100}\n\n`;

describe('which CPU is which', () => {
  it('is read in pairs, and kept for those that have vanished, until the machine boots anew', () => {
    expect(parseCpuinfo(cpu(0, 0) + cpu(1, 2) + cpu(8, 1))).toEqual([
      [0, 0],
      [1, 2],
      [8, 1],
    ]);
    const [cpuinfo, saved] = [join(home, 'cpuinfo'), join(home, 'cache', 'cpus.json')];
    writeFileSync(cpuinfo, cpu(0, 0) + cpu(1, 2) + cpu(2, 4));
    new CpuMap(cpuinfo, saved, 'boot').read();
    writeFileSync(cpuinfo, cpu(0, 0));
    const later = new CpuMap(cpuinfo, saved, 'boot');
    expect(later.physical([2, 1])).toEqual([4, 2]);
    expect(later.logical([4, 0])).toEqual([2, 0]);
    expect(() => new CpuMap(cpuinfo, saved, 'next boot').physical([1])).toThrow(/CPU 1 is not among/);
    writeFileSync(saved, 'no JSON');
    expect(new CpuMap(cpuinfo, saved, 'boot').read().size).toBe(1);
  });
});

describe('where memory is', () => {
  it('is read of the pool alone, with what lies in it', () => {
    const text = `00000000-00000fff : Reserved
100000000-13fffffff : Multikernel Memory Pool
  100018000-110017fff : mk-instance-1-web-region-0
    100018000-100018fff : kernel
  120000000-12fffffff : daxfs
140000000-17fffffff : System RAM
  140000000-1400fffff : Kernel code
180000000-1bfffffff : Multikernel Memory Pool
`;
    const chunks = parseIomem(text);
    expect(chunks.map(({ base, bytes, taken }) => [base, bytes, taken.map(({ name }) => name)])).toEqual([
      [0x1_0000_0000, 2 ** 30, ['mk-instance-1-web-region-0', 'daxfs']],
      [0x1_8000_0000, 2 ** 30, []],
    ]);
    expect(chunks.map(largestGap)).toEqual([2 ** 28, 2 ** 30]);
    // As others than root see it.
    expect(parseIomem('00000000-00000000 : Multikernel Memory Pool\n')).toHaveLength(1);
    expect(parseIomem('garbage\n')).toEqual([]);
  });

  it('is asked for with room for what the kernel keeps in it', () => {
    for (const bytes of [2 ** 28, 2 ** 33]) {
      expect(chunkBytes(bytes)).toBeGreaterThan(bytes + 96 * 1024);
      expect(chunkBytes(bytes) % 2 ** 21).toBe(0);
    }
  });

  it('that was brought is remembered until the machine boots anew', () => {
    const path = join(home, 'deep', 'brought.json');
    const brought = { cpus: [2], functions: [], chunks: [{ base: 4096, bytes: 4096 }], coming: null, strays: [] };
    new BroughtStore(path, 'boot').write(brought);
    expect(new BroughtStore(path, 'boot').read()).toEqual(brought);
    expect(new BroughtStore(path, 'next boot').read()).toEqual({
      cpus: [],
      functions: [],
      chunks: [],
      coming: null,
      strays: [],
    });
  });
});

describe('what a kernel is started from', () => {
  it('is a kernel of the patches, or refused before anybody loads it', () => {
    const path = join(home, 'vmlinux');
    writeFileSync(path, spawnKernel());
    expect(() => checkSpawnKernel(path)).not.toThrow();
    for (const note of [
      { name: 'MK', bytes: 4 },
      { name: 'MKX', bytes: 8 },
      { name: 'Xen', bytes: 8 },
    ]) {
      writeFileSync(path, spawnKernel(note));
      expect(() => checkSpawnKernel(path)).toThrow(/the note MK/);
    }
    writeFileSync(path, 'no ELF');
    expect(() => checkSpawnKernel(path)).toThrow(/no 64-bit ELF/);
    expect(() => checkSpawnKernel(home)).toThrow(/not a regular file/);
  });

  it('is of the source that the machine runs, whatever its maker has appended', () => {
    expect(() => checkSameSource('7.0.0-mk2+', '7.0.0-mk2-local')).not.toThrow();
    expect(() => checkSameSource('7.0.0-rc1', '7.0.0-rc2')).toThrow(/this machine runs/);
    expect(() => checkSameSource('7.1.0', '7.0.0')).toThrow(/this machine runs/);
  });

  it('never restarts the machine in a panic', () => {
    expect(commandLine(['nosmt'])).toMatch(/^console=mktty0 .* nosmt$/);
    expect(commandLine()).not.toContain('panic=');
    expect(() => commandLine(['panic=10'])).toThrow(/restart the whole machine/);
  });

  it('has an instance of its name alone', () => {
    expect(instanceName('0123456789abcdef0123456789abcdef')).toBe('pk-0123456789ab');
  });

  const pack = async (path: string, most = 2 ** 20, more = {}) => {
    const file = join(home, 'archive');
    const output = openSync(file, 'w');
    try {
      await packRoot({ kind: 'directory', path, ...more }, output, most);
    } finally {
      closeSync(output);
    }
    return readFileSync(file);
  };

  it('has its root packed as other programs unpack it', async () => {
    const root = join(home, 'root');
    mkdirSync(join(root, 'bin'), { recursive: true });
    writeFileSync(join(root, 'bin/odd length'), 'abc');
    writeFileSync(join(root, 'empty'), '');
    chmodSync(join(root, 'empty'), 0o4711);
    symlinkSync('/etc/passwd', join(root, 'link'));
    const archive = await pack(root);
    const out = join(home, 'out');
    mkdirSync(out);
    execFileSync(toolPath('busybox').path, ['cpio', '-idm'], {
      cwd: out,
      input: archive,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const listed = execFileSync('sh', ['-c', 'cd "$0" && find . -printf "%p %y %m %l\\n" | sort', out + PACKED_ROOT], {
      encoding: 'utf8',
    });
    expect(listed).toBe(
      execFileSync('sh', ['-c', 'cd "$0" && find . -printf "%p %y %m %l\\n" | sort', root], { encoding: 'utf8' }),
    );
    expect(readFileSync(join(out, PACKED_ROOT, 'bin/odd length'), 'utf8')).toBe('abc');
  });

  it('has no root that does not fit, was exchanged, or is no directory', async () => {
    const root = join(home, 'root');
    mkdirSync(root);
    writeFileSync(join(root, 'large'), '');
    truncateSync(join(root, 'large'), 2 ** 21);
    await expect(pack(root)).rejects.toMatchObject({ code: 'invalid', field: 'root' });
    await expect(pack(root, 2 ** 22, { inode: '1' })).rejects.toMatchObject({ code: 'conflict', field: 'root' });
    symlinkSync(root, join(home, 'to-root'));
    await expect(pack(join(home, 'to-root'))).rejects.toThrow();
  });
});

it('is nothing for machines whose CPUs cannot be stopped by force', async () => {
  const arch = Object.getOwnPropertyDescriptor(process, 'arch')!;
  Object.defineProperty(process, 'arch', { ...arch, value: 'arm64' });
  try {
    const { available, reason } = await new MultikernelDriver().probe();
    expect([available, reason]).toEqual([false, expect.stringContaining('by force on x86-64 alone')]);
  } finally {
    Object.defineProperty(process, 'arch', arch);
  }
});

describe('what doctor says', () => {
  const HOST: HostLook = {
    ...{ supported: true, mounted: true, commandLine: 'movablecore=4G', console: true },
    ...{ architecture: 'x64', cpus: 4, memoryBytes: 2 ** 34, isRoot: true },
  };
  const words = (change: Partial<HostLook>) =>
    multikernelChecks({ ...HOST, ...change }).map(({ id, status }) => `${id} ${status}`);

  it('is the first step that is not done', () => {
    expect(words({ supported: false })).toEqual(['multikernel-host ok']);
    expect(words({ mounted: false })).toEqual(['multikernel-host warn']);
    expect(words({ console: false })).toContain('multikernel-console missing');
    expect(words({ commandLine: 'quiet' })).toContain('multikernel-memory warn');
    expect(words({})).toContain('multikernel-memory ok');
  });

  it('is explained step by step to a machine that is none, with what is so already', () => {
    const [check] = multikernelChecks({ ...HOST, supported: false, cpus: 2 });
    const [title, ...steps] = check!.hint!.split('\n');
    expect(title).toContain('docs/multikernel.md');
    expect(steps.map((step) => /: so it is$/.test(step))).toEqual([false, false, true, false, false, true]);
    expect(steps[0]).toContain('this one is x64 with 2 CPUs and 16 GiB');
  });
});
