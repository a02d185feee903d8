/** What is taken over of kerf as text. Pure. */
import type { KerfReport } from '../../kerf/contract.ts';
import { formatCpuList } from '../../sys/cpu-list.ts';
import { plainText } from '../../sys/text.ts';
import { formatBytes } from '../../sys/units.ts';
import { table } from '../kit/table.ts';

const MARKS = { adopt: '+', change: '~', forget: '-', refuse: '✗' } as const;

export function kerfText({ pool, kernels, changes }: KerfReport): string {
  const lines = [
    ...(pool === null ? ['Nothing is taken over.'] : poolLines(pool)),
    ...(kernels.length === 0 ? [] : ['', kernelTable(kernels).trimEnd()]),
    ...(changes.length === 0 ? [] : ['', 'An import would:']),
    ...changes.map(({ action, what, text }) => `${MARKS[action]} ${action} ${what}: ${text}`),
  ];
  return `${plainText(lines.join('\n'))}\n`;
}

const poolLines = ({ cpus, memoryBytes, functions }: NonNullable<KerfReport['pool']>): string[] => [
  `CPUs       ${cpus.length === 0 ? '-' : formatCpuList([...cpus].sort((a, b) => a - b))} (physical ids)`,
  `memory     ${formatBytes(memoryBytes)}`,
  ...(functions.length === 0 ? [] : [`functions  ${functions.join(' ')}`]),
];

function kernelTable(kernels: KerfReport['kernels']): string {
  return table(
    ['NAME', 'ID', 'STATUS', 'CPUS', 'MEMORY', 'FUNCTIONS', 'KERNEL'],
    kernels.map(({ name, id, status, cpus, memoryBytes, functions, image }) => [
      name,
      String(id),
      status,
      cpus.join(',') || '-',
      formatBytes(memoryBytes),
      functions.join(' ') || '-',
      image.version ?? image.kernel ?? '-',
    ]),
  );
}
