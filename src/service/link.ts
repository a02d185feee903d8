/** A connection to the runtime API of one HAProxy process. It lives as long as that process, which does not end before it. */
import { connect, type Socket } from 'node:net';
import { PolykernelError } from '../sys/errors.ts';

const ANSWER_DEADLINE_MS = 5_000;
/** What HAProxy ends the answer to every command with, also to those of one line. */
const PROMPT = '\n> ';
/** Above it, what comes is no answer: four thousand targets take 3 MiB. HAProxy may be another's by now, for what it was sent. */
const LONGEST_ANSWERS = 16 * 2 ** 20;
/** Above it, what comes is no line of a log. */
const LONGEST_LINE = 4096;

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
  /** Resolves once the process or the connection is gone. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #waiting: Question[] = [];
  #pid = 0;
  #heard = '';
  /** Takes what comes from follow() on. */
  #onLine: ((line: string) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.unref();
    socket.on('error', () => {});
    socket.setEncoding('latin1').on('data', (text: string) => {
      this.#heard += text;
      if (this.#onLine === undefined) this.#answer();
      else this.#tell(this.#onLine);
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        for (const { reject, timer } of this.#waiting.splice(0)) {
          clearTimeout(timer);
          reject(silent());
        }
        resolve();
      });
    });
  }

  /** Never keeps this process alive. Rejects with `unavailable`, twice so many milliseconds after at the latest. */
  static async open(path: string, deadlineMs: number): Promise<Link> {
    const link = new Link(connect(path));
    await link.ask(['prompt'], deadlineMs);
    const [info] = await link.ask(['show info'], deadlineMs);
    link.#pid = Number(/^Pid: (\d+)$/m.exec(info!)?.[1]);
    return link;
  }

  /** Of the process at the other end. */
  get pid(): number {
    return this.#pid;
  }

  /** The answers to commands, of which there is at least one. Rejects with `unavailable`; the connection is closed then. */
  ask(commands: readonly string[], deadlineMs = ANSWER_DEADLINE_MS): Promise<string[]> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(silent());
      const timer = setTimeout(() => this.#socket.destroy(), deadlineMs).unref();
      this.#waiting.push({ answers: [], count: commands.length, resolve, reject, timer });
      this.#socket.write(`${commands.join(';')}\n`);
    });
  }

  /** Hands on the lines of a command whose answer has no end, until the connection is closed. Nothing can be asked then. */
  follow(command: string, onLine: (line: string) => void): void {
    this.#onLine = onLine;
    this.#socket.write(`${command}\n`);
  }

  close(): void {
    this.#socket.destroy();
  }

  #answer(): void {
    for (;;) {
      const end = this.#heard.indexOf(PROMPT);
      if (end < 0 && this.#heard.length > LONGEST_ANSWERS) this.#socket.destroy();
      if (end < 0) return;
      const [question] = this.#waiting;
      question?.answers.push(this.#heard.slice(0, end));
      this.#heard = this.#heard.slice(end + PROMPT.length);
      if (question === undefined || question.answers.length < question.count) continue;
      this.#waiting.shift();
      clearTimeout(question.timer);
      question.resolve(question.answers);
    }
  }

  #tell(onLine: (line: string) => void): void {
    const lines = this.#heard.split('\n');
    this.#heard = lines.pop()!.slice(-LONGEST_LINE);
    for (const line of lines) onLine(line);
  }
}

const silent = () => new PolykernelError('unavailable', 'HAProxy does not answer');
