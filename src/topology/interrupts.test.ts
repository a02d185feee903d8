import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readInterrupts } from './interrupts.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pk-irq-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

test('takes where an interrupt really fires before where it may', () => {
  write('proc/interrupts', '      CPU0  CPU1\n 24:  1  0  IO-APIC  5-edge  ACPI:Ged\n');
  write('proc/irq/24/smp_affinity_list', '0-1\n');
  write('proc/irq/24/effective_affinity_list', '1\n');
  expect(readInterrupts(root)).toEqual([{ irq: 24, name: 'ACPI:Ged', cpus: [1] }]);
});

test('falls back to the allowed CPUs on an old kernel and for an interrupt not started', () => {
  write('proc/irq/9/smp_affinity_list', '0-3,8\n');
  write('proc/irq/10/smp_affinity_list', '2\n');
  write('proc/irq/10/effective_affinity_list', '\n');
  expect(readInterrupts(root)).toEqual([
    { irq: 9, name: '', cpus: [0, 1, 2, 3, 8] },
    { irq: 10, name: '', cpus: [2] },
  ]);
});

test('leaves out what cannot be read or understood', () => {
  write('proc/irq/default_smp_affinity', 'f\n');
  write('proc/irq/5/smp_affinity', 'f\n');
  write('proc/irq/6/smp_affinity_list', 'none of it\n');
  expect(readInterrupts(root)).toEqual([]);
  expect(readInterrupts(join(root, 'nowhere'))).toEqual([]);
});

test('names the handlers on x86, arm64 and ppc', () => {
  const lines = [
    '           CPU0       CPU1',
    '  8:          0          0   IO-APIC   8-edge      rtc0',
    ' 16:          9          1   IO-APIC  16-fasteoi   ehci_hcd:usb1, i801_smbus',
    ' 36:          0         16  IR-PCI-MSI 524288-edge      nvme0q1',
    ' 28:          0          0 PCI-MSIX-0000:00:01.0   0-edge      virtio0-config',
    ' 11:       1000          2     GICv3  27 Level     arch_timer',
    ' 40:          3          0  XICS 4101 Edge  ibmvscsi',
    'NMI:          0          0   Non-maskable interrupts',
  ];
  write('proc/interrupts', `${lines.join('\n')}\n`);
  for (const irq of [8, 11, 16, 28, 36, 40]) write(`proc/irq/${irq}/smp_affinity_list`, '0\n');
  expect(readInterrupts(root).map(({ name }) => name)).toEqual([
    'rtc0',
    'arch_timer',
    'ehci_hcd:usb1, i801_smbus',
    'virtio0-config',
    'nvme0q1',
    'ibmvscsi',
  ]);
});

test('reads this host', () => {
  for (const { irq, cpus } of readInterrupts()) {
    expect(Number.isInteger(irq)).toBe(true);
    expect(cpus.length).toBeGreaterThan(0);
  }
});
