/**
 * A client of the QEMU Machine Protocol (QEMU docs/interop/qmp-spec.rst): one JSON object per line over any byte stream.
 *
 * The stream may be one that an earlier manager has used: the greeting may be missing, its last command may be half
 * written and its last answers unread. A 0xff byte makes QEMU drop what was half written, and only answers that carry
 * an id of this client count.
 *
 * INVARIANT: QEMU itself may have been taken over by its guest, so a line, their number, the bytes of all and that of waiting requests
 * are bounded, and nothing it sends is trusted to have the right type.
 */
import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { Accumulator } from '../../sys/accumulator.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { plainLine } from '../../sys/text.ts';

export interface QmpEvent {
  name: string;
  data: Readonly<Record<string, unknown>>;
}

const MAX_LINE_BYTES = 256 * 1024;
const MAX_WAITING = 64;
/** In a minute. An honest QEMU sends some lines for each command, and few by itself. */
const MAX_LINES = 10_000;
/** The same: parsing so much takes 0.3 s. The longest answer, registers, has 3 KiB for each CPU. */
const MAX_BYTES = 8 * 2 ** 20;
const MINUTE_MS = 60_000;
const DEFAULT_DEADLINE_MS = 5000;
const RESET_PARSER = Buffer.from([0xff, 0x0a]);

interface Waiting {
  command: string;
  resolve: (value: unknown) => void;
  reject: (error: PolykernelError) => void;
  timer: NodeJS.Timeout;
}

/** How much a QEMU has sent this minute; of all its clients, one after the other. */
export class QmpPace {
  #lines = 0;
  #bytes = 0;
  #minuteMs = performance.now();

  /** Why no more of it is taken, with this line. */
  tooMuch(lineBytes: number): string | undefined {
    const nowMs = performance.now();
    if (nowMs - this.#minuteMs > MINUTE_MS) [this.#minuteMs, this.#lines, this.#bytes] = [nowMs, 0, 0];
    this.#lines += 1;
    this.#bytes += lineBytes;
    if (this.#lines > MAX_LINES) return `${MAX_LINES} lines`;
    return this.#bytes > MAX_BYTES ? `${MAX_BYTES} bytes` : undefined;
  }
}

export class Qmp extends EventEmitter<{ event: [QmpEvent]; close: [] }> {
  readonly #stream: Duplex;
  readonly #prefix: string;
  readonly #waiting = new Map<string, Waiting>();
  readonly #begun = new Accumulator(MAX_LINE_BYTES);
  readonly #pace: QmpPace;
  #next = 1;
  #closed: PolykernelError | undefined;

  private constructor(stream: Duplex, prefix: string, hear: ((event: QmpEvent) => void) | undefined, pace: QmpPace) {
    super();
    this.#pace = pace;
    if (hear !== undefined) this.on('event', hear);
    this.#stream = stream;
    this.#prefix = prefix;
    const gone = () => this.#close(new PolykernelError('kernel-died', 'the monitor of QEMU closed'));
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('end', gone).on('close', gone).on('error', gone);
  }

  /**
   * Takes over `stream` and negotiates capabilities, unless that was done by an earlier client. `hear` gets all events, also those
   * that waited for somebody who reads.
   * `prefix` begins the ids of requests; no earlier client of the same QEMU may have used it. `pace`: what earlier clients had of it.
   * Rejects with `kernel-died` when the stream ends, `internal` after the deadline.
   */
  static async open(
    stream: Duplex,
    prefix: string,
    {
      hear,
      deadlineMs = DEFAULT_DEADLINE_MS,
      pace = new QmpPace(),
    }: { hear?: (event: QmpEvent) => void; deadlineMs?: number; pace?: QmpPace } = {},
  ): Promise<Qmp> {
    const client = new Qmp(stream, prefix, hear, pace);
    try {
      stream.write(RESET_PARSER);
      await client.execute('qmp_capabilities', {}, deadlineMs).catch((error: PolykernelError) => {
        // Once negotiated, the command does not exist any more.
        if (error.value !== 'CommandNotFound') throw error;
      });
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /**
   * Carries out one command and gives its `return` value, unchecked.
   * Rejects with `unsupported` (QEMU refused; `value` is its error class), `kernel-died`, or `internal` after the deadline.
   */
  execute(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    deadlineMs = DEFAULT_DEADLINE_MS,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) return reject(this.#closed);
      if (this.#waiting.size >= MAX_WAITING)
        return reject(new PolykernelError('internal', 'QEMU leaves too many commands unanswered'));
      const id = `${this.#prefix}${this.#next++}`;
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new PolykernelError('internal', `QEMU did not answer ${command} within ${deadlineMs} ms`));
      }, deadlineMs);
      this.#waiting.set(id, { command, resolve, reject, timer });
      this.#stream.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  /** Lets the stream go; QEMU is not touched. */
  close(): void {
    this.#close(new PolykernelError('kernel-died', 'the monitor of QEMU was let go'));
  }

  #close(reason: PolykernelError): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#begun.take();
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(reason);
    }
    this.#waiting.clear();
    this.#stream.destroy();
    this.emit('close');
  }

  #receive(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0 && this.#closed === undefined; end = chunk.indexOf(0x0a, start)) {
      if (this.#gather(chunk.subarray(start, end))) this.#line(this.#begun.take());
      start = end + 1;
    }
    if (this.#closed === undefined) this.#gather(chunk.subarray(start));
  }

  #gather(piece: Buffer): boolean {
    if (this.#begun.add(piece)) return true;
    this.#close(new PolykernelError('protocol', `QEMU sent a line of more than ${MAX_LINE_BYTES} bytes`));
    return false;
  }

  #line(line: Buffer): void {
    const tooMuch = this.#pace.tooMuch(line.length);
    if (tooMuch !== undefined) {
      this.#close(
        new PolykernelError('protocol', `QEMU sent more than ${tooMuch} in a minute`, {
          hint: 'Its guest floods it, or has taken it over: treat it as hostile. It can be stopped at once, and asked again in a minute.',
        }),
      );
      return;
    }
    let message: unknown;
    try {
      message = JSON.parse(line.toString('utf8'));
    } catch {
      // The rest of a line whose beginning an earlier client has read.
      return;
    }
    if (!isRecord(message)) return;
    if (typeof message.event === 'string') {
      this.emit('event', { name: message.event, data: isRecord(message.data) ? message.data : {} });
      return;
    }
    const waiting = typeof message.id === 'string' ? this.#waiting.get(message.id) : undefined;
    if (waiting === undefined) return;
    this.#waiting.delete(message.id as string);
    clearTimeout(waiting.timer);
    if (isRecord(message.error)) waiting.reject(refusal(waiting.command, message.error));
    else waiting.resolve(message.return);
  }
}

function refusal(command: string, error: Record<string, unknown>): PolykernelError {
  const text = typeof error.desc === 'string' ? plainLine(error.desc, 1000) : 'no reason given';
  const kind = typeof error.class === 'string' ? plainLine(error.class, 100) : '';
  return new PolykernelError('unsupported', `QEMU refused ${command}: ${text}`, { value: kind });
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
