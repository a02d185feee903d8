/** Waiting for what a guest answers to CONFIGURE. */
import { PolykernelError } from '../sys/errors.ts';
import { guestText } from './messages.ts';
import type { Patience } from './patience.ts';
import { errnoText } from './process.ts';

/** Who waits for the answer to a CONFIGURE. */
interface Waiting {
  /** With what the guest says, mostly nothing; unchecked. */
  resolve(told: string): void;
  reject(error: unknown): void;
  /** Its deadline; without one there is one of 60 s. */
  signal: AbortSignal | undefined;
  /** The answer is waited for no longer. */
  giveUp(): unknown;
}

/** Answers to CONFIGURE that are waited for, by the id of the request. Each wait ends. */
export class Answers {
  readonly #name: string;
  readonly #patience: Patience;
  readonly #waiting = new Map<number, { resolve(told: string): void; reject(error: unknown): void }>();
  #next = 1;

  constructor(name: string, patience: Patience) {
    this.#name = name;
    this.#patience = patience;
  }

  /** Id of the next request. */
  next(): number {
    return this.#next++;
  }

  expect(id: number, { resolve, reject, signal, giveUp }: Waiting): void {
    const late = (error: unknown) => {
      giveUp();
      this.#waiting.get(id)?.reject(error);
    };
    const onAbort = () => late(signal?.reason);
    const cancel = signal === undefined ? this.#patience.answer('a configuration', late) : () => {};
    signal?.addEventListener('abort', onAbort, { once: true });
    const settle = () => {
      this.#waiting.delete(id);
      cancel();
      signal?.removeEventListener('abort', onAbort);
    };
    this.#waiting.set(id, {
      resolve(told) {
        settle();
        resolve(told);
      },
      reject(error) {
        settle();
        reject(error);
      },
    });
  }

  /** Of one, or of all. */
  fail(error: unknown, id?: number): void {
    for (const [each, { reject }] of [...this.#waiting]) if (id === undefined || id === each) reject(error);
  }

  /** A RESULT. False when it breaks a rule; the boot id when it tells one. */
  receive(id: number, payload: Buffer): string | boolean {
    if (payload.length < 4) return false;
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return true; // given up meanwhile
    const errno = payload.readUInt32LE();
    const detail = guestText(payload.subarray(4));
    if (errno === 0) {
      waiting.resolve(payload.toString('latin1', 4));
      return /^boot-id=([0-9a-f-]{36})$/.exec(detail)?.[1] ?? true;
    }
    waiting.reject(this.#failure(detail, errno));
    return true;
  }

  /** Of a step: those of volumes are people's own, `share=SOURCE SOURCE TARGET` and `mount= SOURCE TARGET ...`. */
  #failure(detail: string, errno: number): PolykernelError {
    const [step = '', source = '', target = ''] = detail.split(' ');
    const isVolume = /^(share|mount)=/.test(step) && /^\/[^ ]{0,100}\/vol\d{1,3}$/.test(source);
    if (!isVolume) {
      const message = `setting up the guest ${this.#name} failed at "${detail}": ${errnoText(errno)}`;
      return new PolykernelError('internal', message, { value: detail });
    }
    return new PolykernelError('invalid', `a volume cannot be mounted at ${target}: ${errnoText(errno)}`, {
      field: 'volumes',
      value: target,
      hint: 'A directory goes over a directory, and a file over a file; below a volume that is read-only nothing is made.',
    });
  }
}
