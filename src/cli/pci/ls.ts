/** `pk pci ls`: functions as a table, or below the bridges that lead to them. */
import { type FunctionFacts, type PciNames, readPciNames } from '../../pci/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { tableOf } from '../kit/table.ts';
import { PLACE_OPTIONS, withPlace } from './place.ts';
import { className, deviceName, ids } from './words.ts';

export const command: Command = {
  summary: 'list PCI functions',
  usage: '[--tree] [--root DIR | --from FILE] [--json]',
  description:
    'Asks the kernel alone: no function is woken or read. Names are those of pci.ids, where the machine has it (package pci.ids).',
  options: { tree: { help: 'below the bridges that lead to them' }, ...PLACE_OPTIONS, json: JSON_OPTION },
  arguments: [0, 0],
  examples: [
    ['pk pci ls --tree', 'what lies behind what'],
    ['pk pci ls --from dump.txt', 'of another machine'],
  ],
  run: (invocation) =>
    withPlace(invocation, (place) => {
      const all = place.addresses().map((address) => place.facts(address));
      const names = readPciNames();
      return answer(invocation, all, (rows) => (invocation.flag('tree') ? tree(rows, names) : list(rows, names)));
    }),
};

const list = (rows: readonly FunctionFacts[], names: PciNames): string =>
  tableOf<FunctionFacts>(
    [
      ['ADDRESS', ({ address }) => address],
      ['ID', ids],
      ['CLASS', (each) => className(each, names)],
      ['NAME', (each) => deviceName(each, names)],
      ['DRIVER', ({ driver }) => driver ?? '-'],
      ['VFS', virtual],
    ],
    rows,
  );

/** Virtual functions that there are and can be, or whose virtual function it is. */
function virtual({ virtualFunctions, physicalFunction }: FunctionFacts): string {
  if (physicalFunction !== null) return `of ${physicalFunction}`;
  return virtualFunctions === null ? '-' : `${virtualFunctions.count} of ${virtualFunctions.most}`;
}

/** Each function below its bridge; bridges of a snapshot that lead in a circle are shown once. */
function tree(rows: readonly FunctionFacts[], names: PciNames): string {
  const known = new Set(rows.map(({ address }) => address));
  const below = Map.groupBy(rows, ({ parent }) => (parent !== null && known.has(parent) ? parent : ''));
  const shown = new Set<string>();
  const lines: string[] = [];
  const show = (each: FunctionFacts, depth: number) => {
    if (shown.has(each.address)) return;
    shown.add(each.address);
    lines.push(`${'  '.repeat(depth)}${each.address}  ${className(each, names)}  ${deviceName(each, names)}`.trimEnd());
    for (const child of below.get(each.address) ?? []) show(child, depth + 1);
  };
  for (const each of [...(below.get('') ?? []), ...rows]) show(each, 0);
  return lines.map((line) => `${line}\n`).join('');
}
