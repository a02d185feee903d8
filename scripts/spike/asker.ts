/** Whoever asks a service, at random moments. */
import { Agent, get } from 'node:http';

interface Asked {
  dueMs: number;
  /** From when it was due; null while it is not answered, and for ever when it failed. */
  tookMs: number | null;
}

/** Asks at random moments, so many times a second on average, whether answers come or not; latencies are from when a request was due. */
export class Asker {
  readonly asked: Asked[] = [];
  failed = 0;
  rate: number;
  readonly #url: string;
  readonly #chance: () => number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 200 });
  #timer: NodeJS.Timeout | undefined;
  #due = performance.now();

  /** `chance`: the same numbers make the same moments. */
  constructor(port: number, rate: number, chance = Math.random) {
    this.#chance = chance;
    this.#url = `http://127.0.0.1:${port}/`;
    this.rate = rate;
    this.#next();
  }

  #next(): void {
    this.#due += (-Math.log(1 - this.#chance()) * 1000) / this.rate;
    this.#timer = setTimeout(
      () => {
        this.#ask(this.#due);
        this.#next();
      },
      Math.max(0, this.#due - performance.now()),
    );
  }

  #ask(dueMs: number): void {
    const asked: Asked = { dueMs, tookMs: null };
    this.asked.push(asked);
    const fail = () => {
      this.failed += 1;
    };
    get(this.#url, { agent: this.#agent }, (response) => {
      response.resume().on('error', fail);
      response.on('end', () => {
        if (response.statusCode === 200) asked.tookMs = performance.now() - dueMs;
        else fail();
      });
    }).on('error', fail);
  }

  /** 99th percentile of what was answered between two moments, in milliseconds. */
  p99(fromMs: number, toMs: number): number | undefined {
    const took = this.asked.flatMap(({ dueMs, tookMs }) =>
      tookMs !== null && fromMs <= dueMs + tookMs && dueMs + tookMs < toMs ? [tookMs] : [],
    );
    return took.sort((a, b) => a - b)[Math.ceil(took.length * 0.99) - 1];
  }

  /** Seconds, counted from a moment, in which more than 1 % of the requests that were due took longer than that, or have no answer. */
  lateSeconds(fromMs: number, seconds: number, promiseMs: number): number {
    const [due, late] = [new Uint32Array(seconds), new Uint32Array(seconds)];
    for (const { dueMs, tookMs } of this.asked) {
      const second = Math.floor((dueMs - fromMs) / 1000);
      if (second < 0 || second >= seconds) continue;
      due[second]! += 1;
      if (tookMs === null || tookMs > promiseMs) late[second]! += 1;
    }
    return late.reduce((sum, each, second) => sum + (each > due[second]! / 100 ? 1 : 0), 0);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#agent.destroy();
  }
}
