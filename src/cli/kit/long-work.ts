/** Runs something that takes a while: progress on a terminal, plain lines elsewhere. */
import { plainLine } from '../../sys/text.ts';
import { Progress } from './output.ts';

export async function withProgress<T>(work: (say: (text: string) => void) => Promise<T>): Promise<T> {
  const progress = new Progress();
  const plain = process.stderr.isTTY !== true;
  let last = '';
  try {
    return await work((text) => {
      if (plain && text !== last) process.stderr.write(`${plainLine(text)}\n`);
      last = text;
      progress.say(text);
    });
  } finally {
    progress.clear();
  }
}
