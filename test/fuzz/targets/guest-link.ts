/** The whole of the host's end of a control line, with a guest that sends anything. */
import { Duplex } from 'node:stream';
import { GuestLink } from '../../../src/guest/link.ts';
import { bareFrame, encodeFrame, MAX_TO_HOST, WIDE_RESYNC_BYTES, WIDEST } from '../../../src/guest/protocol.ts';
import { must, type Target } from '../target.ts';

/** A line that remembers only how much was written to it. */
class Line extends Duplex {
  written = 0;
  override _read() {}
  override _write(chunk: Buffer, _encoding: string, done: () => void) {
    this.written += chunk.length;
    done();
  }
}

/** In an input this stands for bytes as they are: a length follows. */
const RAW = 0xff;
/** At the beginning of an input: the line is a port, where the guest may say that it takes bare frames. */
const PORT = 0xfe;
/** Four greetings, each behind bytes that complete any frame. */
const GREETINGS = 4 * (WIDE_RESYNC_BYTES + 24);

/**
 * The input as a program: TYPE FLAGS SESSION LENGTH(2) PAYLOAD becomes a sound frame, RAW LENGTH(2) BYTES goes as it is.
 * Nonces and sessions of the host are 1, 2, 3 and so on.
 */
function* pieces(input: Buffer): Generator<Buffer> {
  for (let at = input[0] === PORT ? 1 : 0; at + 5 <= input.length; ) {
    const isRaw = input[at] === RAW;
    const head = isRaw ? 3 : 5;
    const length = input.readUInt16LE(at + head - 2) % (MAX_TO_HOST + 1);
    const bytes = input.subarray(at + head, at + head + length);
    yield isRaw ? bytes : encodeFrame(input[at]!, input[at + 2]!, bytes, input[at + 1]!);
    at += head + length;
  }
}

async function converse(input: Buffer) {
  let number = 0;
  const link = new GuestLink({ name: 'fuzz', random: () => ++number, isPort: input[0] === PORT });
  const line = new Line();
  const told: string[] = [];
  const ignore = () => {};
  const attached = link.attach(line).then(ignore, (error) => told.push(error.message));
  link.on('protocol-error', (error) => told.push(error.message));
  link.on('disconnect', (error) => told.push(error.message));
  link.on('bell', (slot) => must(slot < 16, 'a bell is of a slot'));
  let begun = false;
  for (const piece of pieces(input)) {
    line.emit('data', piece);
    if (begun || link.hello === undefined) continue;
    begun = true;
    link.configure([['hostname', 'fuzz']]).catch((error) => told.push(error.message));
    const process = link.exec({ command: ['cat'], env: {}, cwd: '/', user: '0' });
    process.stdin.write(Buffer.alloc(5000));
    process.stdout.on('data', ignore);
    link.readFile('/etc/motd').then((stream) => stream.resume().on('error', ignore), ignore);
    link.writeFile('/x', 0o644, Buffer.from('text')).catch(ignore);
    link.watch(['/proc/stat', '/proc/meminfo'], 1000, ({ content }) => must(content.length <= 65_536, 'size'));
    link.poweroff(0).catch(ignore);
    link.clockLag(Date.now).then(({ least, most }) => must(least <= most, 'an interval'), ignore);
    for (const { session } of link.sessions()) link.adopt(session);
  }
  must(link.sessions().length <= 64, 'sessions are bounded');
  must(line.written <= GREETINGS + WIDEST.window + 64 * input.length, 'what is written is in proportion to what came');
  link.destroy();
  await attached;
  await new Promise(setImmediate);
  return told;
}

const link: Target = {
  name: 'guest-link',
  dictionary: [
    [64, 0, 0, 8, 0, 1, 0, 0, 0, 1, 0, 0, 0],
    [64, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    [65, 0, 1, 4, 0, 0, 0, 0, 0],
    [66, 0, 2, 4, 0, 9, 0, 0, 0],
    [67, 0, 2, 3, 0, 65, 66, 67],
    [68, 2, 2, 0, 0],
    [69, 0, 2, 8, 0, 0, 0, 0, 0, 3, 0, 0, 0],
    [70, 0, 2, 4, 0, 0, 64, 0, 0],
    [71, 0, 0, 4, 0, 100, 0, 0, 0],
    [72, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 47, 112, 114, 111, 99, 47, 115, 116, 97, 116],
    [73, 0, 7, 16, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [74, 0, 0, 0, 0],
    [75, 0, 3, 0, 0],
    [76, 0, 1, 8, 0, 0, 0, 0, 0, 0, 0, 0, 24],
    [RAW, 5, 0, 80, 75, 1, 2, 3],
    [PORT, 64, 0, 0, 19, 0, 1, 0, 0, 0, 1, 0, 0, 0, ...Buffer.from('bare=65536\0')],
    [
      RAW,
      19,
      0,
      ...bareFrame(67, 2, Buffer.from('abc'))
        .slice(0, 2)
        .flatMap((part) => [...part]),
    ],
    [RAW, 16, 0, ...bareFrame(67, 2, Buffer.alloc(60_000))[0]!],
  ].map((bytes) => Buffer.from(bytes)),
  run: converse,
};

export const guestLinkTargets: readonly Target[] = [link];
