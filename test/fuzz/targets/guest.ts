/** What a guest sends, piece by piece: frames, messages, files of its /proc. */
import { parseHello, SnapshotAssembler } from '../../../src/guest/messages.ts';
import {
  bareFrame,
  decodePairs,
  encodeFrame,
  encodePairs,
  type Frame,
  FrameDecoder,
  HEADER_BYTES,
  MAX_GREETING,
  MAX_SNAPSHOT,
  MAX_TO_HOST,
  ToHost,
} from '../../../src/guest/protocol.ts';
import { GUEST_FILES_WITH_PSI, GuestReader } from '../../../src/telemetry/guest.ts';
import { must, type Target } from '../target.ts';

const frames: Target = {
  name: 'guest-frames',
  dictionary: ['PK', 'PKPK', encodeFrame(71, 0, Buffer.from([1, 0, 0, 0])), encodeFrame(75, 3), Buffer.alloc(16, 0x50)],
  maxBytes: 16_384,
  run(input) {
    const whole = new FrameDecoder(MAX_TO_HOST);
    const found = whole.push(input);
    const cut = new FrameDecoder(MAX_TO_HOST);
    const step = 1 + (input[0] ?? 0) * 8;
    const again: Frame[] = [];
    for (let at = 0; at < input.length; at += step) again.push(...cut.push(input.subarray(at, at + step)));
    must(again.length === found.length, 'pieces decode to what the whole does');
    // Less than a header at the end may be noise or not: who got it piece by piece may know already.
    must(Math.abs(cut.skipped - whole.skipped) < HEADER_BYTES, 'pieces skip what the whole does');
    let bytes = whole.skipped;
    for (const [index, { type, flags, session, payload }] of found.entries()) {
      const encoded = encodeFrame(type, session, payload, flags);
      bytes += encoded.length;
      must(input.includes(encoded), 'a frame encodes to the bytes it came from');
      must(payload.equals(again[index]!.payload), 'pieces decode to the same payloads');
    }
    must(bytes <= input.length && input.length - bytes < HEADER_BYTES + MAX_TO_HOST, 'at most one frame is kept');
    const unsettled = new FrameDecoder(MAX_GREETING, false);
    const answer = encodeFrame(ToHost.hello, 0, Buffer.from('answer'));
    const last = [input, answer].flatMap((chunk) => unsettled.push(chunk)).at(-1);
    must(
      last?.type === ToHost.hello && last.payload.equals(answer.subarray(HEADER_BYTES)),
      'an answer is found at once',
    );
    return found;
  },
};

/** The same where output may be bare: it comes in other pieces, but the same bytes. */
const bareFrames: Target = {
  name: 'guest-bare-frames',
  dictionary: [
    'PK',
    ...[10, 0, 300, 5000].flatMap((length) => bareFrame(67, 1, Buffer.alloc(length, 'P')).slice(0, 2)),
  ],
  maxBytes: 16_384,
  run(input) {
    const decode = (step: number) => {
      const decoder = new FrameDecoder(MAX_TO_HOST);
      decoder.settle(MAX_TO_HOST, 4096);
      const frames: Frame[] = [];
      for (let at = 0; at < input.length; at += step) frames.push(...decoder.push(input.subarray(at, at + step)));
      return { decoder, bytes: Buffer.concat(frames.map(({ payload }) => payload)), frames };
    };
    const [whole, cut] = [decode(16_384), decode(1 + (input[0] ?? 0) * 8)];
    must(whole.bytes.equals(cut.bytes), 'pieces carry what the whole does');
    must(Math.abs(cut.decoder.skipped - whole.decoder.skipped) < HEADER_BYTES, 'pieces skip what the whole does');
    must(whole.bytes.length + whole.decoder.skipped <= input.length, 'nothing is made up');
    return whole.frames;
  },
};

const messages: Target = {
  name: 'guest-messages',
  dictionary: ['release=', 'cpus=', 'boot-id=', '\0', '=', '6.1.0-amd64\0', '/proc/stat', Buffer.alloc(10)],
  maxBytes: MAX_SNAPSHOT + 4096,
  output: { base: 64 * 1024, perByte: 300 },
  run(input) {
    const pairs = decodePairs(input);
    const again = decodePairs(encodePairs(pairs.filter(([key]) => !key.includes('='))));
    must(again.length === pairs.length, 'pairs encode to pairs');
    const assembler = new SnapshotAssembler();
    const size = 1 + (input[0] ?? 0) * 16;
    const snapshots = [];
    for (let at = 1; at < input.length; at += size) {
      const part = input.subarray(at, at + size);
      snapshots.push(assembler.push(part, (input[at - 1]! & 3) !== 0));
    }
    return { pairs, hello: parseHello(input, input.length % 2 === 0), snapshots };
  },
};

/** `PATH NUL CONTENT NUL` again and again: what a watch gives, in any order. */
const statistics: Target = {
  name: 'guest-proc',
  dictionary: [
    ...GUEST_FILES_WITH_PSI.map((path) => `\0${path}\0`),
    ...['cpu  1 2 3 4 5 6 7 8 9 10\n', 'cpu0 1 1 1 1\n', 'procs_running 1\n', 'procs_blocked 0\n', 'MemTotal:  1 kB\n'],
    ...[
      'MemAvailable: 1 kB\n',
      'pgfault 5\n',
      'pgmajfault 1\n',
      '   8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n',
      'eth0: 1 2 3\n',
    ],
    ...['some avg10=0.00 avg60=0.00 avg300=0.00 total=12\n', 'full total=1\n', ' ', '\n'],
  ],
  maxBytes: 65_536,
  run(input) {
    const reader = new GuestReader(GUEST_FILES_WITH_PSI, 1000);
    const words = input.toString('latin1').split('\0');
    const readings = [];
    for (let at = 0; at + 1 < words.length && at < 64; at += 2) {
      const content = Buffer.from(words[at + 1]!, 'latin1');
      const reading = reader.push({ path: words[at]!, monotonicNs: BigInt(at) * 10n ** 9n, content }, at * 1000);
      if (reading !== undefined) readings.push(reading);
    }
    for (const number of numbersIn(readings)) must(Number.isFinite(number) && number >= 0, 'numbers are sound');
    return readings;
  },
};

function* numbersIn(value: unknown): Generator<number> {
  if (typeof value === 'number') yield value;
  else if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) yield* numbersIn(part);
}

export const guestTargets: readonly Target[] = [frames, bareFrames, messages, statistics];
