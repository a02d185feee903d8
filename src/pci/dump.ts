/** Dumps as `lspci -x`, `-xxx` and `-xxxx` write them: a line that begins with an address, then `10: 8 hexadecimal bytes ...`. */
import { PolykernelError } from '../sys/errors.ts';
import { normalizePciAddress } from '../topology/pci-address.ts';

/** More functions than buses can have in one domain. */
const MOST_FUNCTIONS = 65_536;

/** Bytes that lspci writes of a function: those without rights, of CardBus, of PCI, of PCI Express. */
const SIZES = [64, 128, 256, 4096];

/**
 * The images of a dump by address: 64, 256 or 4096 bytes each. Functions that only have a name are left out. Throws `invalid` naming the
 * line, also where a dump was cut short.
 */
export function parseDump(text: string): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  let now: { address: string; bytes: number[]; line: string; index: number } | undefined;
  let names = 0;
  const take = () => {
    const length = now?.bytes.length ?? 0;
    if (now === undefined || length === 0) return;
    if (!SIZES.includes(length))
      throw bad(
        now.index,
        now.line,
        `${length} bytes are no configuration space (${SIZES.join(', ')}): it was cut short`,
      );
    if (found.has(now.address)) throw bad(now.index, now.line, `${now.address} is there twice`);
    found.set(now.address, Uint8Array.from(length === 128 ? now.bytes.slice(0, 64) : now.bytes));
  };
  for (const [index, line] of text.split('\n').entries()) {
    const head = /^((?:[\da-f]{4,8}:)?[\da-f]{2}:[01][\da-f]\.[0-7])(?:\s|$)/i.exec(line);
    if (head !== null) {
      take();
      names += 1;
      now = { address: normalizePciAddress(head[1]!), bytes: [], line, index };
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
  const reason = names === 0 ? 'no function is named in it' : `it names ${names} functions, and has the bytes of none`;
  throw new PolykernelError('invalid', `--from: there is no configuration space in the dump: ${reason}`, {
    field: '--from',
    hint: WRITE,
  });
}

const WRITE = 'Write the dump by `lspci -D -xxxx > FILE` as root.';

const bad = (index: number, line: string, reason: string): PolykernelError =>
  new PolykernelError('invalid', `--from: line ${index + 1} (${JSON.stringify(line.slice(0, 80))}): ${reason}`, {
    field: '--from',
    value: line.slice(0, 80),
    hint: WRITE,
  });
