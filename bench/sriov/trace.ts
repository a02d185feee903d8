/** The recorded life of a virtual function. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Width } from '../../src/pci/source.ts';

export const TRACE = join(import.meta.dirname, 'trace.txt');

export interface Recorded {
  step: string;
  kind: 'read' | 'write';
  offset: number;
  width: Width;
  value: number;
}

export interface Trace {
  /** What the function shows once it is there. */
  image: Uint8Array;
  accesses: readonly Recorded[];
}

export function readTrace(text: string = readFileSync(TRACE, 'utf8')): Trace {
  const accesses: Recorded[] = [];
  let image = new Uint8Array(4096);
  let step = '';
  for (const line of text.split('\n')) {
    const [word, ...rest] = line.split(' ');
    if (word === 'image') image = imageOf(rest);
    else if (word === 'step') step = rest.join(' ');
    else if (word === 'r' || word === 'w')
      accesses.push({
        ...{ step, kind: word === 'r' ? 'read' : 'write', offset: Number.parseInt(rest[0]!, 16) },
        ...{ width: Number(rest[1]) as Width, value: Number.parseInt(rest[2]!, 16) },
      });
  }
  return { image, accesses };
}

function imageOf(dwords: readonly string[]): Uint8Array<ArrayBuffer> {
  const image = new Uint8Array(4096);
  const view = new DataView(image.buffer);
  for (const [index, dword] of dwords.entries()) view.setUint32(4 * index, Number.parseInt(dword, 16), true);
  return image;
}
