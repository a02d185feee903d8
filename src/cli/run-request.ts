/** Turns the options of `pk run` into a request to the API. Pure but for what is passed in. */
import { isAbsolute, resolve } from 'node:path';
import type { CreateRequest } from '../api/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { parseBytes, parseDuration } from '../sys/units.ts';
import type { Invocation } from './command.ts';
import { environmentEntry, userIds } from './instances.ts';

export interface Surroundings {
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** Whether standard input and output are terminals. */
  terminal: boolean;
  rows: number;
  columns: number;
  /** Lines of the files given by --env-file. */
  envFiles: readonly string[];
}

const PASSED = /^(PATH|HOME|LANG|LANGUAGE|LC_.*|TZ|USER|LOGNAME)$/;
const STANDARD_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function runRequest(invocation: Invocation, around: Surroundings): CreateRequest {
  const rootfs = invocation.value('rootfs');
  const detached = invocation.flag('detach');
  const tty = !detached && !invocation.flag('no-tty') && (invocation.flag('tty') || around.terminal);
  const memory = invocation.value('memory');
  const readyTimeout = invocation.value('ready-timeout');
  const stopGrace = invocation.value('stop-grace');
  const request: CreateRequest = {
    command: [...invocation.positionals],
    env: environment(invocation, around, rootfs === undefined, tty),
    cwd: workingDirectory(invocation.value('workdir'), rootfs, around.cwd),
    ...userIds(invocation.value('user')),
    driver: (invocation.value('driver') ?? 'auto') as NonNullable<CreateRequest['driver']>,
    root: rootfs === undefined ? 'host' : resolve(around.cwd, rootfs),
    volumes: invocation.values('volume').map((text) => volume(text, around.cwd)),
    attached: !detached,
    tty,
  };
  if (tty) Object.assign(request, { rows: around.rows, columns: around.columns });
  if (memory !== undefined) request.memoryBytes = parseBytes(memory, '--memory');
  if (readyTimeout !== undefined) request.readyTimeoutMs = parseDuration(readyTimeout, '--ready-timeout');
  if (stopGrace !== undefined) request.stopGraceMs = parseDuration(stopGrace, '--stop-grace');
  const cpus = invocation.integer('cpus', 1);
  if (cpus !== undefined) request.cpus = cpus;
  if (invocation.flag('cold')) request.cold = true;
  for (const key of ['name', 'image', 'hostname', 'restart'] as const) {
    const value = invocation.value(key);
    if (value !== undefined) Object.assign(request, { [key]: value });
  }
  if (request.restart !== undefined && request.restart !== 'no' && !detached) {
    throw new PolykernelError(
      'invalid',
      '--restart is for detached instances: a foreground one ends with its command',
      {
        field: '--restart',
        value: request.restart,
        hint: 'Add --detach.',
      },
    );
  }
  return request;
}

function environment(
  invocation: Invocation,
  around: Surroundings,
  host: boolean,
  tty: boolean,
): Record<string, string> {
  const result: Record<string, string> = host ? {} : { PATH: STANDARD_PATH, HOME: '/root' };
  if (host) {
    for (const [key, value] of Object.entries(around.env))
      if (PASSED.test(key) && value !== undefined) result[key] = value;
    result.PATH ??= STANDARD_PATH;
  }
  if (tty) result.TERM = around.env.TERM ?? 'xterm';
  const lines = around.envFiles
    .flatMap((text) => text.split('\n'))
    .filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const given = [
    ...lines.map((line) => environmentEntry(line, '--env-file', around.env)),
    ...invocation.values('env').map((text) => environmentEntry(text, '--env', around.env)),
  ];
  for (const entry of given) if (entry !== undefined) result[entry[0]] = entry[1];
  return result;
}

function workingDirectory(given: string | undefined, rootfs: string | undefined, cwd: string): string {
  if (given === undefined) return rootfs === undefined ? cwd : '/';
  if (rootfs === undefined) return resolve(cwd, given);
  if (isAbsolute(given)) return given;
  throw new PolykernelError(
    'invalid',
    `--workdir: ${JSON.stringify(given)} is relative, and the guest has a root of its own`,
    {
      field: '--workdir',
      value: given,
      hint: 'Give an absolute path.',
    },
  );
}

/** `SRC:DST[:ro]`. A relative SRC is taken from the working directory when it begins with a dot. */
function volume(text: string, cwd: string): { source: string; target: string; readOnly: boolean } {
  const match = /^([^:]+):(\/[^:]*)(?::(ro|rw))?$/.exec(text);
  if (match === null || !/^[./]/.test(match[1]!)) {
    throw new PolykernelError('invalid', `--volume: ${JSON.stringify(text)} is not SRC:DST or SRC:DST:ro`, {
      field: '--volume',
      value: text,
      hint: 'SRC is a path on this machine (absolute, or beginning with "."), DST an absolute path in the guest: ./data:/data:ro.',
    });
  }
  return { source: resolve(cwd, match[1]!), target: match[2]!, readOnly: match[3] === 'ro' };
}
