/** The handshake at the start of a control line: who is there, and what it still holds for an earlier daemon. */
import { exitOf, type GuestHello, guestText, parseHello } from './messages.ts';
import {
  encodeFrame,
  type Frame,
  HOST_HEARS_COUNTS,
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
import type { Listed, ListedSession } from './sessions.ts';

/** Of one attach. More would stop a serial line for ever, if the guest reads none of them, for an earlier daemon has filled half of what that has. */
const MAX_GREETINGS = 3;
const MAX_SESSIONS = 64;

/**
 * One handshake: nonces, and what the guest lists before it answers the last of them. Frames of earlier connections are dropped.
 *
 * What comes first may be the content of a frame whose head an earlier daemon has read: whatever a process in the guest has written,
 * and its last frame may take in the beginning of an answer. Behind an answer all frames are the guest's own. So where anything but
 * an answer came, its list is taken from behind another one.
 */
export class Greeting {
  readonly #random: () => number;
  readonly #send: (bytes: Buffer) => void;
  readonly #listed = new Map<number, ListedSession>();
  readonly #isPort: boolean;
  /** Not answered yet, in order. */
  #nonces: number[] = [];
  #tries = 0;
  #hasOpened = false;
  /** Nothing but greetings came so far. */
  #isAlone = true;
  /** It is known where frames begin. */
  #isKnown: boolean;

  /** `isPort`: a frame that an earlier connection left half-written may be long. `isKnown`: not so here, the connection is our own. */
  constructor(random: () => number, send: (bytes: Buffer) => void, isPort = false, isKnown = false) {
    this.#random = random;
    this.#isPort = isPort;
    this.#send = send;
    this.#isKnown = isKnown;
  }

  get listed(): Listed {
    return this.#listed;
  }

  /** `completes`: behind zeros that complete what an earlier connection, or a terminal that was not raw, has left of a frame. */
  greet(completes = true): void {
    this.#tries += 1;
    let nonce = 0;
    while (nonce === 0 || this.#nonces.includes(nonce)) nonce = this.#random() >>> 0;
    this.#nonces.push(nonce);
    const abilities = HOST_IS_WIDE | HOST_HEARS_TROUBLE | HOST_HEARS_COUNTS | (this.#isPort ? HOST_TAKES_BARE : 0);
    const hello = encodeFrame(ToGuest.hello, 0, Buffer.concat([u16(PROTOCOL_VERSION, abilities), u32(nonce)]));
    const zeros = completes ? (this.#isPort ? WIDE_RESYNC_BYTES : RESYNC_BYTES) : 0;
    this.#send(Buffer.concat([Buffer.alloc(zeros), hello]));
  }

  /** Something came that is no greeting. */
  disturbed(): void {
    if (!this.#isAlone || this.#isKnown) return;
    this.#isAlone = false;
    this.#again();
  }

  /** The guest's answer, once it has come. */
  receive(frame: Frame): GuestHello | undefined {
    if (frame.type !== ToHost.hello) {
      this.disturbed();
      if (frame.type === ToHost.session) this.#list(frame);
      if (frame.type === ToHost.count) this.#count(frame);
      return undefined;
    }
    const hello = parseHello(frame.payload, this.#isPort);
    if (hello?.nonce === 0) {
      this.#again(!this.#hasOpened);
      this.#hasOpened = true;
    }
    const index = hello === undefined ? -1 : this.#nonces.indexOf(hello.nonce);
    if (index < 0) return undefined;
    this.#nonces.splice(0, index + 1);
    const isLast = this.#nonces.length === 0;
    if (isLast && (this.#isKnown || this.#isAlone || this.#tries === MAX_GREETINGS)) return hello;
    this.#isKnown = true;
    this.#listed.clear();
    if (isLast) this.#again();
    return undefined;
  }

  #again(completes = false): void {
    if (this.#tries < MAX_GREETINGS) this.greet(completes);
  }

  #list({ session, payload }: Frame): void {
    if (payload.length < 16 || session === 0 || this.#listed.size >= MAX_SESSIONS) return;
    const [state, pid, kind, value] = [0, 4, 8, 12].map((at) => payload.readUInt32LE(at));
    this.#listed.set(session, {
      pid: pid!,
      exit: state === 1 ? exitOf(kind!, value!, guestText(payload.subarray(16))) : undefined,
    });
  }

  /** Follows what it is of. */
  #count({ session, payload }: Frame): void {
    const listed = this.#listed.get(session);
    if (listed === undefined || payload.length !== 24) return;
    const [stdout, stderr, stdin] = [0, 8, 16].map((at) => Number(payload.readBigUInt64LE(at)));
    this.#listed.set(session, { ...listed, counts: { stdout: stdout!, stderr: stderr!, stdin: stdin! } });
  }
}
