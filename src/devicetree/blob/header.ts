/** The header of a blob (5.2), and where its blocks are. */
import { PolykernelError } from '../../sys/errors.ts';
import { HEADER, HEADER_BYTES, LAST_COMPATIBLE, MAGIC } from './layout.ts';

/** Blocks as offsets in `bytes`, which all lie within. */
export interface Blocks {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Bytes that belong to the blob. */
  readonly total: number;
  readonly reservations: number;
  readonly struct: number;
  readonly structEnd: number;
  readonly strings: number;
  readonly stringsEnd: number;
  readonly bootCpu: number;
}

/** What is wrong at an offset of a blob. */
export const blobError = (offset: number, problem: string): PolykernelError =>
  new PolykernelError('invalid', `device-tree blob, offset 0x${offset.toString(16)}: ${problem}`, {
    field: `0x${offset.toString(16)}`,
    hint: 'It was cut off or damaged, or is no blob of version 16 or 17.',
  });

/** Throws `invalid` unless every block lies in the blob, and it is of a version that can be read. */
export function readHeader(blob: Uint8Array): Blocks {
  if (blob.length < HEADER_BYTES[16]) throw blobError(blob.length, 'it ends within its header');
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  const word = (name: keyof typeof HEADER) => view.getUint32(HEADER[name]);
  if (word('magic') !== MAGIC) throw blobError(0, `it begins with 0x${word('magic').toString(16)}, not 0xd00dfeed`);
  const version = word('version');
  if (version < LAST_COMPATIBLE || word('lastCompatible') > 17)
    throw blobError(HEADER.version, `version ${version}, readable as ${word('lastCompatible')}, is not 16 or 17`);
  const total = word('totalSize');
  const header = version === 16 ? HEADER_BYTES[16] : HEADER_BYTES[17];
  if (total > blob.length) throw blobError(HEADER.totalSize, `it says it has ${total} bytes, there are ${blob.length}`);
  if (total < header) throw blobError(HEADER.totalSize, `it says it has ${total} bytes, less than its header`);
  const at = (name: 'structOffset' | 'stringsOffset' | 'reservationsOffset', align: number): number => {
    const offset = word(name);
    if (offset < header || offset > total) throw blobError(HEADER[name], `a block begins at 0x${offset.toString(16)}`);
    // 5.6: what reads words there may need them aligned.
    if (offset % align !== 0) throw blobError(HEADER[name], `a block is not on a multiple of ${align}`);
    return offset;
  };
  const end = (start: number, name: 'structSize' | 'stringsSize'): number => {
    if (word(name) > total - start) throw blobError(HEADER[name], 'a block is longer than the blob');
    return start + word(name);
  };
  const struct = at('structOffset', 4);
  const strings = at('stringsOffset', 1);
  return {
    bytes: blob,
    view,
    total,
    reservations: at('reservationsOffset', 8),
    struct,
    structEnd: version === 16 ? total : end(struct, 'structSize'),
    strings,
    stringsEnd: end(strings, 'stringsSize'),
    bootCpu: word('bootCpu'),
  };
}
