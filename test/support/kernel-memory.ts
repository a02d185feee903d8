/** Memory of a made-up kernel with a log, and dumps of it, for tests. */
import { deflateSync } from 'node:zlib';

const PAGE = 4096;
/** Where things lie, by page of the memory. */
const RING_PAGE = 2;
const TEXT_PAGE = 3;
const ENTRY_PAGE = 4;
const INFO_PAGE = 5;
const FACTS_PAGE = 6;
const PAGES = 8;
const COUNT_BITS = 3;
const SIZE_BITS = 9;

const LAYOUT = [
  'OFFSET(printk_ringbuffer.desc_ring)=8',
  'OFFSET(printk_ringbuffer.text_data_ring)=64',
  'OFFSET(prb_desc_ring.count_bits)=0',
  'OFFSET(prb_desc_ring.descs)=8',
  'OFFSET(prb_desc_ring.infos)=16',
  'OFFSET(prb_desc_ring.head_id)=24',
  'OFFSET(prb_desc_ring.tail_id)=32',
  'OFFSET(prb_data_ring.size_bits)=0',
  'OFFSET(prb_data_ring.data)=8',
  'SIZE(prb_desc)=24',
  'SIZE(printk_info)=88',
  'OFFSET(prb_desc.state_var)=0',
  'OFFSET(prb_desc.text_blk_lpos)=8',
  'OFFSET(prb_data_blk_lpos.begin)=0',
  'OFFSET(prb_data_blk_lpos.next)=8',
  'OFFSET(printk_info.ts_nsec)=8',
  'OFFSET(printk_info.text_len)=16',
];

/** Memory whose log says `lines`, a second apart; its first page has the address `base`. */
export function memoryWithLog(lines: readonly string[], base: bigint, facts: readonly string[] = []): Buffer {
  const memory = Buffer.alloc(PAGES * PAGE);
  const address = (page: number) => base + BigInt(page * PAGE);
  const word = (at: number, value: bigint) => memory.writeBigUInt64LE(BigInt.asUintN(64, value), at);
  const ring = RING_PAGE * PAGE + 256;
  word(RING_PAGE * PAGE, address(RING_PAGE) + 256n);
  memory.writeUInt32LE(COUNT_BITS, ring + 8);
  word(ring + 16, address(ENTRY_PAGE));
  word(ring + 24, address(INFO_PAGE));
  memory.writeUInt32LE(SIZE_BITS, ring + 64);
  word(ring + 72, address(TEXT_PAGE));
  let next = 0;
  const size = 1 << SIZE_BITS;
  lines.forEach((line, id) => {
    const bytes = 8 + Math.ceil(line.length / 8) * 8;
    const begin = next;
    const isWrapped = (begin % size) + bytes > size;
    next = isWrapped ? Math.ceil(begin / size) * size + bytes : begin + bytes;
    const place = TEXT_PAGE * PAGE + (isWrapped ? 0 : begin % size);
    memory.write(line, place + 8);
    const entry = ENTRY_PAGE * PAGE + (id % (1 << COUNT_BITS)) * 24;
    word(entry, BigInt(id) | (2n << 62n));
    word(entry + 8, BigInt(begin));
    word(entry + 16, BigInt(next));
    const info = INFO_PAGE * PAGE + (id % (1 << COUNT_BITS)) * 88;
    word(info + 8, BigInt(id) * 1_000_000_000n);
    memory.writeUInt16LE(line.length, info + 16);
  });
  word(ring + 32, BigInt(lines.length - 1));
  word(ring + 40, BigInt(Math.max(0, lines.length - (1 << COUNT_BITS))));
  const symbol = `SYMBOL(prb)=${address(RING_PAGE).toString(16)}`;
  memory.write(
    ['OSRELEASE=6.1.0-test', 'PAGESIZE=4096', symbol, ...LAYOUT, ...facts, ''].join('\n'),
    FACTS_PAGE * PAGE,
  );
  return memory;
}

/** kdump as QEMU writes it: one record after the other, pages packed, the first of them zero. */
export function flattenedKdump(memory: Buffer): Buffer {
  const pages = memory.length / PAGE;
  const header = Buffer.alloc(PAGE);
  header.write('KDUMP   ');
  header.writeUInt32LE(PAGE, 428);
  header.writeUInt32LE(1, 432);
  header.writeUInt32LE(2, 436);
  const sub = Buffer.alloc(PAGE);
  const notes = Buffer.alloc(12 + 8 + 336);
  notes.writeUInt32LE(5, 0);
  notes.writeUInt32LE(336, 4);
  notes.writeUInt32LE(1, 8);
  notes.write('CORE', 12);
  notes.writeBigUInt64LE(0xffffffff81000000n, 20 + 112 + 16 * 8);
  sub.writeBigUInt64LE(BigInt(PAGE + 200), 48);
  sub.writeBigUInt64LE(BigInt(notes.length), 56);
  notes.copy(sub, 200);
  const maps = Buffer.alloc(2 * PAGE);
  for (let frame = 0; frame < pages; frame++)
    for (const map of [0, PAGE]) maps[map + (frame >> 3)]! |= 1 << (frame & 7);
  const entries = Buffer.alloc(pages * 24);
  const packed: Buffer[] = [];
  let at = 4 * PAGE + entries.length;
  for (let frame = 0; frame < pages; frame++) {
    const page = memory.subarray(frame * PAGE, (frame + 1) * PAGE);
    const zlib = deflateSync(page, { level: 1 });
    const isSmaller = zlib.length < PAGE;
    const bytes = isSmaller ? zlib : page;
    entries.writeBigUInt64LE(BigInt(at), frame * 24);
    entries.writeUInt32LE(bytes.length, frame * 24 + 8);
    entries.writeUInt32LE(isSmaller ? 1 : 0, frame * 24 + 12);
    packed.push(bytes);
    at += bytes.length;
  }
  const begin = Buffer.alloc(4096);
  begin.write('makedumpfile');
  const record = (place: number, bytes: Buffer) => {
    const head = Buffer.alloc(16);
    head.writeBigInt64BE(BigInt(place), 0);
    head.writeBigInt64BE(BigInt(bytes.length), 8);
    return Buffer.concat([head, bytes]);
  };
  const end = Buffer.alloc(16, 0xff);
  const data = Buffer.concat(packed);
  return Buffer.concat([
    begin,
    // As QEMU does it: not in order.
    ...[record(0, header), record(2 * PAGE, maps), record(PAGE, sub)],
    ...[record(4 * PAGE + entries.length, data), record(4 * PAGE, entries), end],
  ]);
}
