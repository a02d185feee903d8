import fc from 'fast-check';
import { type Header, pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { TarMeter } from './tar-meter.ts';

const BOUNDS = { bytes: 2 ** 24, entries: 1000 };

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
    expect(meter.entries).toBe(5);
    expect([...meter.names]).toEqual(['usr', 'etc', 'bin', 'home']);
    expect(meter.root).toEqual({ mode: 0o700, uid: 5, gid: 6, mtime: 9 });
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
function repair(block: Buffer): void {
  if (!block.includes('ustar')) return;
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}
