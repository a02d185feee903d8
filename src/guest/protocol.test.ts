import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bareFrame,
  decodePairs,
  encodeFrame,
  encodeMessage,
  encodePairs,
  Flag,
  type Frame,
  FrameDecoder,
  MAX_MESSAGE,
  MAX_TO_GUEST,
  MAX_TO_HOST,
  ToHost,
} from './protocol.ts';

const anyFrame = fc.record({
  type: fc.integer({ min: 0, max: 255 }),
  flags: fc.integer({ min: 0, max: 3 }),
  session: fc.integer({ min: 0, max: 0xffffffff }),
  payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});
const encode = ({ type, session, payload, flags }: Frame) => encodeFrame(type, session, payload, flags);

/** Feeds `bytes` in pieces whose sizes repeat `sizes`. */
function decode(
  bytes: Buffer,
  sizes: number[],
  max = MAX_TO_HOST,
  bare = 0,
): { frames: Frame[]; decoder: FrameDecoder } {
  const decoder = new FrameDecoder(max);
  decoder.settle(max, bare);
  const frames: Frame[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    frames.push(...decoder.push(bytes.subarray(at, at + size)));
    at += size;
  }
  return { frames, decoder };
}

const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 10 });

describe('frames', () => {
  it('have the documented layout', () => {
    expect(encodeFrame(4, 0x01020304, Buffer.from('hi'), Flag.eof).toString('hex')).toBe(
      '504b04020403020102000000c21728f76869',
    );
  });

  it('survive any chunking', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 20 }), sizes, (frames, chunking) => {
        const { frames: seen, decoder } = decode(Buffer.concat(frames.map(encode)), chunking);
        expect(seen).toEqual(frames);
        expect(decoder.skipped).toBe(0);
      }),
    );
  });

  it('are found between garbage that begins no frame', () => {
    const garbage = fc
      .uint8Array({ minLength: 1, maxLength: 60 })
      .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0x4b ? 0 : byte))));
    fc.assert(
      fc.property(fc.array(fc.tuple(garbage, anyFrame), { minLength: 1, maxLength: 10 }), sizes, (list, chunking) => {
        const bytes = Buffer.concat(list.flatMap(([noise, frame]) => [noise, encode(frame)]));
        const { frames, decoder } = decode(bytes, chunking);
        expect(frames).toEqual(list.map(([, frame]) => frame));
        expect(decoder.skipped).toBe(list.reduce((sum, [noise]) => sum + noise.length, 0));
      }),
    );
  });

  it('are found after a frame cut short, once its length has passed', () => {
    fc.assert(
      fc.property(anyFrame, fc.nat(), anyFrame, sizes, (cut, at, next, chunking) => {
        const whole = encode(cut);
        const half = whole.subarray(0, at % whole.length);
        const bytes = Buffer.concat([half, Buffer.alloc(16 + MAX_TO_HOST), encode(next)]);
        expect(decode(bytes, chunking).frames.at(-1)).toEqual(next);
      }),
    );
  });

  it('with one flipped bit are dropped', () => {
    fc.assert(
      fc.property(anyFrame, fc.nat(), anyFrame, (frame, bit, next) => {
        const bytes = encode(frame);
        bytes[(bit >> 3) % bytes.length]! ^= 1 << (bit & 7);
        const { frames } = decode(Buffer.concat([bytes, Buffer.alloc(16 + MAX_TO_HOST), encode(next)]), [4096]);
        expect(frames).toEqual([next]);
      }),
    );
  });

  it('of hostile length are refused at once and nothing piles up', () => {
    const long = encodeFrame(67, 1, Buffer.alloc(MAX_TO_GUEST + 1));
    expect(decode(Buffer.concat([long, encodeFrame(1, 0)]), [10_000], MAX_TO_GUEST).frames).toHaveLength(1);
    const header = encodeFrame(67, 1);
    header.writeUInt16LE(MAX_TO_HOST, 8);
    const decoder = new FrameDecoder(MAX_TO_HOST);
    for (let round = 0; round < 2000; round++)
      expect(decoder.push(Buffer.concat([header, Buffer.alloc(100)]))).toEqual([]);
    expect(decoder.skipped).toBeGreaterThan(2000 * 116 - 16 - MAX_TO_HOST - 1);
  });

  describe('without a sum', () => {
    const bare = fc.record({
      type: fc.constantFrom(ToHost.stdout, ToHost.stderr),
      session: fc.integer({ min: 1, max: 3 }),
      payload: fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
    });
    const encodeBare = ({ type, session, payload }: Omit<Frame, 'flags'>) =>
      Buffer.concat(bareFrame(type, session, payload).slice(0, 2));

    it('carry their bytes in any chunking, between others', () => {
      const list = fc.array(
        fc.oneof(
          bare,
          anyFrame.map((frame) => ({ ...frame, flags: frame.flags })),
        ),
        { maxLength: 12 },
      );
      fc.assert(
        fc.property(list, sizes, (frames, chunking) => {
          const bytes = Buffer.concat(frames.map((frame) => ('flags' in frame ? encode(frame) : encodeBare(frame))));
          const { frames: seen, decoder } = decode(bytes, chunking, MAX_TO_HOST, 3000);
          const ofEach = (all: Omit<Frame, 'flags'>[]) =>
            [0, 1, 2, 3].map((session) =>
              Buffer.concat(all.filter((one) => one.session === session).map((one) => one.payload)),
            );
          expect(ofEach(seen)).toEqual(ofEach(frames));
          expect(decoder.skipped).toBe(0);
        }),
      );
    });

    it('are noise where nobody has agreed, too long, of another type, or with a wrong head', () => {
      const sound = encodeBare({ type: ToHost.stdout, session: 1, payload: Buffer.from('abc') });
      const wrong = Buffer.from(sound);
      wrong[5]! ^= 1;
      const long = encodeBare({ type: ToHost.stdout, session: 1, payload: Buffer.alloc(3001) });
      const other = encodeBare({ type: ToHost.credit, session: 1, payload: Buffer.alloc(4) });
      expect(decode(sound, [50], MAX_TO_HOST, 3000).frames).toHaveLength(1);
      for (const [bytes, taken] of [
        [sound, 0],
        [wrong, 3000],
        [long, 3000],
        [other, 3000],
      ] as const) {
        const { frames, decoder } = decode(Buffer.concat([bytes, Buffer.alloc(20)]), [50], MAX_TO_HOST, taken);
        expect(frames).toEqual([]);
        expect(decoder.skipped).toBeGreaterThan(bytes.length);
      }
    });
  });

  it('do not keep the memory of the chunk they came in', () => {
    const chunk = Buffer.concat([encodeFrame(67, 1, Buffer.from('abc'))]);
    const [frame] = new FrameDecoder(MAX_TO_HOST).push(chunk);
    chunk.fill(0);
    expect(frame!.payload.toString()).toBe('abc');
  });
});

