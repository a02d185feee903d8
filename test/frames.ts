/** Ethernet frames as a guest may forge them, in hexadecimal, and what sends them: test/fixtures/frames.c. */
import { join } from 'node:path';
import { run } from '../src/sys/process.ts';

export const BROADCAST = 'ff:ff:ff:ff:ff:ff';
export const LINK_LOCAL_GROUP = '01:80:c2:00:00:0e';

const hex = (mac: string) => mac.replaceAll(':', '');
const quad = (address: string) => address.split('.').map(Number);
const bytes = (numbers: readonly number[]) => Buffer.from(numbers).toString('hex');
const mark = (word: string) => Buffer.from(`mark:${word}\0`).toString('hex');

/** A frame of any type that carries a mark. */
export const frame = (to: string, from: string, type: string, word: string, before = ''): string =>
  hex(to) + hex(from) + type + before + mark(word).padEnd(96, '0');

/** UDP in IPv4; what is in front of the type: such as a VLAN tag. */
export function ipv4(to: string, from: string, target: string, source: string, word: string, tag = ''): string {
  const payload = mark(word);
  const length = 28 + payload.length / 2;
  const header = [0x45, 0, length >> 8, length & 255, 0, 0, 0, 0, 64, 17, 0, 0, ...quad(source), ...quad(target)];
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header[at]! * 256 + header[at + 1]!;
  sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
  header[10] = sum >> 8;
  header[11] = sum & 255;
  const size = length - 20;
  return hex(to) + hex(from) + tag + '0800' + bytes([...header, 0, 9, 0, 9, size >> 8, size & 255, 0, 0]) + payload;
}

/** ARP: `sender` says of itself that it has this hardware address and this IP. */
export const arp = (
  to: string,
  from: string,
  operation: number,
  sender: { mac: string; ip: string },
  target: string,
  word: string,
): string =>
  frame(
    to,
    from,
    '0806',
    word,
    [
      ...['0001080006040', operation.toString(16).padStart(3, '0'), hex(sender.mac), bytes(quad(sender.ip))],
      ...['000000000000', bytes(quad(target))],
    ].join(''),
  );

/** Compiles the program that sends and hears frames to `path`. */
export async function compileFrames(path: string): Promise<void> {
  await compileFixture('frames', path);
}

/** Compiles test/fixtures/NAME.c to a static program. */
export async function compileFixture(name: string, path: string): Promise<void> {
  const fixtures = join(import.meta.dirname, 'fixtures');
  const argv = ['musl-gcc', '-static', '-O1', '-I', join(import.meta.dirname, '../native'), '-o', path];
  const compiled = await run([...argv, join(fixtures, `${name}.c`)]);
  if (compiled.code !== 0) throw new Error(`${name}: ${compiled.stderr}`);
}
