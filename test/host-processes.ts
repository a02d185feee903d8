import { readdir, readFile } from 'node:fs/promises';

/** Processes of this host whose command line names `text`: what a launch may have left behind. This process is not counted. */
export async function hostProcesses(text: string): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    const commandLine = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '');
    if (commandLine.includes(text)) found.push(Number(entry));
  }
  return found;
}