describe('messages', () => {
  it('are split by MORE and come together again', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (payload) => {
        const frames = new FrameDecoder(MAX_TO_GUEST).push(Buffer.concat(encodeMessage(3, 9, payload)));
        expect(Buffer.concat(frames.map((frame) => frame.payload))).toEqual(Buffer.from(payload));
        expect(frames.map((frame) => frame.flags)).toEqual(
          frames.map((_, index) => (index < frames.length - 1 ? Flag.more : 0)),
        );
      }),
    );
  });

  it('have a greatest size', () => {
    expect(encodeMessage(3, 9, Buffer.alloc(MAX_MESSAGE))).toHaveLength(256);
    expect(() => encodeMessage(3, 9, Buffer.alloc(MAX_MESSAGE + 1))).toThrow(/bytes long/);
  });
});

describe('pairs', () => {
  const value = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\0', ''));
  it('keep order and repetition', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom('arg', 'env', 'cwd'), value)), (pairs) => {
        expect(decodePairs(encodePairs(pairs))).toEqual(pairs);
      }),
    );
  });

  it('refuse a NUL', () => {
    expect(() => encodePairs([['arg', 'a\0b']])).toThrow('arg contains a NUL character');
  });

  it('decode from anything without throwing', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => Array.isArray(decodePairs(bytes))));
  });
});
