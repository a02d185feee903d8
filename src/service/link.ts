/** A connection to the runtime API of one HAProxy process. It lives as long as that process, which does not end before it. */
import { connect, type Socket } from 'node:net';
import { PolykernelError } from '../sys/errors.ts';

const ANSWER_DEADLINE_MS = 5_000;
/** What HAProxy ends the answer to every command with, also to those of one line. */
const PROMPT = '\n> ';

interface Question {
  /** Those there are so far. */
  answers: string[];
  /** How many there will be. */
  count: number;
  resolve(answers: string[]): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

export class Link {
  /** Of the process at the other end. */
  readonly pid: number;
  /** Resolves once the process or the connection is gone. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #waiting: Question[];

  private constructor(socket: Socket, waiting: Question[], pid: number, closed: Promise<void>) {
    this.#socket = socket;
    this.#waiting = waiting;
    this.pid = pid;
    this.closed = closed;
  }

  /** Never keeps this process alive. Rejects with `unavailable`. */
  static async open(path: string): Promise<Link> {
    const waiting: Question[] = [];
    const socket = connect(path);
    let heard = '';
    socket.unref();
    socket.setEncoding('latin1').on('data', (text: string) => {
      heard += text;
      for (;;) {
        const end = heard.indexOf(PROMPT);
        if (end < 0) break;
        const [question] = waiting;
        question?.answers.push(heard.slice(0, end));
        heard = heard.slice(end + PROMPT.length);
        if (question === undefined || question.answers.length < question.count) continue;
        waiting.shift();
        clearTimeout(question.timer);
        question.resolve(question.answers);
      }
    });
    socket.on('error', () => {});
    const closed = new Promise<void>((resolve) => {
      socket.on('close', () => {
        for (const { reject, timer } of waiting.splice(0)) {
          clearTimeout(timer);
          reject(silent());
        }
        resolve();
      });
    });
    await ask(socket, waiting, ['prompt']);
    const [info] = await ask(socket, waiting, ['show info']);
    const pid = Number(/^Pid: (\d+)$/m.exec(info!)?.[1]);
    return new Link(socket, waiting, pid, closed);
  }

  /** The answers to commands, of which there is at least one. Rejects with `unavailable`; the connection is closed then. */
  ask(commands: readonly string[]): Promise<string[]> {
    return ask(this.#socket, this.#waiting, commands);
  }

  close(): void {
    this.#socket.destroy();
  }
}

function ask(socket: Socket, waiting: Question[], commands: readonly string[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    if (socket.destroyed) return reject(silent());
    const timer = setTimeout(() => socket.destroy(), ANSWER_DEADLINE_MS).unref();
    waiting.push({ answers: [], count: commands.length, resolve, reject, timer });
    socket.write(`${commands.join(';')}\n`);
  });
}

const silent = () => new PolykernelError('unavailable', 'HAProxy does not answer');
