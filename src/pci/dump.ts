/** Dumps as `lspci -x`, `-xxx` and `-xxxx` write them: a line that begins with an address, then `10: 8 hexadecimal bytes ...`. */
import { PolykernelError } from '../sys/errors.ts';
import { normalizePciAddress } from '../topology/pci-address.ts';

/** More functions than buses can have in one domain. */
const MOST_FUNCTIONS = 65_536;

/** The images of a dump by address: 64, 256 or 4096 bytes each. Throws `invalid` naming the line. */
export function parseDump(text: string): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  let now: { address: string; bytes: number[] } | undefined;
  const take = () => {
    if (now !== undefined && now.bytes.length >= 64) found.set(now.address, rounded(now.bytes));
  };
  for (const [index, line] of text.split('\n').entries()) {
    const head = /^((?:[\da-f]{4,8}:)?[\da-f]{2}:[01][\da-f]\.[0-7])(?:\s|$)/i.exec(line);
    if (head !== null) {
      take();
      now = { address: normalizePciAddress(head[1]!), bytes: [] };
      if (found.size >= MOST_FUNCTIONS) throw bad(index, line, `more than ${MOST_FUNCTIONS} functions`);
      continue;
    }
    const bytes = /^([\da-f]{2,3}):((?: [\da-f]{2}){1,16})\s*$/i.exec(line);
    if (bytes === null) continue;
    if (now === undefined) throw bad(index, line, 'bytes before the address of a function');
    if (Number.parseInt(bytes[1]!, 16) !== now.bytes.length)
      throw bad(index, line, `bytes of 0x${now.bytes.length.toString(16)} should come here`);
    for (const byte of bytes[2]!.trim().split(' ')) now.bytes.push(Number.parseInt(byte, 16));
  }
  take();
  if (found.size > 0) return found;
  throw new PolykernelError('invalid', 'there is no configuration space in the dump', {
    field: '--from',
    hint: 'Write it by `lspci -D -xxxx > FILE` as root.',
  });
}

/** To a size that a space has: what a dump lost in the middle is not there. */
const rounded = (bytes: readonly number[]): Uint8Array =>
  Uint8Array.from(bytes.slice(0, bytes.length >= 4096 ? 4096 : bytes.length >= 256 ? 256 : 64));

const bad = (index: number, line: string, reason: string): PolykernelError =>
  new PolykernelError('invalid', `--from: line ${index + 1} (${JSON.stringify(line.slice(0, 80))}): ${reason}`, {
    field: '--from',
    value: line.slice(0, 80),
    hint: 'Write the dump by `lspci -D -xxxx > FILE` as root.',
  });
