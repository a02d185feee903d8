/** Ethernet frames as a guest may forge them, in hexadecimal, and what sends them: test/fixtures/frames.c. */
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/sys/process.ts';

export const BROADCAST = 'ff:ff:ff:ff:ff:ff';
export const LINK_LOCAL_GROUP = '01:80:c2:00:00:0e';

const hex = (mac: string) => mac.replaceAll(':', '');
const quad = (address: string) => address.split('.').map(Number);
const toHex = (numbers: readonly number[]) => Buffer.from(numbers).toString('hex');
const mark = (word: string) => Buffer.from(`mark:${word}\0`).toString('hex');

/** A frame of any type that carries a mark. */
export const frame = (to: string, from: string, type: string, word: string, before = ''): string =>
  hex(to) + hex(from) + type + before + mark(word).padEnd(96, '0');

/** UDP in IPv4; what is in front of the type: such as a VLAN tag. */
export function ipv4(to: string, from: string, target: string, source: string, word: string, tag = ''): string {
  const payload = mark(word);
  const length = 28 + payload.length / 2;
  const header = [0x45, 0, length >> 8, length & 255, 0, 0, 0, 0, 64, 17, 0, 0, ...quad(source), ...quad(target)];
  header.splice(10, 2, ...checksum(header));
  const size = length - 20;
  return hex(to) + hex(from) + tag + '0800' + toHex([...header, 0, 9, 0, 9, size >> 8, size & 255, 0, 0]) + payload;
}

/** The sum of 16-bit words, as Internet headers have it. */
function checksum(octets: readonly number[]): [number, number] {
  let sum = 0;
  for (let at = 0; at < octets.length; at += 2) sum += octets[at]! * 256 + octets[at + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return [(~sum >> 8) & 255, ~sum & 255];
}

/** TCP in IPv4 without data, with right sums. `port` is that of the sender; `options` of IPv4 fill whole words. */
export function tcp(
  ends: { to: string; from: string; target: string; source: string },
  { port, flags, number, ttl = 64, options = [] }: TcpSegment,
): string {
  const [source, target] = [quad(ends.source), quad(ends.target)];
  const segment = [port >> 8, port & 255, 0, 9, 0, 0, 0, number, 0, 0, 0, 0, 0x50, flags, 4, 0, 0, 0, 0, 0];
  segment.splice(16, 2, ...checksum([...source, ...target, 0, 6, 0, segment.length, ...segment]));
  const words = 5 + options.length / 4;
  const header = [0x40 + words, 0, 0, words * 4 + segment.length, 0, 0, 0, 0, ttl, 6, 0, 0, ...source, ...target];
  header.push(...options);
  header.splice(10, 2, ...checksum(header));
  return `${hex(ends.to)}${hex(ends.from)}0800${toHex([...header, ...segment])}`;
}

/**
 * An error of ICMP to `target`, that a packet of its is too large, which was for `about`; in fragments: the first, of `bytes` of it.
 */
export function tooLarge(from: End, target: End, about: string, bytes = 36): string {
  const inner = [0x45, 0, 5, 220, 0, 1, 0x40, 0, 64, 17, 0, 0, ...quad(target.address), ...quad(about)];
  inner.splice(10, 2, ...checksum(inner));
  const error = [3, 4, 0, 0, 0, 0, 2, 40, ...inner, 0, 7, 0, 53, 5, 200, 0, 0];
  error.splice(2, 2, ...checksum(error));
  const more = bytes < error.length ? 0x20 : 0;
  const header = [0x45, 0, 0, 20 + bytes, 0, 2, more, 0, 64, 1, 0, 0, ...quad(from.address), ...quad(target.address)];
  header.splice(10, 2, ...checksum(header));
  return `${hex(target.mac)}${hex(from.mac)}0800${toHex([...header, ...error.slice(0, bytes)])}`.padEnd(120, '0');
}

/** A part of a UDP datagram: its bytes from `offset` on; `more`: there is more behind it. */
export function fragment(from: End, target: End, id: number, offset: number, bytes: number, more: boolean): string {
  const place = offset / 8 + (more ? 0x2000 : 0);
  const size = 20 + bytes;
  const header = [0x45, 0, size >> 8, size & 255, id >> 8, id & 255, place >> 8, place & 255, 64, 17, 0, 0];
  header.push(...quad(from.address), ...quad(target.address));
  header.splice(10, 2, ...checksum(header));
  return `${hex(target.mac)}${hex(from.mac)}0800${toHex([...header, ...new Array<number>(bytes).fill(0)])}`.padEnd(
    120,
    '0',
  );
}

interface End {
  mac: string;
  address: string;
}

/**
 * The beginning of what is written to a tap, with its header in front (struct virtio_net_hdr): a frame of TCP that is to be cut
 * into segments of so many bytes; 0: it is not.
 */
export function largeSegment(from: End, to: End, bytes: number, segmentBytes: number): string {
  const word = (value: number) => [value & 255, value >> 8];
  const cut = segmentBytes > 0 ? 1 : 0;
  const head = [cut, cut, ...word(54), ...word(segmentBytes), ...word(34), ...word(16)];
  const [source, target] = [quad(from.address), quad(to.address)];
  const length = bytes - 10 - 14;
  const header = [0x45, 0, length >> 8, length & 255, 0, 1, 0, 0, 64, 6, 0, 0, ...source, ...target];
  header.splice(10, 2, ...checksum(header));
  const segment = [0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 4, 0, 0, 0, 0, 0];
  return `${toHex(head)}${hex(to.mac)}${hex(from.mac)}0800${toHex([...header, ...segment])}`;
}

export const SYN = 2;
export const RST = 4;

interface TcpSegment {
  port: number;
  flags: number;
  /** The sequence number, below 256. */
  number: number;
  ttl?: number;
  options?: readonly number[];
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
      ...['0001080006040', operation.toString(16).padStart(3, '0'), hex(sender.mac), toHex(quad(sender.ip))],
      ...['000000000000', toHex(quad(target))],
    ].join(''),
  );

/** Compiles the program that sends and hears frames to `path`. */
export async function compileFrames(path: string): Promise<void> {
  await compileFixture('frames', path);
}

/** Compiles test/fixtures/NAME.c, or all C files of the folder NAME, to a static program. */
export async function compileFixture(name: string, path: string): Promise<void> {
  const fixtures = join(import.meta.dirname, '../fixtures');
  const argv = ['musl-gcc', '-static', '-O1', '-o', path];
  const sources = globSync(`{${name}.c,${name}/*.c}`, { cwd: fixtures }).map((file) => join(fixtures, file));
  const compiled = await run([...argv, ...sources]);
  if (compiled.code !== 0) throw new Error(`${name}: ${compiled.stderr}`);
}
