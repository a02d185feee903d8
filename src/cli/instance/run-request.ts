/** Turns the options of `pk run` into a request to the API. Pure but for what is passed in. */
import { isAbsolute } from 'node:path';
import type { ChannelUse, CreateRequest } from '../../instance/contract.ts';
import { type FieldRequest, fieldRows, labelOf } from '../../instance/fields.ts';
import { PUBLISH_HINT, parsePublished } from '../../network/published-port.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { parseBytes, parseDuration } from '../../sys/units.ts';
import { parseVolume, type VolumeText } from '../../sys/volume-text.ts';
import type { Invocation, OptionSpec } from '../kit/command.ts';
import { parseCpuSet, parseCpus } from '../kit/cpus.ts';
import { givenEnvironment, userOption } from './guest-command.ts';
import { pathFrom } from './here.ts';

export interface Surroundings {
  /** undefined: it is there no more, or not to be read. */
  cwd: string | undefined;
  env: NodeJS.ProcessEnv;
  /** Whether standard input and output are terminals. */
  terminal: boolean;
  /** Its standard output and standard error are one file. */
  oneOutput: boolean;
  rows: number;
  columns: number;
  /** Lines of the files given by --env-file. */
  envFiles: readonly string[];
}

const PASSED = /^(PATH|HOME|LANG|LANGUAGE|LC_.*|TZ|USER|LOGNAME)$/;
/** What is not true of another user. */
const OF_USER = /^(HOME|USER|LOGNAME)$/;
const DEFAULT_MEMORY_BYTES = 256 * 2 ** 20;
const STANDARD_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function runRequest(invocation: Invocation, around: Surroundings): CreateRequest {
  const rootfs = invocation.value('rootfs');
  const detached = invocation.flag('detach');
  const tty = !detached && !invocation.flag('no-tty') && (invocation.flag('tty') || around.terminal);
  const request: CreateRequest = {
    command: [...invocation.positionals],
    env: environment(invocation, around, rootfs === undefined, tty),
    ...workingDirectory(invocation.value('workdir'), rootfs, around.cwd),
    ...userOption(invocation.value('user')),
    driver: (invocation.value('driver') ?? 'auto') as NonNullable<CreateRequest['driver']>,
    root: rootfs === undefined ? 'host' : pathFrom(around.cwd, rootfs, '--rootfs'),
    volumes: invocation.values('volume').map((text) => volume(text, around.cwd)),
    attached: !detached,
    ...(invocation.flag('rm') && { autoRemove: true }),
    tty,
    ...(!detached && !tty && around.oneOutput && { merged: true }),
  };
  const channels = invocation.values('channel').map(channelUse);
  if (channels.length > 0) request.channels = channels;
  const publish = invocation.values('publish').flatMap(publishedPorts);
  if (publish.length > 0) request.publish = publish;
  if (tty) Object.assign(request, { rows: around.rows, columns: around.columns });
  Object.assign(request, size(invocation), elastic(invocation));
  const name = invocation.value('name');
  if (name !== undefined) request.name = name;
  Object.assign(request, fields(invocation, around.cwd));
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

/** Of the plain fields. */
export const fieldOptions: Readonly<Record<string, OptionSpec>> = Object.fromEntries(
  fieldRows.map(
    ([
      ,
      {
        words: choices,
        cli: { option, ...spec },
      },
    ]) => [option, { ...spec, ...(choices && { choices }) }],
  ),
);

function fields(invocation: Invocation, cwd: string | undefined): FieldRequest {
  const given = fieldRows.flatMap(([key, { kind, cli }]): [string, unknown][] => {
    if (kind === 'flag') return invocation.flag(cli.option) ? [[key, true]] : [];
    if (kind === 'labels') {
      const labels = invocation.values(cli.option).map(labelOf);
      return labels.length > 0 ? [[key, Object.fromEntries(labels)]] : [];
    }
    if (kind === 'texts') {
      const texts = invocation.values(cli.option);
      return texts.length > 0 ? [[key, texts]] : [];
    }
    if (kind === 'count') {
      const number = invocation.integer(cli.option, 1);
      return number === undefined ? [] : [[key, number]];
    }
    const text = invocation.value(cli.option);
    if (text === undefined) return [];
    if (kind === 'path') return [[key, pathFrom(cwd, text, `--${cli.option}`)]];
    return [[key, kind === 'duration' ? parseDuration(text, `--${cli.option}`) : text]];
  });
  return Object.fromEntries(given);
}

/** CPUs and memory: owned ones, or just so many. */
function size(invocation: Invocation): Pick<CreateRequest, 'cpus' | 'memoryBytes' | 'partition'> {
  const cpus = askedCpus(invocation);
  const memory = invocation.value('memory');
  const bytes = memory === undefined ? undefined : parseBytes(memory, '--memory');
  const share = invocation.value('share');
  if (share === undefined && !invocation.flag('dedicated') && typeof cpus !== 'object') {
    return { ...(cpus !== undefined && { cpus }), ...(bytes !== undefined && { memoryBytes: bytes }) };
  }
  if (share !== undefined && (cpus !== undefined || invocation.flag('dedicated'))) {
    throw new PolykernelError(
      'invalid',
      '--share is a part of shared CPUs; --cpus and --dedicated are about whole ones',
      {
        field: '--share',
        value: share,
        hint: 'Leave --share out, or the others.',
      },
    );
  }
  return {
    partition: {
      cpus:
        share !== undefined
          ? { kind: 'shared', milliCpus: Math.round(parseCpus(share, '--share') * 1000), weight: 100 }
          : typeof cpus === 'object'
            ? { kind: 'exact', cpus }
            : { kind: 'count', count: cpus ?? 1, numa: null, smt: 'whole-core', cache: 'any', near: null },
      memory: { kind: 'size', bytes: bytes ?? DEFAULT_MEMORY_BYTES, node: null, hugePageBytes: null },
      devices: [],
    },
  };
}

/** How many, or which: a list has a range or a comma. Of docker's users many give a part of one. Throws `invalid`. */
function askedCpus(invocation: Invocation): number | number[] | undefined {
  const text = invocation.value('cpus') ?? '';
  if (/^\d.*[-,]/.test(text)) return parseCpuSet(text, '--cpus');
  if (/^[1-9]\d{0,4}\.0+$/.test(text)) return Number(text);
  if (!/^\d*\.\d+$/.test(text)) return invocation.integer('cpus', 1);
  throw new PolykernelError('invalid', `--cpus: ${text} is not a whole number, and a kernel has whole CPUs`, {
    field: '--cpus',
    value: text,
    hint: `Write --cpus ${Math.max(1, Math.ceil(Number(text)))}; \`--share ${text}\` owns a part of the pool's shared CPUs instead.`,
  });
}

/** Bounds within which its size may change. */
function elastic(invocation: Invocation): Pick<CreateRequest, 'elastic'> {
  const bounds = (option: string, read: (text: string, field: string) => number, example: string) => {
    const text = invocation.value(option);
    if (text === undefined) return undefined;
    const [min, max, ...more] = text.split('-');
    if (min && max && more.length === 0) return { min: read(min, `--${option}`), max: read(max, `--${option}`) };
    throw new PolykernelError('invalid', `--${option}: ${JSON.stringify(text)} is not MIN-MAX`, {
      field: `--${option}`,
      value: text,
      hint: `Give both, such as ${example}.`,
    });
  };
  const cpus = bounds('elastic-cpus', parseCpus, '1-4');
  const memoryBytes = bounds('elastic-memory', parseBytes, '256M-2G');
  if (cpus === undefined && memoryBytes === undefined) return {};
  return { elastic: { ...(cpus && { cpus }), ...(memoryBytes && { memoryBytes }) } };
}

function environment(
  invocation: Invocation,
  around: Surroundings,
  host: boolean,
  tty: boolean,
): Record<string, string> {
  const result: Record<string, string> = host ? {} : { PATH: STANDARD_PATH };
  if (host) {
    const isOther = invocation.value('user') !== undefined;
    for (const [key, value] of Object.entries(around.env))
      if (PASSED.test(key) && !(isOther && OF_USER.test(key)) && value !== undefined) result[key] = value;
    result.PATH ??= STANDARD_PATH;
  }
  if (tty) result.TERM = around.env.TERM ?? 'xterm';
  return { ...result, ...givenEnvironment(invocation, around.envFiles, around.env) };
}

/** One that is given is an order, the caller's own a wish. */
function workingDirectory(
  given: string | undefined,
  rootfs: string | undefined,
  cwd: string | undefined,
): Pick<CreateRequest, 'cwd' | 'cwdOptional'> {
  if (given === undefined) return rootfs === undefined && cwd !== undefined ? { cwd, cwdOptional: true } : { cwd: '/' };
  if (rootfs === undefined) return { cwd: pathFrom(cwd, given, '--workdir') };
  if (isAbsolute(given)) return { cwd: given };
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

/** `NAME:send` or `NAME:recv`. */
function channelUse(text: string): ChannelUse {
  const match = /^([^:]+):(send|recv)$/.exec(text);
  if (match !== null) return { name: match[1]!, side: match[2] as ChannelUse['side'] };
  throw new PolykernelError('invalid', `--channel: ${JSON.stringify(text)} is not NAME:send or NAME:recv`, {
    field: '--channel',
    value: text,
    hint: 'Say which side this kernel has: orders:recv receives from the channel orders.',
  });
}

/** A relative SRC is taken from the working directory when it begins with a dot. */
function volume(text: string, cwd: string | undefined): VolumeText {
  const parsed = parseVolume(text);
  if (parsed === undefined || !/^[./]/.test(parsed.source)) {
    throw new PolykernelError(
      'invalid',
      `--volume: ${JSON.stringify(text)} is not SRC:DST, SRC:DST:ro or SRC:DST:suid`,
      {
        field: '--volume',
        value: text,
        hint: `${volumeHabit(text)}SRC is a path on this machine (absolute, or beginning with "."), DST an absolute path in the guest: ./data:/data:ro.`,
      },
    );
  }
  return { ...parsed, source: pathFrom(cwd, parsed.source, '--volume') };
}

/** What docker has and we have not. */
function volumeHabit(text: string): string {
  const [source = '', target, options = ''] = text.split(':');
  if (/(^|,)[zZ](,|$)/.test(options)) return 'Files need no label: leave z away. ';
  return target === undefined || !/^[./]/.test(source) ? 'There are no named volumes. ' : '';
}

function publishedPorts(text: string): NonNullable<CreateRequest['publish']> {
  const parsed = parsePublished(text);
  if ('ports' in parsed) return parsed.ports;
  throw new PolykernelError('invalid', `--publish ${JSON.stringify(text)}: ${parsed.reason}`, {
    field: '--publish',
    value: text,
    hint: PUBLISH_HINT,
  });
}
