/** Where interrupts may fire, read from procfs (Documentation/core-api/irq/irq-affinity.rst). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseCpuList } from '../sys/cpu-list.ts';

export interface Interrupt {
  irq: number;
  /** Handlers, as in /proc/interrupts; empty when nobody listens. */
  name: string;
  /** CPUs it may fire on. */
  cpus: readonly number[];
}

/**
 * The numbered interrupts below `root`/proc, ascending: on the CPUs the hardware really targets where the kernel says so
 * (effective_affinity_list, Linux >= 4.15), else on those it is allowed. What cannot be read or understood is left out.
 */
export function readInterrupts(root = '/'): Interrupt[] {
  const names = namesIn(read(join(root, 'proc/interrupts')) ?? '');
  return irqsBelow(join(root, 'proc/irq')).flatMap((irq) => {
    const cpus = affinity(join(root, 'proc/irq', String(irq)));
    return cpus === undefined ? [] : [{ irq, name: names.get(irq) ?? '', cpus }];
  });
}

function irqsBelow(folder: string): number[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^\d{1,9}$/.test(name))
      .map(Number)
      .sort((a, b) => a - b);
  } catch {
    return [];
  }
}

function affinity(folder: string): number[] | undefined {
  for (const file of ['effective_affinity_list', 'smp_affinity_list']) {
    const text = read(join(folder, file))?.trim();
    // Empty: the interrupt is not started, so its hardware targets nothing yet.
    if (text === undefined || text === '') continue;
    try {
      return parseCpuList(text);
    } catch {}
  }
  return undefined;
}

/** `24:  1  0  IO-APIC  5-edge  ACPI:Ged`: the words after one count per CPU, of which the last ones name handlers. */
function namesIn(table: string): Map<number, string> {
  const [head = '', ...lines] = table.split('\n');
  const columns = head.trim().split(/\s+/).length;
  return new Map(
    lines.flatMap((line) => {
      const match = /^\s*(\d+):\s+(.*)$/.exec(line);
      if (match === null) return [];
      return [[Number(match[1]), handlers(match[2]!.trim().split(/\s+/).slice(columns))] as const];
    }),
  );
}

/** Drops the controller, hardware number and trigger before the names; their number depends on the architecture. */
function handlers(words: readonly string[]): string {
  const trigger = words.findIndex((word) => /(^|-)(edge|level|fasteoi|none)$/i.test(word));
  return words.slice(trigger < 0 ? 1 : trigger + 1).join(' ');
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
