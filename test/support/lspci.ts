/** The oracle: what Debian's lspci says of a dump. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findTool, toolPath } from '../../src/sys/tools.ts';

export const hasLspci = findTool('lspci') !== undefined;

export interface LspciCapability {
  offset: number;
  title: string;
  /** `Name+` and `Name-` with the label of the register they stand behind; '' in the title's line. */
  flags: { register: string; name: string; set: boolean }[];
}

/** Capabilities by function, as `lspci -vvv` says them; its flags in the header as those of a capability at 0. */
export function lspci(dump: string): Map<string, LspciCapability[]> {
  const directory = mkdtempSync(join(tmpdir(), 'pk-lspci-'));
  try {
    writeFileSync(join(directory, 'dump'), dump);
    const tool = toolPath('lspci');
    const { stdout } = spawnSync(tool.path, ['-F', join(directory, 'dump'), '-D', '-n', '-vvv'], {
      env: { ...process.env, ...tool.env },
      encoding: 'latin1',
      maxBuffer: 64 * 1024 * 1024,
    });
    return parse(stdout);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function parse(text: string): Map<string, LspciCapability[]> {
  const functions = new Map<string, LspciCapability[]>();
  let now: LspciCapability[] = [];
  let label = '';
  for (const line of text.split('\n')) {
    const address = /^([\da-f]{4}:\S+) /.exec(line)?.[1];
    if (address !== undefined) {
      now = [{ offset: 0, title: '', flags: [] }];
      functions.set(address, now);
      label = '';
      continue;
    }
    const [, place, title] = /^\tCapabilities: \[([\da-f]+)(?: v\d+)?\] (.*)$/.exec(line) ?? [];
    if (place !== undefined) {
      now.push({ offset: Number.parseInt(place, 16), title: title!, flags: [] });
      label = '';
    } else label = /^\t+([A-Za-z][\w ]*):/.exec(line)?.[1] ?? label;
    const last = now.at(-1);
    // `PME(D0-,D1+,D3hot-)` is one flag for each state.
    const rest = line.replace(/PME\(([^)]*)\)/, (_, states: string) => {
      for (const [, state, sign] of states.matchAll(/(\w+)([+-])/g))
        last?.flags.push({ register: label, name: `PME(${state})`, set: sign === '+' });
      return '';
    });
    for (const [, name, sign] of rest.matchAll(/(?<![\w+])([\w/<>.-]+?)([+-])(?=[,;\s]|$)/g))
      last?.flags.push({ register: label, name: name!, set: sign === '+' });
  }
  return functions;
}
