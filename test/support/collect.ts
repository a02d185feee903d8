import type { GuestProcess } from '../../src/guest/index.ts';

/** Runs a guest process to its end and gives all it said, as text. */
export async function collect(process: GuestProcess) {
  let stdout = '';
  let stderr = '';
  process.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  process.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exit = await process.exited;
  return { exit, stdout, stderr };
}
