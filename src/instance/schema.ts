/** What a person may ask for when creating an instance, as JSON Schema: the API's contract and the check of it. */
import type { XStatic } from 'typebox/schema';
import { checkName } from '../core/name.ts';
import { type Schema, validate } from '../core/validate.ts';
import { driverWords } from '../driver/registry.ts';
import { type PartitionRequest, partitionRequestSchema } from '../ledger/index.ts';
import { MOST_PORTS } from '../network/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { isUser, USER_HINT, USER_PATTERN } from '../sys/user-text.ts';
import { type ChannelUse, channelUsesSchema } from './channel-use.ts';
import { type FieldKey, type FieldRequest, fieldRows } from './fields.ts';
import { checkInstanceName } from './name.ts';

/** What one message of the guest protocol carries (MAX_MESSAGE), less directory, user and what else it says. */
const COMMAND_BYTES = 240 * 1024;

const absolutePath = {
  type: 'string',
  pattern: '^/[^\\0]*$',
  maxLength: 4096,
  'x-hint': 'Give an absolute path, such as /srv/data.',
} as const;

export const userSchema = { type: 'string', pattern: USER_PATTERN, 'x-hint': USER_HINT } as const;

export const volumeSchema = {
  title: 'Volume',
  type: 'object',
  additionalProperties: false,
  required: ['source', 'target'],
  properties: {
    source: { ...absolutePath, description: 'Absolute host path' },
    target: { ...absolutePath, description: 'Absolute path in the guest' },
    readOnly: { type: 'boolean', description: 'Default false' },
    maySetId: {
      type: 'boolean',
      description: 'Files in it may become set-uid and set-gid; where the daemon is root. Default false',
    },
  },
} as const;

const boundsSchema = <const Most extends number>(
  type: 'integer' | 'number',
  minimum: number,
  maximum: Most,
  description: string,
) =>
  ({
    type: 'object',
    additionalProperties: false,
    required: ['min', 'max'],
    description,
    properties: { min: { type, minimum, maximum }, max: { type, minimum, maximum } },
  }) as const;

export const publishSchema = {
  type: 'array',
  maxItems: MOST_PORTS,
  description: 'Ports of the host that lead to the instance',
  items: {
    title: 'PublishedPort',
    type: 'object',
    additionalProperties: false,
    required: ['hostPort', 'guestPort'],
    properties: {
      hostAddress: {
        type: 'string',
        pattern: '^(\\d{1,3}(\\.\\d{1,3}){3}|[0-9a-fA-F:.]{2,45})$',
        description: 'Address to listen on, IPv4 or IPv6. Default 127.0.0.1',
        'x-hint': 'Give an address of this machine, such as 127.0.0.1 or ::1.',
      },
      hostPort: {
        type: 'integer',
        minimum: 0,
        maximum: 65_535,
        description: '0: one that is free, chosen once, as the instance is created',
      },
      guestPort: { type: 'integer', minimum: 1, maximum: 65_535 },
      protocol: { enum: ['tcp', 'udp'], description: 'Default tcp' },
    },
  },
} as const;

/** Linux's own bound of an argument and of a variable, with its name and the NUL behind it: MAX_ARG_STRLEN. */
const MOST_CHARACTERS = 131_071;
/** Of arguments; the agent's STRINGS, less what it adds. All of them together: MAX_MESSAGE of the guest protocol. */
const MOST_ARGUMENTS = 16_000;

export const environmentSchema = {
  type: 'object',
  additionalProperties: { type: 'string', maxLength: MOST_CHARACTERS },
  maxProperties: 2048,
} as const;

export const commandSchema = {
  type: 'array',
  items: { type: 'string', maxLength: MOST_CHARACTERS, pattern: '^[^\\0]*$' },
  minItems: 1,
  maxItems: MOST_ARGUMENTS,
  'x-hint': 'Give the program and its arguments, such as ["uname", "-a"].',
} as const;

