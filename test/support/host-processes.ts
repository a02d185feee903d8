import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';

/** What makes a jail names other directories too: those that are hidden in it. The one it is for stands behind this. */
const DIRECTORY_OPTION: Readonly<Record<string, string>> = { 'pk-shim': '--dir', 'pk-cell': '--dir', bwrap: '--chdir' };

/** Processes of this machine, but for this one, whose command line says that they are of what `text` names, as a directory. */
export async function hostProcesses(text: string): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    const commandLine = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '');
    const argv = commandLine.split('\0');
    const option = DIRECTORY_OPTION[basename(argv[0]!)];
    const said = option === undefined ? commandLine : (argv[argv.indexOf(option) + 1] ?? '');
    if (said.includes(text)) found.push(Number(entry));
  }
  return found;
}
