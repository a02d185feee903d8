/** pk core show: what such a file says, for people. */
import { constants, existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Core } from '../../evidence/contract.ts';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import { plainText } from '../../sys/text.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { coreText } from './text.ts';

const { O_RDONLY, O_NONBLOCK, O_NOCTTY } = constants;
const MOST_BYTES = 16 * 2 ** 20;

export const command: Command = {
  summary: 'show what pk core save has kept',
  usage: '[OPTION]... FILE',
  options: {
    console: { help: 'all of the console that was kept' },
    registers: { help: 'all registers' },
    log: { help: "all of the kernel's log, where its memory was kept" },
    json: JSON_OPTION,
  },
  arguments: [1, 1],
  complete: 'file',
  examples: [['pk core show web.core', 'why it went, what happened before, and the end of its console']],
  async run(invocation) {
    const path = invocation.positionals[0]!;
    const whole = {
      console: invocation.flag('console'),
      registers: invocation.flag('registers'),
      log: invocation.flag('log'),
    };
    const begin = await beginning(path);
    // Readers of dumps are loaded where there is one.
    const { isDump, summarize } = await import('./memory/open-dump.ts');
    const { dumpText } = await import('./dump-text.ts');
    if (isDump(begin)) {
      const summary = summarize(path);
      return answer(invocation, { ...summary, registers: summary.registers.map(plainRegisters) }, () =>
        dumpText(path, summary, whole),
      );
    }
    const core = await read(path);
    const memory = core.memoryKept == null ? undefined : join(dirname(path), basename(core.memoryKept.file));
    return answer(invocation, core, () =>
      memory !== undefined && existsSync(memory)
        ? `${textOf(path, core, whole)}\n${dumpText(memory, summarize(memory), whole)}`
        : textOf(path, core, whole),
    );
  },
};

/** What is in it anybody may have written. Throws `invalid`. */
export function textOf(path: string, core: Core, whole: { console: boolean; registers: boolean }): string {
  try {
    return plainText(coreText(core, whole));
  } catch {
    throw notCore(path, 'a part of it is of another kind');
  }
}

const plainRegisters = (registers: ReadonlyMap<string, bigint>) =>
  Object.fromEntries([...registers].map(([name, value]) => [name, value.toString(16)]));

/** Of a FIFO nothing is waited for. */
async function beginning(path: string): Promise<Buffer> {
  try {
    await using file = await open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!(await file.stat()).isFile()) throw notCore(path, 'it is no file');
    const { bytesRead, buffer } = await file.read(Buffer.alloc(16), 0, 16, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw asPolykernelError(error, `reading ${path}`);
  }
}

async function read(path: string): Promise<Core> {
  let text: string;
  try {
    await using file = await open(path, 'r');
    const status = await file.stat();
    if (!status.isFile()) throw notCore(path, 'it is no file');
    if (status.size > MOST_BYTES) throw notCore(path, `it has ${status.size} bytes`);
    text = await file.readFile('utf8');
  } catch (error) {
    throw asPolykernelError(error, `reading ${path}`);
  }
  return parseCore(path, text);
}

/** Throws `invalid`. */
export function parseCore(path: string, text: string): Core {
  let core: Partial<Core> | null;
  try {
    core = JSON.parse(text) as Partial<Core> | null;
  } catch {
    throw notCore(path, 'it is no JSON');
  }
  if (typeof core !== 'object' || core?.format !== 'polykernel-core') throw notCore(path, 'its format is another');
  if (core.version !== 1) throw notCore(path, `it is of version ${String(core.version)}, this one reads 1`);
  const isWhole =
    [core.status?.spec, core.health].every((part) => typeof part === 'object' && part !== null) &&
    [core.console, core.events, core.healings, core.health?.signs].every(Array.isArray) &&
    (core.memoryKept == null || typeof core.memoryKept.file === 'string');
  if (!isWhole) throw notCore(path, 'a part of it is missing');
  return core as Core;
}

const notCore = (path: string, why: string): PolykernelError =>
  new PolykernelError('invalid', `${path} is nothing that pk core save has written: ${why}`, {
    field: 'FILE',
    value: path,
  });