/** The fields that are more than one plain value; the others are in fields.ts. */
const ownSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['command'],
  properties: {
    name: { type: 'string', description: 'Generated when absent' },
    command: { ...commandSchema, description: 'argv of the workload' },
    env: { ...environmentSchema, description: 'Environment of the workload' },
    cwd: { ...absolutePath, description: 'Working directory in the guest. Default /' },
    cwdOptional: {
      type: 'boolean',
      description: 'Where that cannot be entered, it begins in /; `workingDirectory` tells. Default false',
    },
    user: {
      ...userSchema,
      description:
        "USER or USER:GROUP in the guest, numbers or names of its own passwd and group: also gives HOME, and without GROUP the user's groups. Default 0",
    },
    driver: { enum: driverWords, description: 'Default auto' },
    cpus: {
      type: 'integer',
      minimum: 1,
      maximum: 4096,
      description: 'Default 1',
      'x-hint': 'Give a whole number of CPUs, such as 2.',
    },
    memoryBytes: { type: 'integer', minimum: 1, description: 'Default 256 MiB', 'x-hint': 'Give a size such as 512M.' },
    elastic: {
      type: 'object',
      additionalProperties: false,
      description: 'Within which its size may change while it runs. Default: it stays as it is',
      properties: {
        cpus: boundsSchema(
          'number',
          0.001,
          4096,
          'CPUs that are online, the machine has the most of them; or a part of shared ones',
        ),
        memoryBytes: boundsSchema('integer', 1, Number.MAX_SAFE_INTEGER, 'Whole MiB; the machine has the most of it'),
      },
    },
    root: {
      type: 'string',
      pattern: '^(host|/[^\\0]*)$',
      maxLength: 4096,
      description: '`host`, or the absolute path of a directory, tar, squashfs or ext4 file. Default host',
      'x-hint': 'Give "host" or an absolute path.',
    },
    volumes: { type: 'array', items: volumeSchema, maxItems: 64 },
    channels: channelUsesSchema,
    publish: publishSchema,
    partition: {
      ...partitionRequestSchema,
      description: 'What it is to own of the pool, instead of cpus and memoryBytes. Default: nothing',
    },
    attached: { type: 'boolean', description: 'Foreground: ends with the client that attaches' },
    autoRemove: {
      type: 'boolean',
      description: 'Removed once it has ended, however it did; as it is in the foreground anyway. Default false',
    },
    tty: { type: 'boolean' },
    merged: {
      type: 'boolean',
      description: 'Standard error comes as standard output, in the order in which both are written. Default false',
    },
    rows: { type: 'integer', minimum: 0, maximum: 65_535 },
    columns: { type: 'integer', minimum: 0, maximum: 65_535 },
    start: { type: 'boolean', description: 'Start it at once. Default true' },
  },
} as const;

const fieldSchemas = Object.fromEntries(fieldRows.map(([key, { schema }]) => [key, schema])) as Readonly<
  Record<FieldKey, Schema>
>;

export const createRequestSchema = { ...ownSchema, properties: { ...ownSchema.properties, ...fieldSchemas } };

/** The request as sent; everything but `command` may be left out. */
export type CreateRequest = Omit<XStatic<typeof ownSchema>, 'partition'> & {
  partition?: PartitionRequest;
} & FieldRequest;

/** Throws `invalid` naming field, value, reason and remedy. */
export function checkCreateRequest(value: unknown): CreateRequest {
  return checkRequest(validate(createRequestSchema, value, { name: 'the request' }) as CreateRequest);
}

/** Checks what the schema cannot say of a request, and returns it. Throws as above. */
export function checkRequest(request: CreateRequest): CreateRequest {
  if (request.name !== undefined) checkInstanceName(request.name);
  if (request.hostname !== undefined) checkHostname(request.hostname);
  checkCommand(request.command, request.env ?? {});
  checkUser(request.user);
  checkTargets(request.volumes ?? []);
  for (const label of Object.keys(request.labels ?? {})) checkLabel(label);
  for (const [field, bounds] of Object.entries(request.elastic ?? {})) checkBounds(`elastic.${field}`, bounds);
  checkChannels(request.channels ?? []);
  return request;
}

/**
 * The guest's own: without them nothing runs in it, and its kernel runs what lies in /run/pk as root. /dev/shm and what else lies below
 * the last three may be a volume. /var/run leads to /run.
 */
const GUESTS_OWN = /^\/(?:sys|dev|run|(?:proc|(?:var\/)?run\/\.?pk)(?:\/.*)?)$/;

