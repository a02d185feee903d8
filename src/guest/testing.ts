/** A guest at the end of a link, played by a test. */
import { duplexPair } from 'node:stream';
import { GuestLink } from './link.ts';
import type { GuestLinkOptions } from './link-options.ts';
import type { LineMemory } from './memory.ts';
import {
  encodeFrame,
  encodePairs,
  type Frame,
  FrameDecoder,
  MAX_TO_GUEST,
  ToGuest,
  ToHost,
  u16,
  u32,
} from './protocol.ts';

export class Guest {
  readonly stream;
  readonly host;
  readonly frames: Frame[] = [];
  received = 0;
  autoAck = true;
  #decoder = new FrameDecoder(MAX_TO_GUEST);
  #wake = () => {};

  constructor() {
    [this.host, this.stream] = duplexPair();
    this.stream.on('data', (chunk: Buffer) => {
      for (const frame of this.#decoder.push(chunk)) {
        if (frame.type === ToGuest.hello) {
          this.received = 0;
          this.hello(frame.payload.readUInt32LE(4));
          continue;
        }
        this.received += 16 + frame.payload.length;
        this.frames.push(frame);
        if (this.autoAck) this.send(ToHost.ack, 0, u32(this.received));
      }
      this.#wake();
    });
  }

  hello = (nonce: number) =>
    this.send(
      ToHost.hello,
      0,
      Buffer.concat([
        u16(1, 0),
        u32(nonce),
        encodePairs([
          ['release', '6.1'],
          ['cpus', '2'],
        ]),
      ]),
    );

  send(type: number, session: number, payload?: Uint8Array, flags = 0): void {
    this.stream.write(encodeFrame(type, session, payload, flags));
  }

  /** Waits for the next frame of a type and takes it out. */
  async next(type: number): Promise<Frame> {
    for (;;) {
      const index = this.frames.findIndex((frame) => frame.type === type);
      if (index >= 0) return this.frames.splice(index, 1)[0]!;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

export async function connected(
  options: Partial<GuestLinkOptions> = {},
  guest = new Guest(),
  memory?: LineMemory,
): Promise<{ guest: Guest; link: GuestLink }> {
  const link = new GuestLink({ name: 'test', ...options });
  if (memory !== undefined) link.share(memory);
  await link.attach(guest.host);
  return { guest, link };
}
