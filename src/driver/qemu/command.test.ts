import { describe, expect, it } from 'vitest';
import { type CommandSpec, kernelCommandLine, qemuCommand } from './command.ts';

const spec = (change: Partial<CommandSpec> = {}): CommandSpec => ({
  ...{
    program: '/usr/bin/qemu',
    firmware: ['/usr/share/qemu', '/usr/share/seabios'],
    accelerator: 'tcg',
    tscKhz: 2_600_000,
    cpus: 2,
    memoryBytes: 256 * 2 ** 20,
    start: 'boot',
  },
  ...{ rootImage: false, hugePageBytes: null, ...change },
});
const optionOf = (argv: readonly string[], option: string) => argv[argv.indexOf(option) + 1];
const devices = (argv: readonly string[]) => argv.filter((_, index) => argv[index - 1] === '-device');

describe('qemuCommand', () => {
  it('has the same devices in the same order for every start and root, and a card with nothing behind it where one is asked for', () => {
    const starts = ['boot', 'template', 'clone'] as const;
    const all = starts.flatMap((start) =>
      [true, false].map((rootImage) => devices(qemuCommand(spec({ start, rootImage })))),
    );
    for (const each of all) expect(each).toEqual(all[0]);
    expect(all[0]).toHaveLength(7);
    const card = 'virtio-net-pci,id=card,addr=0xf.0,romfile=';
    expect(devices(qemuCommand(spec({ start: 'clone', emptyCard: true })))).toEqual([...all[0]!, card]);
  });

  it('has an emulated CPU begin with requests of files itself, and no CPU of KVM, which runs on meanwhile', () => {
    const shares = (accelerator: 'tcg' | 'kvm') =>
      devices(qemuCommand(spec({ accelerator }))).filter((device) => device.startsWith('virtio-9p'));
    expect(shares('tcg').map((device) => device.endsWith(',ioeventfd=off'))).toEqual([true, true]);
    expect(shares('kvm').join()).not.toContain('ioeventfd');
  });

  it('gives the guest functions by what /sys says of them in its jail', () => {
    const functions = [
      { address: '0000:3b:00.2', group: 7, name: 'nic0' },
      { address: '0000:3b:00.3', group: 8, name: null },
    ];
    expect(devices(qemuCommand(spec({ functions }))).slice(7)).toEqual([
      'vfio-pci,id=pci-0000-3b-00-2,sysfsdev=/vmm/pci/0000:3b:00.2',
      'vfio-pci,id=pci-0000-3b-00-3,sysfsdev=/vmm/pci/0000:3b:00.3',
    ]);
  });

  it('shares the memory file only for a template', () => {
    expect(optionOf(qemuCommand(spec({ start: 'template' })), '-object')).toContain('share=on');
    expect(optionOf(qemuCommand(spec({ start: 'clone' })), '-object')).toContain('share=off');
    expect(qemuCommand(spec())).not.toContain('-object');
  });

  it('lets only a template, where no workload runs, start a program', () => {
    expect(optionOf(qemuCommand(spec({ start: 'template' })), '-sandbox')).toContain('spawn=allow');
    for (const start of ['boot', 'clone'] as const) {
      const sandbox = optionOf(qemuCommand(spec({ start })), '-sandbox');
      for (const right of ['obsolete', 'elevateprivileges', 'spawn', 'resourcecontrol'])
        expect(sandbox).toContain(`${right}=deny`);
    }
  });

  it('names where firmware is: QEMU itself looks below /usr, wherever it was unpacked', () => {
    const argv = qemuCommand(spec({ firmware: ['/cache/usr/share/qemu', '/cache/usr/share/seabios'] }));
    expect(argv.filter((_, index) => argv[index - 1] === '-L')).toEqual(
      spec({}).firmware.map((path) => `/cache${path}`),
    );
  });

  it('waits for its state as a clone, and needs no kernel then', () => {
    const argv = qemuCommand(spec({ start: 'clone' }));
    expect(optionOf(argv, '-incoming')).toBe('defer');
    expect(argv).not.toContain('-kernel');
  });

  it('has no memory that the host merges with that of others', () => {
    for (const start of ['boot', 'template', 'clone'] as const)
      expect(optionOf(qemuCommand(spec({ start })), '-machine')).toContain(',mem-merge=off');
  });

  it('uses KVM with the host processor, but for its machines within machines and its counters', () => {
    const argv = qemuCommand(spec({ accelerator: 'kvm' }));
    expect(optionOf(argv, '-accel')).toBe('kvm');
    expect(optionOf(argv, '-cpu')).toBe('host,vmx=off,svm=off,pmu=off');
  });
});

describe('kernelCommandLine', () => {
  it('keeps the protections of the kernel where a real processor runs it', () => {
    expect(kernelCommandLine(spec())).toContain('mitigations=off');
    for (const word of ['mitigations', 'rodata', 'init_on_alloc', 'tsc_early_khz'])
      expect(kernelCommandLine(spec({ accelerator: 'kvm' }))).not.toContain(word);
  });

  it('tells an emulated kernel the rate of the counter of this host, or lets it find a clock where that is of no use', () => {
    expect(kernelCommandLine(spec({ tscKhz: 2_596_000 }))).toContain('tsc=reliable');
    expect(kernelCommandLine(spec({ tscKhz: 2_596_000 }))).toContain('tsc_early_khz=2596000');
    expect(kernelCommandLine(spec({ tscKhz: null }))).not.toContain('tsc');
  });
});