function checkTargets(volumes: readonly { target: string }[]): void {
  const before = new Set<string>();
  for (const [index, { target }] of volumes.entries()) {
    const refuse = (reason: string, hint: string) => {
      const field = `volumes[${index}].target`;
      throw new PolykernelError('invalid', `${field} ${JSON.stringify(target)} ${reason}`, {
        field,
        value: target,
        hint,
      });
    };
    const place = `/${target.split('/').filter(isStep).join('/')}`;
    if (place === '/' || target.split('/').includes('..'))
      refuse('cannot be mounted over', 'Mount the volume below the root, without "..", such as /data.');
    if (GUESTS_OWN.test(place)) refuse("is the guest's own", 'Mount the volume elsewhere, or below, such as /run/app.');
    if (before.has(place)) refuse('is the place of two volumes', 'Give each volume a target of its own.');
    before.add(place);
  }
}

const isStep = (name: string): boolean => name !== '' && name !== '.';

/** Checks what the schema cannot say about a command and its environment. Throws `invalid`. */
export function checkCommand(command: readonly string[], env: Readonly<Record<string, string>>): void {
  if (command[0] === '')
    throw new PolykernelError('invalid', 'command[0] is empty', { field: 'command[0]', value: '' });
  let bytes = 0;
  for (const argument of command) bytes += Buffer.byteLength(argument) + 8;
  for (const [name, value] of Object.entries(env)) {
    if (!/^[^=\0]+$/.test(name) || value.includes('\0')) {
      throw new PolykernelError('invalid', `env: ${JSON.stringify(name.slice(0, 60))} cannot be set`, {
        field: `env.${name.slice(0, 60)}`,
        hint: 'A variable has a name without "=" and neither name nor value holds a NUL byte.',
      });
    }
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 8;
  }
  if (bytes > COMMAND_BYTES) {
    throw new PolykernelError('invalid', `command and env together have ${bytes} bytes; the most is ${COMMAND_BYTES}`, {
      field: 'command',
      hint: 'Pass long data by standard input or in a file of a volume.',
    });
  }
}

/** Checks what the schema cannot say about a user. Throws `invalid`. */
export function checkUser(user: string | undefined): void {
  if (user === undefined || isUser(user)) return;
  throw new PolykernelError('invalid', `user ${JSON.stringify(user)} has a number that no id has`, {
    field: 'user',
    value: user,
    hint: USER_HINT,
  });
}

function checkBounds(field: string, { min, max }: { min: number; max: number }): void {
  const MIB = 2 ** 20;
  const isWhole = !field.endsWith('Bytes') || (min % MIB === 0 && max % MIB === 0);
  if (min <= max && isWhole) return;
  const reason = isWhole ? `min is above max` : 'memory changes in whole MiB';
  throw new PolykernelError('invalid', `${field}: ${reason}`, {
    field,
    value: { min, max },
    hint: 'Give min and max, such as 256M and 1G of memory, or 1 and 4 CPUs.',
  });
}

function checkChannels(uses: readonly ChannelUse[]): void {
  for (const [index, { name }] of uses.entries()) {
    const field = `channels[${index}].name`;
    checkName(name, field);
    if (uses.findIndex((use) => use.name === name) === index) continue;
    throw new PolykernelError('invalid', `${field}: the channel ${name} is named twice`, {
      field,
      value: name,
      hint: 'An instance is at one end of a channel. Name it once, or use a second channel for the other direction.',
    });
  }
}

function checkLabel(label: string): void {
  if (/^[^=\s\p{C}]{1,128}$/u.test(label)) return;
  const field = `labels.${label.slice(0, 60)}`;
  throw new PolykernelError('invalid', `labels: ${JSON.stringify(label.slice(0, 60))} is no name of a label`, {
    field,
    hint: 'Use at most 128 characters without spaces and "=", such as team or org.example/role.',
  });
}

function checkHostname(hostname: string): void {
  if (/^(?=.{1,64}$)[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(hostname)) return;
  throw new PolykernelError('invalid', `hostname ${JSON.stringify(hostname.slice(0, 100))} is not a host name`, {
    field: 'hostname',
    value: hostname.slice(0, 100),
    hint: 'Use at most 64 letters, digits, dots and inner dashes.',
  });
}
