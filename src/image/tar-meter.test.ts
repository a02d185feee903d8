import fc from 'fast-check';
import { type Header, pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { TarMeter } from './tar-meter.ts';

const BOUNDS = { bytes: 2 ** 24, entries: 1000, names: 100, lookups: 50_000 };

async function tar(entries: readonly (Partial<Header> & { name: string; body?: string })[]): Promise<Buffer> {
  const archive = pack();
  for (const { body, ...header } of entries) archive.entry(header as Header, body ?? '');
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function measure(bytes: Buffer, piece = bytes.length): TarMeter {
  const meter = new TarMeter(BOUNDS);
  for (let at = 0; at < bytes.length; at += piece) meter.feed(bytes.subarray(at, at + piece));
  meter.end();
  return meter;
}

describe('TarMeter', () => {
  it.each([1, 7, 512, 10_240, 1 << 20])('counts the same in pieces of %i bytes', async (piece) => {
    const bytes = await tar([
      { name: './', type: 'directory', mode: 0o700, uid: 5, gid: 6, mtime: new Date(9000) },
      { name: 'usr/bin/tool', body: 'x'.repeat(5000) },
      { name: `etc/${'long'.repeat(60)}/name`, body: 'y' },
      { name: 'bin', type: 'symlink', linkname: 'usr/bin' },
      { name: 'home/\u00fc', pax: { 'SCHILY.xattr.user.x': 'z'.repeat(700) }, body: 'z' },
    ]);
    const meter = measure(bytes, piece);
    // Five, and usr, usr/bin, etc, the long one and home, which are on the way to them.
    expect(meter.entries).toBe(10);
    expect([...meter.names]).toEqual(['usr', 'etc', 'bin', 'home']);
    expect(meter.root).toEqual({ mode: 0o700, uid: 5, gid: 6, mtime: 9 });
  });

  it.each([
    ['a directory that has content', { 156: '5' }, /a directory that has content/],
    ['a file that is a directory by its name', { 0: 'd/\0' }, /a directory that has content/],
    ['a size for all that follows', { 156: 'g' }, /one name or size for all/],
  ])('refuses %s, behind which an unpacker sees other entries', async (_, change, reason) => {
    const bytes = await tar([{ name: 'a', body: '12 size=100\n' }, { name: 'b' }]);
    for (const [at, text] of Object.entries(change)) bytes.write(text, Number(at), 'latin1');
    repair(bytes.subarray(0, 512));
    expect(() => measure(bytes)).toThrow(reason);
  });

  it.each(['ustar\x0000', 'ustar  \0', '\0'.repeat(8)])(
    'knows the first part of a name in an archive of kind %j',
    async (kind) => {
      const bytes = await tar([{ name: 'b' }]);
      bytes.write('a', 345, 'latin1');
      bytes.write(kind, 257, 'latin1');
      repair(bytes.subarray(0, 512), true);
      expect([...measure(bytes).names]).toEqual(['a']);
      expect(measure(bytes).entries).toBe(2);
    },
  );

  it('knows what an extended header says, of either kind', async () => {
    const bytes = await tar([{ name: 'a', pax: { path: 'c' }, body: 'x' }]);
    bytes.write('X', 156, 'latin1');
    repair(bytes.subarray(0, 512));
    expect([...measure(bytes).names]).toEqual(['c']);
  });

  const some = (count: number, name: (index: number) => string) =>
    Array.from({ length: count }, (_, index) => ({ name: name(index) }));

  it.each([
    ['in one directory', (index: number) => `usr/doc/${index}`, /its directory \/usr\/doc holds more than 100 names/],
    ['in the uppermost one', (index: number) => `./${index}`, /its directory \/ holds more than 100 names/],
    [
      'on the way to others',
      (index: number) => `usr//./doc/${index}/x`,
      /its directory \/usr\/doc holds more than 100/,
    ],
  ])('holds its bound of names %s', async (_, name, reason) => {
    expect(measure(await tar(some(100, name))).entries).toBeGreaterThanOrEqual(100);
    const bytes = await tar(some(101, name));
    expect(() => measure(bytes)).toThrow(reason);
  });

  it('holds its bound of what is gone through', async () => {
    const below = (index: number) => `usr/${index % 90}/${Math.floor(index / 90)}`;
    expect(measure(await tar(some(400, below))).entries).toBe(491);
    const bytes = await tar(some(800, below));
    expect(() => measure(bytes)).toThrow(/too many names in and below large directories/);
  });

  it('tells names apart that are no text, and says where they are in text', async () => {
    const bytes = await tar(
      some(101, (index) => `\u001b/#${String(index).padStart(3, '0')}/`).map((entry) => ({
        ...entry,
        type: 'directory' as const,
      })),
    );
    for (let at = 0; at < bytes.length; at += 512) {
      if (bytes[at + 2] !== 0x23) continue;
      for (let digit = at + 3; digit < at + 6; digit++) bytes[digit]! += 0x90;
      repair(bytes.subarray(at, at + 512));
    }
    expect(() => measure(bytes)).toThrow('its directory / holds more than 100 names');
  });

  it('counts directories that no entry names', async () => {
    const bytes = await tar(some(400, (index) => `${index % 20}/${index}/x/y`));
    expect(() => measure(bytes)).toThrow(/more than 1000 entries/);
  });

  it('refuses a path without end', async () => {
    const bytes = await tar([{ name: 'a/'.repeat(129), type: 'directory' }]);
    expect(() => measure(bytes)).toThrow(/a path of more than 128 names/);
  });

  it('goes by the size that a pax header states', async () => {
    const bytes = await tar([{ name: 'a', body: '12345', pax: { size: '5' } }, { name: 'b' }]);
    // The header of its own says that nothing follows.
    bytes.write('00000000000', 1024 + 124, 'latin1');
    bytes.fill(' ', 1024 + 148, 1024 + 156);
    const sum = bytes.subarray(1024, 1536).reduce((total, byte) => total + byte, 0);
    bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 1024 + 148, 'latin1');
    expect(measure(bytes).entries).toBe(2);
  });

  it('is through with anything, and throws nothing but what is wrong', async () => {
    const sound = await tar([
      { name: 'a'.repeat(150), body: 'x'.repeat(600) },
      { name: 'b', pax: { path: 'c' } },
    ]);
    const changes = fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { maxLength: 6 });
    fc.assert(
      fc.property(changes, fc.nat(sound.length), (edits, length) => {
        const bytes = Buffer.from(sound.subarray(0, length));
        for (const [at, value] of edits) if (at < length) bytes[at] = value;
        for (let at = 0; at + 512 <= length; at += 512) repair(bytes.subarray(at, at + 512));
        try {
          expect(measure(bytes, 333).entries).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

/** Makes the sum of what may be a header right, so that what it says is read. */
function repair(block: Buffer, isHeader = block.includes('ustar')): void {
  if (!isHeader) return;
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}
