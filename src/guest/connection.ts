/** One stream as the control line of a guest: the handshake on it, what comes from it, and its end. */
import type { Duplex } from 'node:stream';
import { PolykernelError } from '../sys/errors.ts';
import { Greeting } from './greeting.ts';
import { Inbox } from './inbox.ts';
import type { GuestLinkOptions } from './link-options.ts';
import type { GuestHello } from './messages.ts';
import { type Frame, PROTOCOL_VERSION, ToHost } from './protocol.ts';
import type { Listed } from './sessions.ts';

interface Listener {
  /** The guest has answered; `listed`: the sessions in it. */
  greeted(hello: GuestHello, listed: Listed): void;
  /** After that. */
  frame(frame: Frame): void;
  /** Bytes that are no frame, after that. */
  garbage(): void;
  /** All that came at once was handled. */
  paused(): void;
  /** The stream has ended or the handshake has failed: it is to be let go. What came before was handled. */
  lost(error: PolykernelError): void;
}

interface Settling {
  exchange: Greeting;
  resolve: () => void;
}

/** Frames of what processes do, which nobody says again. */
const OF_PROCESSES: ReadonlySet<number> = new Set([ToHost.started, ToHost.stdout, ToHost.stderr, ToHost.exited]);

/** INVARIANT: no frame is told of before the guest has answered the nonce of this connection, nor after letGo(). */
export class Connection {
  readonly stream: Duplex;
  readonly #options: Pick<GuestLinkOptions, 'name' | 'turns' | 'isPort'>;
  readonly #random: () => number;
  readonly #listener: Listener;
  readonly #inbox: Inbox;
  #greeting: { exchange: Greeting; resolve: (hello: GuestHello) => void; reject: (error: Error) => void } | undefined;
  #release: (() => void) | undefined;
  /** Nothing is told of any more but of what processes have to say. */
  #settling: Settling | undefined;

  constructor(
    stream: Duplex,
    options: Pick<GuestLinkOptions, 'name' | 'turns' | 'isPort'>,
    random: () => number,
    listener: Listener,
  ) {
    this.stream = stream;
    this.#options = options;
    this.#random = random;
    this.#listener = listener;
    this.#inbox = this.#newInbox();
  }

  /** Shakes hands, once, as attach(). Rejects with what letGo() was told when it comes to that first; `signal` is its deadline. */
  greet(signal: AbortSignal | undefined, completes: boolean): Promise<GuestHello> {
    const { stream } = this;
    const { name } = this.#options;
    const onData = (chunk: Buffer) => this.#inbox.push(chunk);
    const lose = (reason: string, cause?: Error) => {
      this.hearOut();
      if (this.#release !== undefined)
        this.#listener.lost(new PolykernelError('kernel-died', `the control line of ${name} ${reason}`, { cause }));
    };
    const onClose = () => lose('closed');
    const onError = (error: Error) => lose(`failed: ${error.message}`, error);
    const onAbort = () => this.#listener.lost(new PolykernelError('not-ready', `${name} did not answer in time`));
    signal?.addEventListener('abort', onAbort, { once: true });
    stream.on('data', onData).on('end', onClose).on('close', onClose).on('error', onError);
    // An earlier connection may have held it.
    stream.resume();
    this.#release = () => {
      this.#inbox.close();
      signal?.removeEventListener('abort', onAbort);
      stream.off('data', onData).off('end', onClose).off('close', onClose).off('error', onError);
      stream.on('error', () => {}); // nobody is interested in it any more, and an unheard error would end the daemon
    };
    return new Promise((resolve, reject) => {
      const exchange = new Greeting(this.#random, (bytes) => stream.write(bytes), this.#options.isPort);
      this.#greeting = {
        exchange,
        resolve: (hello) => {
          signal?.removeEventListener('abort', onAbort);
          resolve(hello);
        },
        reject,
      };
      if (signal?.aborted) onAbort();
      else if (stream.destroyed || stream.readableEnded) onClose();
      else exchange.greet(completes);
    });
  }

  /**
   * Greets the guest anew, which so has no credit for output any more, and hears what it has sent before its answer: the last that
   * comes from it on this connection. Resolves when the answer is there, or the signal aborts.
   */
  settle(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
      if (signal.aborted || this.#release === undefined || this.#greeting !== undefined) return resolve();
      const exchange = new Greeting(this.#random, (bytes) => this.stream.write(bytes), this.#options.isPort, true);
      this.#settling = { exchange, resolve };
      exchange.greet();
    });
  }

  /** At once, and without copying what may be long. */
  write(batch: readonly Buffer[]): void {
    this.stream.cork();
    for (const bytes of batch) this.stream.write(bytes);
    this.stream.uncork();
  }

  /** So many bytes that came are of no use to anybody. */
  chargeStray(bytes: number): void {
    this.#inbox.chargeStray(bytes);
  }

  /** What has come already is handled although the line is gone. */
  hearOut(): void {
    if (this.#release === undefined) return;
    const { stream } = this;
    this.#inbox.drain();
    for (let rest = stream.read() as Buffer | null; rest !== null; rest = stream.read()) this.#inbox.push(rest);
  }

  /** Lets go of the stream, which is left as it is; a handshake under way fails with `error`. */
  letGo(error: PolykernelError): void {
    this.#release?.();
    this.#release = undefined;
    const greeting = this.#greeting;
    this.#greeting = undefined;
    greeting?.reject(error);
  }

  #newInbox(): Inbox {
    return new Inbox({
      turns: this.#options.turns,
      handle: (frame) => {
        if (this.#greeting !== undefined) this.#handshake(frame);
        else if (this.#settling !== undefined) this.#settle(frame, this.#settling);
        else if (this.#release !== undefined) this.#listener.frame(frame);
      },
      onGarbage: () => {
        if (this.#greeting === undefined) this.#listener.garbage();
        else this.#greeting.exchange.disturbed();
      },
      onPause: () => this.#listener.paused(),
      hold: (held) => void (held ? this.stream.pause() : this.stream.resume()),
    });
  }

  #settle(frame: Frame, { exchange, resolve }: Settling): void {
    if (OF_PROCESSES.has(frame.type)) {
      if (this.#release !== undefined) this.#listener.frame(frame);
    } else if (exchange.receive(frame) !== undefined) resolve();
  }

  #handshake(frame: Frame): void {
    const greeting = this.#greeting!;
    const hello = greeting.exchange.receive(frame);
    if (hello === undefined) return;
    if (hello.version !== PROTOCOL_VERSION) {
      const message = `${this.#options.name} speaks guest protocol ${hello.version}, not ${PROTOCOL_VERSION}`;
      const hint = 'Restart the instance, so that its kernel boots the current pk-init.';
      this.#listener.lost(new PolykernelError('protocol', message, { hint }));
      this.stream.destroy();
      return;
    }
    this.#greeting = undefined;
    this.#inbox.greeted(hello.takes.bare > 0);
    this.#listener.greeted(hello, greeting.exchange.listed);
    greeting.resolve(hello);
  }
}
