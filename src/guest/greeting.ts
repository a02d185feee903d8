/** The handshake at the start of a control line: who is there, and what it still holds for an earlier daemon. */
import { exitOf, type GuestHello, guestText, parseHello } from './messages.ts';
import {
  encodeFrame,
  type Frame,
  HOST_HEARS_TROUBLE,
  HOST_IS_WIDE,
  HOST_TAKES_BARE,
  PROTOCOL_VERSION,
  RESYNC_BYTES,
  ToGuest,
  ToHost,
  u16,
  u32,
  WIDE_RESYNC_BYTES,
} from './protocol.ts';
import type { Listed } from './sessions.ts';

/** How often one attach answers a HELLO that the guest sent by itself (it opened the line after our first try). */
const MAX_GREETINGS = 4;
const MAX_SESSIONS = 64;

/** One handshake: a nonce, and what the guest lists before it answers it. Frames of earlier connections are dropped. */
export class Greeting {
  readonly #random: () => number;
  readonly #send: (bytes: Buffer) => void;
  readonly #listed = new Map<number, { pid: number; exit: ReturnType<typeof exitOf> | undefined }>();
  readonly #isPort: boolean;
  #nonce = 0;
  #tries = 0;

  /** `isPort`: a frame that an earlier connection left half-written may be long. */
  constructor(random: () => number, send: (bytes: Buffer) => void, isPort = false) {
    this.#random = random;
    this.#isPort = isPort;
    this.#send = send;
  }

  get listed(): Listed {
    return this.#listed;
  }

  greet(): void {
    this.#tries += 1;
    do this.#nonce = this.#random() >>> 0;
    while (this.#nonce === 0);
    this.#listed.clear();
    const hello = Buffer.concat([
      u16(PROTOCOL_VERSION, HOST_IS_WIDE | HOST_HEARS_TROUBLE | (this.#isPort ? HOST_TAKES_BARE : 0)),
      u32(this.#nonce),
    ]);
    this.#send(
      Buffer.concat([
        Buffer.alloc(this.#isPort ? WIDE_RESYNC_BYTES : RESYNC_BYTES),
        encodeFrame(ToGuest.hello, 0, hello),
      ]),
    );
  }

  /** The guest's answer, once it has come. */
  receive(frame: Frame): GuestHello | undefined {
    if (frame.type === ToHost.session) this.#list(frame);
    const hello = frame.type === ToHost.hello ? parseHello(frame.payload, this.#isPort) : undefined;
    if (hello === undefined) return undefined;
    if (hello.nonce === 0 && this.#tries < MAX_GREETINGS) this.greet();
    if (hello.nonce === 0 || hello.nonce !== this.#nonce) return undefined;
    this.#keep(hello.listed);
    return hello;
  }

  /**
   * The guest's own list is what came last before its answer. What came before that may be the content of a frame whose head an
   * earlier daemon has read: whatever a process in the guest has written.
   */
  #keep(count = MAX_SESSIONS): void {
    const excess = Math.max(0, this.#listed.size - count);
    for (const session of [...this.#listed.keys()].slice(0, excess)) this.#listed.delete(session);
  }

  #list({ session, payload }: Frame): void {
    if (payload.length < 16 || session === 0) return;
    const [state, pid, kind, value] = [0, 4, 8, 12].map((at) => payload.readUInt32LE(at));
    this.#listed.delete(session); // it goes to the end
    this.#listed.set(session, {
      pid: pid!,
      exit: state === 1 ? exitOf(kind!, value!, guestText(payload.subarray(16))) : undefined,
    });
    this.#keep();
  }
}
