/** The kernel's log out of its memory: the ring of records of Linux 5.10 and later, laid out as the kernel says. Everything is hostile. */

type Read = (address: bigint, length: number) => Buffer | undefined;

const MOST_COUNT_BITS = 20;
const MOST_SIZE_BITS = 26;
const MOST_LOG_BYTES = 8 * 2 ** 20;
/** Of one record, whose like the kernel has in tens of bytes. */
const MOST_RECORD_BYTES = 1024;
const WORD = 8;
/** The two highest bits of a record's state word. */
const COMMITTED = 1n;
const FINALIZED = 2n;
const ID_MASK = (1n << 62n) - 1n;

/** Lines, or why there are none. */
export function kernelLog(read: Read, facts: ReadonlyMap<string, string>): string[] | { none: string } {
  const number = (name: string): number => {
    const text = facts.get(name);
    if (text === undefined || !/^\d{1,6}$/.test(text)) throw new Missing(`it does not say ${name}`);
    return Number(text);
  };
  const offset = (of: string) => number(`OFFSET(${of})`);
  const bytesAt = (address: bigint, length: number): Buffer => {
    const bytes = read(address, length);
    if (bytes === undefined) throw new Missing(`there is nothing at ${address.toString(16)}`);
    return bytes;
  };
  const word = (address: bigint): bigint => bytesAt(address, WORD).readBigUInt64LE();
  try {
    const symbol = facts.get('SYMBOL(prb)');
    if (symbol === undefined || !/^[0-9a-f]{1,16}$/.test(symbol)) throw new Missing('it does not say where its log is');
    const ring = word(BigInt(`0x${symbol}`));
    const records = ring + BigInt(offset('printk_ringbuffer.desc_ring'));
    const texts = ring + BigInt(offset('printk_ringbuffer.text_data_ring'));
    const at = (base: bigint, name: string) => base + BigInt(offset(name));
    const bits = (address: bigint, most: number): bigint => {
      const value = bytesAt(address, 4).readUInt32LE();
      if (value > most) throw new Missing(`its ring would be of 2^${value}`);
      return BigInt(value);
    };
    const countBits = bits(at(records, 'prb_desc_ring.count_bits'), MOST_COUNT_BITS);
    const sizeBits = bits(at(texts, 'prb_data_ring.size_bits'), MOST_SIZE_BITS);
    const layout = {
      ...{ count: 1n << countBits, size: 1n << sizeBits },
      ...{ entries: word(at(records, 'prb_desc_ring.descs')), infos: word(at(records, 'prb_desc_ring.infos')) },
      ...{ entryBytes: number('SIZE(prb_desc)'), infoBytes: number('SIZE(printk_info)') },
      data: word(at(texts, 'prb_data_ring.data')),
    };
    const places = {
      ...{ state: offset('prb_desc.state_var'), text: offset('prb_desc.text_blk_lpos') },
      ...{ begin: offset('prb_data_blk_lpos.begin'), next: offset('prb_data_blk_lpos.next') },
      ...{ time: offset('printk_info.ts_nsec'), length: offset('printk_info.text_len') },
    };
    const needs = [places.state, places.text + places.begin, places.text + places.next].map((place) => place + WORD);
    if (layout.entryBytes < Math.max(...needs) || layout.infoBytes < Math.max(places.time + WORD, places.length + 2))
      throw new Missing('its records are smaller than what is in them');
    if (Math.max(layout.entryBytes, layout.infoBytes) > MOST_RECORD_BYTES)
      throw new Missing('its records are larger than any');
    const [first, last] = [word(at(records, 'prb_desc_ring.tail_id')), word(at(records, 'prb_desc_ring.head_id'))];
    const lines: string[] = [];
    let taken = 0;
    const most = (last - first) & ID_MASK;
    for (let step = 0n; step <= most && step < layout.count && taken < MOST_LOG_BYTES; step++) {
      const id = (first + step) & ID_MASK;
      const index = id & (layout.count - 1n);
      const entry = read(layout.entries + index * BigInt(layout.entryBytes), layout.entryBytes);
      const info = read(layout.infos + index * BigInt(layout.infoBytes), layout.infoBytes);
      if (entry === undefined || info === undefined) continue;
      const state = entry.readBigUInt64LE(places.state);
      if ((state & ID_MASK) !== id || ![COMMITTED, FINALIZED].includes(state >> 62n)) continue;
      const begin = entry.readBigUInt64LE(places.text + places.begin);
      // Odd: a record without text.
      if ((begin & 1n) === 1n) continue;
      const next = entry.readBigUInt64LE(places.text + places.next);
      // What does not fit behind the last one lies at the beginning.
      const isWrapped = begin >> sizeBits !== next >> sizeBits && (next & (layout.size - 1n)) !== 0n;
      const from = isWrapped ? 0n : begin & (layout.size - 1n);
      const length = Math.min(info.readUInt16LE(places.length), Number(layout.size - from) - WORD);
      const text = length > 0 ? read(layout.data + from + BigInt(WORD), length) : Buffer.alloc(0);
      if (text === undefined) continue;
      taken += text.length + 16;
      lines.push(`${stamp(info.readBigUInt64LE(places.time))} ${text.toString('utf8')}`);
    }
    return lines;
  } catch (error) {
    if (error instanceof Missing) return { none: error.message };
    throw error;
  }
}

class Missing extends Error {}

/** As the kernel writes it. */
function stamp(nanoseconds: bigint): string {
  const seconds = nanoseconds / 1_000_000_000n;
  const micros = (nanoseconds % 1_000_000_000n) / 1000n;
  return `[${seconds.toString().padStart(5)}.${micros.toString().padStart(6, '0')}]`;
}
