/**
 * `npm run bench -- NAME [--json]`: measures one family of figures, prints it and appends it to BENCHMARKS.md with the
 * machine it was seen on. Exit code 0 also when a goal is missed: a miss is reported, not hidden behind a failure.
 */
import { appendFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { argumentsOrHelp } from '../scripts/usage.ts';
import { balance } from './balance.ts';
import { channel } from './channel.ts';
import { containment } from './containment.ts';
import { devicetree } from './devicetree.ts';
import { flood } from './flood.ts';
import { guest } from './guest.ts';
import { idle } from './idle.ts';
import { moves } from './moves.ts';
import { multikernel } from './multikernel.ts';
import { pci } from './pci.ts';
import { plan } from './plan.ts';
import { replay } from './replay.ts';
import type { Bench, Row } from './row.ts';
import { run } from './run.ts';
import { service } from './service.ts';
import { sriov } from './sriov.ts';
import { upgrade } from './upgrade.ts';
import { inWorkplace } from './workplace.ts';

const BENCHES: Record<string, Bench> = {
  balance,
  channel,
  containment,
  devicetree,
  flood,
  guest,
  idle,
  moves,
  multikernel,
  pci,
  plan,
  replay,
  run,
  service,
  sriov,
  upgrade,
};

const USAGE = `usage: npm run bench -- [${Object.keys(BENCHES).join('|')}]... [--json]`;
const args = argumentsOrHelp(USAGE);
const json = args.includes('--json');
const names = args.filter((arg) => !arg.startsWith('-'));
const unknown = names.filter((name) => !(name in BENCHES));
if (unknown.length > 0 || args.some((arg) => arg.startsWith('-') && arg !== '--json')) {
  console.error(USAGE);
  process.exit(2);
}

await inWorkplace(async () => {
  for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
    const rows = await BENCHES[name]!((text) => {
      if (process.stderr.isTTY) process.stderr.write(`${text}\n`);
    });
    console.log(json ? JSON.stringify(rows) : table(rows));
    await appendFile(join(import.meta.dirname, '..', 'BENCHMARKS.md'), section(name, rows));
  }
});

function number(value: number): string {
  if (!Number.isFinite(value)) return '-';
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

function table(rows: readonly Row[]): string {
  const head = '| figure | seen | peer | ratio | goal | met |\n| --- | --- | --- | --- | --- | --- |';
  const body = rows.map((row) => {
    const met = row.noise !== undefined ? 'noise' : row.met ? 'yes' : `**no**`;
    const note = row.note === undefined ? '' : `<br>${row.note.replaceAll('|', '\\|')}`;
    return `| ${row.name}${note} | ${number(row.value)} ${row.unit} | ${row.peer}: ${number(row.peerValue)} ${row.unit} | ${number(row.ratio)} | ${row.goal} | ${met} |`;
  });
  return [head, ...body].join('\n');
}

function section(name: string, rows: readonly Row[]): string {
  const cpu = cpus();
  const machine = `${cpu.length} x ${cpu[0]?.model ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`;
  return `\n## ${name}, ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC\n\n${machine}\n\n${table(rows)}\n`;
}
