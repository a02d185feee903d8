/** Request and reply: two rings, the tag of a message naming the request that it belongs to. */
import { PolykernelError } from '../sys/errors.ts';
import type { Consumer } from './consumer.ts';
import type { Producer } from './producer.ts';

interface Waiting {
  resolve: (reply: Uint8Array<ArrayBuffer>) => void;
  reject: (error: unknown) => void;
}

/** Sends requests and hands each reply to who asked; any number may be under way. */
export class Requester {
  private readonly requests: Producer;
  private readonly replies: Consumer;
  private readonly waiting = new Map<number, Waiting>();
  private lastTag = 0;
  private reading = false;
  /** Sends one after the other: a ring has one producer. */
  private sending: Promise<unknown> = Promise.resolve();

  constructor(requests: Producer, replies: Consumer) {
    this.requests = requests;
    this.replies = replies;
  }

  /** Resolves with the reply. Rejects when a side closes or fails, and with signal.reason; a late reply is then dropped. */
  async request(bytes: Uint8Array, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    signal?.throwIfAborted();
    do this.lastTag = (this.lastTag + 1) | 0;
    while (this.waiting.has(this.lastTag));
    const tag = this.lastTag;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array<ArrayBuffer>>();
    const abort = () => reject(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    this.waiting.set(tag, { resolve, reject });
    this.sending = this.sending.then(() => this.requests.sendAsync(bytes, tag, signal)).catch(reject);
    void this.read();
    try {
      return await promise;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Reads replies as long as somebody waits for one. */
  private async read(): Promise<void> {
    if (this.reading) return;
    this.reading = true;
    try {
      while (this.waiting.size > 0) {
        const reply = await this.replies.next();
        if (reply === undefined) throw new PolykernelError('conflict', 'the replier has closed the ring');
        const { tag } = this.replies;
        // Nobody there: a replier that invents tags. One that has given up still waits here for its late reply.
        this.waiting.get(tag)?.resolve(reply);
        this.waiting.delete(tag);
      }
    } catch (error) {
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
    } finally {
      this.reading = false;
    }
  }
}

/** Answers requests one after the other until the requester closes. What `answer` throws ends it. */
export async function serve(
  requests: Consumer,
  replies: Producer,
  answer: (request: Uint8Array<ArrayBuffer>) => Uint8Array | Promise<Uint8Array>,
): Promise<void> {
  for (;;) {
    const request = await requests.next();
    if (request === undefined) return;
    const { tag } = requests;
    await replies.sendAsync(await answer(request), tag);
  }
}
