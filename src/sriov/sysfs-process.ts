/**
 * A kernel's /sys through pk-sysfs, which is started with the first request: what blocks in the kernel blocks there. Its lines
 * may also come from elsewhere, such as from a guest in which it runs.
 */
import { spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { getSystemErrorMap } from 'node:util';
import { toolEnvironment } from '../sys/environment.ts';
import { PolykernelError } from '../sys/errors.ts';
import { nativeBinary } from '../sys/paths.ts';
import { type Sysfs, SysfsFault } from './sysfs.ts';

/** A pk-sysfs that runs somewhere. */
export interface SysfsLines {
  input: Writable;
  output: Readable;
  /** Ends it. */
  end(): void;
}

/** Of one answer: the names of a directory with thousands of functions are less. */
const MOST_LINE = 1024 * 1024;

const ENDING = () => new PolykernelError('unavailable', 'the daemon is ending', { hint: 'Try again.' });

interface Waiting {
  doing: string;
  resolve(fields: string[]): void;
  reject(error: unknown): void;
}

export class SysfsProcess implements Sysfs {
  readonly #start: () => SysfsLines;
  readonly #waiting = new Map<string, Waiting>();
  #lines: SysfsLines | undefined;
  #count = 0;
  #closed = false;
  #rest = '';

  /** `start` is called with the first request, and with the next one after its end. */
  constructor(start: () => SysfsLines) {
    this.#start = start;
  }

  async read(directory: string, names: readonly string[]): Promise<(string | undefined)[]> {
    const values = await this.#ask('read', directory, ...names);
    return names.map((_, index) => (/^[=>]/.test(values[index] ?? '') ? values[index]!.slice(1) : undefined));
  }

  list(directory: string): Promise<string[]> {
    return this.#ask('list', directory);
  }

  lines(path: string): Promise<string[]> {
    return this.#ask('lines', path);
  }

  async slowRead(path: string): Promise<string> {
    return ((await this.#ask('slow', path))[0] ?? '').slice(1);
  }

  async bytes(path: string, at: number): Promise<number> {
    const [hex = ''] = await this.#ask('bytes', path, String(at));
    return Buffer.from(hex.slice(1), 'hex').readUInt32LE(0);
  }

  async write(path: string, text: string): Promise<void> {
    await this.#ask('write', path, text);
  }

  async secondariesOnline(controller: string, count: number): Promise<number> {
    return Number((await this.#ask('nvme', controller, String(count)))[0]?.slice(1));
  }

  close(): void {
    this.#closed = true;
    const lines = this.#lines;
    this.#lost(ENDING());
    lines?.end();
  }

  #ask(operation: string, ...fields: string[]): Promise<string[]> {
    const number = String(++this.#count);
    const { promise, resolve, reject } = Promise.withResolvers<string[]>();
    this.#waiting.set(number, { doing: `${operation} ${fields[0]}`, resolve, reject });
    try {
      if (this.#closed) throw ENDING();
      this.#lines ??= this.#begin();
      // Fields are names of ours and of the kernel's; one that could be taken for two is none of these.
      this.#lines.input.write(
        `${[number, operation, ...fields].map((field) => field.replace(/[\t\n]/g, '?')).join('\t')}\n`,
      );
    } catch (error) {
      this.#waiting.delete(number);
      reject(error);
    }
    return promise;
  }

  #begin(): SysfsLines {
    const lines = this.#start();
    const isLost = () => {
      if (this.#lines === lines)
        this.#lost(
          new PolykernelError('internal', 'pk-sysfs, which looks at PCI functions, has ended', { hint: 'Try again.' }),
        );
    };
    lines.output.setEncoding('utf8');
    lines.output.on('data', (text: string) => this.#take(text));
    lines.output.on('close', isLost).on('error', isLost);
    lines.input.on('error', isLost);
    return lines;
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#answer(line.split('\t'));
    if (this.#rest.length <= MOST_LINE) return;
    const broken = this.#lines;
    this.#lost(new PolykernelError('protocol', 'pk-sysfs says a line without an end'));
    broken?.end();
  }

  #answer([number = '', word, ...fields]: string[]): void {
    const waiting = this.#waiting.get(number);
    if (waiting === undefined) return;
    this.#waiting.delete(number);
    if (word === 'ok') waiting.resolve(fields);
    else waiting.reject(new SysfsFault(errnoName(Number(fields[0])), waiting.doing));
  }

  #lost(error: PolykernelError): void {
    this.#lines = undefined;
    this.#rest = '';
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
  }
}

const errnoName = (number: number): string => getSystemErrorMap().get(-number)?.[0] ?? `errno ${number}`;

/** This machine's, or that of another tree. Without work it keeps nothing alive. */
export const hostSysfs = (directory: string): Sysfs =>
  new SysfsProcess(() => {
    const child = spawn(nativeBinary('pk-sysfs'), [directory], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: toolEnvironment(),
    });
    child.on('error', () => child.stdout.destroy());
    child.unref();
    // Its input's end is its end; what it has begun goes on in the kernel.
    return { input: child.stdin, output: child.stdout, end: () => child.stdin.end() };
  });
