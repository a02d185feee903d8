/**
 * Fields of an instance that are one plain value from the request to its use: each is stated here and nowhere else. From its row
 * come the request's schema and type, the spec's type and default, records of versions that knew no such field, the option of
 * `pk run`, the key in stack files with its place in the reference, completion and the schema of answers.
 *
 * To add one: a row here, and the place that uses `spec.KEY`.
 */
import { NAME_PATTERN } from '../core/name.ts';
import type { Schema } from '../core/validate.ts';
import { type FieldRow, span } from './field-row.ts';
import { HEALTH_FIELDS } from './health-fields.ts';

export type { FieldRow, Kind } from './field-row.ts';

/** What can be the wish for a PCI function; deviceWish() of src/sriov says more of what cannot. Stated here: `pk run` loads this file. */
const DEVICE_PATTERN =
  '^(vf:[a-z]+|([0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\\.[0-7])(=[a-z][a-z0-9-]{0,14})?(,[a-z-]{1,16}=[0-9A-Za-z:]{1,17})*$';
const DEVICE_HINT =
  'Use an address such as 0000:3b:00.2 or vf:network, with =NAME behind it if it is to have a name, and settings such as ,vlan=100.';

export const FIELDS = {
  image: {
    kind: 'text',
    schema: { type: 'string', maxLength: 200, description: "Name of a kernel image. Default: the driver's" },
    cli: { option: 'image', value: 'NAME', complete: 'image', help: "kernel image (default: the driver's)" },
    stack: { key: 'image', type: 'name', default: "the driver's", live: false, description: 'kernel image' },
  },
  network: {
    kind: 'word',
    words: ['none', 'private', 'egress'],
    schema: {
      enum: ['none', 'private', 'egress'],
      description:
        'none: its own loopback. private: the instances of this daemon that are in it. egress: these, and out through this machine. Default none, with published ports private',
    },
    cli: {
      option: 'network',
      value: 'NETWORK',
      help: 'what it can reach (default none; private with --publish)',
    },
    stack: {
      key: 'network',
      type: 'none, private or egress',
      default: 'private with publish, else none',
      live: false,
      description:
        'what it can reach: its own loopback, the other instances in the private network, or these and out of this machine',
    },
  },
  hostname: {
    kind: 'text',
    schema: { type: 'string', description: 'Default: the name' },
    cli: { option: 'hostname', value: 'NAME', help: 'host name in the guest (default: the name)' },
    stack: {
      key: 'hostname',
      type: 'host name',
      default: 'the name',
      live: false,
      description: 'host name in the guest',
    },
  },
  tenant: {
    kind: 'text',
    schema: {
      type: 'string',
      pattern: NAME_PATTERN,
      description: 'Whose it is: only instances of one tenant meet. Default none, which is one tenant too',
      'x-hint': 'Use lower-case letters, digits and inner dashes, such as "acme".',
    },
    default: null,
    cli: {
      option: 'tenant',
      value: 'NAME',
      help: 'whose it is: only instances of one tenant meet (default: none, one tenant too)',
    },
    stack: {
      key: 'tenant',
      type: 'name',
      default: 'none',
      live: false,
      description: 'whose it is: only instances of one tenant meet',
      schema: { type: ['string', 'number', 'boolean'], minLength: 1, pattern: NAME_PATTERN },
    },
  },
  restart: {
    kind: 'text',
    schema: {
      type: 'string',
      pattern: '^(no|always|unless-stopped|on-failure(:[1-9][0-9]{0,5})?)$',
      description:
        'What was stopped on request stays so with each: unless-stopped is always by another name. Default no',
      'x-hint': 'Use no, on-failure, on-failure:N, always or unless-stopped.',
    },
    default: 'no',
    cli: {
      option: 'restart',
      value: 'no|on-failure[:N]|always|unless-stopped',
      words: ['no', 'on-failure', 'always', 'unless-stopped'],
      help: 'what to do when it ends (with --detach)',
    },
    stack: {
      key: 'restart',
      type: 'no, on-failure[:N], always or unless-stopped',
      default: 'no',
      live: true,
      description: 'what to do when the workload or the kernel ends',
      schema: { type: 'string', pattern: '^(no|always|unless-stopped|on-failure(:[1-9]\\d{0,5})?)$' },
    },
  },
  heal: {
    kind: 'word',
    words: ['no', 'lost', 'hung', 'unhealthy'],
    schema: {
      enum: ['no', 'lost', 'hung', 'unhealthy'],
      description:
        'Of what it is healed by a new kernel, whatever `restart` says, each with those before it: its kernel panicked or died; it says nothing; its check fails. Default no',
      'x-hint': 'Use no, lost, hung or unhealthy.',
    },
    default: 'no',
    cli: {
      option: 'heal',
      value: 'no|lost|hung|unhealthy',
      words: ['no', 'lost', 'hung', 'unhealthy'],
      help: 'of what it is healed by a new kernel, each with those before it (with --detach)',
    },
    stack: {
      key: 'heal',
      type: 'no, lost, hung or unhealthy',
      default: 'no',
      live: true,
      description:
        'of what it is healed by a new kernel, each with those before it: its kernel panicked or died, it says nothing, its check fails',
    },
  },
  dependsOn: {
    kind: 'texts',
    schema: {
      type: 'array',
      maxItems: 64,
      items: {
        ...{ type: 'string', maxLength: 71, pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(:restart)?$' },
        'x-hint': 'Name an instance, such as db, or db:restart.',
      },
      description:
        'Instances that it needs: events tell when they go and are back; with :restart it gets a new kernel when they have one. Default none',
    },
    default: [],
    cli: {
      option: 'depends-on',
      value: 'NAME[:restart]',
      multiple: true,
      help: 'an instance that it needs; with :restart it is restarted when that has a new kernel (with --detach)',
    },
    stack: {
      key: 'dependsOn',
      type: 'list of NAME or NAME:restart',
      default: 'none',
      live: true,
      description:
        'instances that it needs: events tell when they go and are back, and with `:restart` it is restarted when they have a new kernel',
      schema: {
        type: 'array',
        items: {
          type: ['string', 'number', 'boolean'],
          pattern: '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(:restart)?$',
        },
      } as Schema,
    },
  },
  standby: {
    kind: 'flag',
    schema: {
      type: 'boolean',
      description:
        'A second kernel of it waits, frozen, and gets the requests of its services while it is away. Default false',
    },
    default: false,
    cli: { option: 'standby', help: 'keep a second kernel, frozen, which serves while it is away (with --detach)' },
    stack: {
      key: 'standby',
      type: 'true or false',
      default: 'false',
      live: true,
      description: 'a second kernel of it waits, frozen, and gets the requests of its services while it is away',
    },
  },
  labels: {
    kind: 'labels',
    schema: {
      type: 'object',
      additionalProperties: { type: 'string', maxLength: 4096 },
      maxProperties: 256,
      description: 'Words on it, to find it by: `pk ps --filter label=NAME=VALUE`. Default none',
    },
    default: {},
    cli: {
      option: 'label',
      short: 'l',
      value: 'NAME[=VALUE]',
      multiple: true,
      help: 'a word on it, to find it by (see `pk ps --filter`)',
    },
    stack: {
      key: 'labels',
      type: 'map of name to text, or list of NAME=TEXT',
      default: 'none',
      live: true,
      description: 'words on it, to find it by',
      schema: {
        anyOf: [
          { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } },
          { type: 'array', items: { type: ['string', 'number', 'boolean'] } },
        ],
      } as Schema,
    },
  },
  devices: {
    kind: 'texts',
    schema: {
      type: 'array',
      maxItems: 64,
      items: { type: 'string', maxLength: 160, pattern: DEVICE_PATTERN, 'x-hint': DEVICE_HINT },
      description:
        'PCI functions nobody else has: addresses, or vf: with a kind for any virtual one; =NAME names it, and ,SETTING=VALUE is of its network (docs/sriov.md). Default none',
    },
    default: [],
    cli: {
      option: 'device',
      value: 'ADDRESS|vf:KIND[=NAME][,SETTING=VALUE]',
      multiple: true,
      help: 'PCI function to give it, such as vf:nvme (see `pk sriov`)',
    },
    stack: {
      key: 'devices',
      type: 'list of ADDRESS or vf:KIND, each with =NAME,SETTING=VALUE',
      default: 'none',
      live: false,
      description: 'PCI functions nobody else has, such as `0000:3b:00.2` and `vf:nvme=disk0`',
      schema: { type: 'array', items: { type: 'string', pattern: DEVICE_PATTERN } } as Schema,
    },
  },
  priority: {
    kind: 'count',
    schema: {
      type: 'integer',
      minimum: 0,
      maximum: 100,
      description: 'Who gets CPUs and memory first when balancing has not enough for all, the highest first. Default 0',
      'x-hint': 'Use a whole number from 0 to 100.',
    },
    default: 0,
    cli: {
      option: 'priority',
      value: 'N',
      help: 'who is served first when all are short (0 to 100, default 0; see `pk balance`)',
    },
    stack: {
      key: 'priority',
      type: 'number from 0 to 100',
      default: '0',
      live: true,
      description: 'who gets CPUs and memory first when balancing has not enough for all: the highest',
      schema: { type: 'integer', minimum: 0, maximum: 100 },
    },
  },
  readyTimeoutMs: {
    kind: 'duration',
    schema: span(1, 'Default 60000'),
    default: 60_000,
    cli: {
      option: 'ready-timeout',
      value: 'TIME',
      help: 'how long the kernel may take to be ready (default 60s)',
    },
    stack: {
      key: 'readyTimeout',
      type: 'duration',
      default: '60s',
      live: true,
      description: 'how long it may take to be ready',
    },
  },
  stopGraceMs: {
    kind: 'duration',
    schema: span(0, 'Default 10000'),
    default: 10_000,
    cli: { option: 'stop-grace', value: 'TIME', help: 'how long `pk stop` waits before it kills (default 10s)' },
    stack: {
      key: 'stopGrace',
      type: 'duration',
      default: '10s',
      live: true,
      description: 'how long a stop waits before it kills',
    },
  },
  ...HEALTH_FIELDS,
  append: {
    kind: 'text',
    schema: {
      type: 'string',
      minLength: 1,
      maxLength: 1024,
      pattern: '^[!#-&(-~ ]+$',
      description: 'Words for the command line of its kernel, which is booted then. Default none',
      'x-hint': 'Write words parted by spaces, without quotes, such as "loglevel=7 transparent_hugepage=never".',
    },
    default: null,
    cli: { option: 'append', value: 'WORDS', help: 'words for the command line of the kernel, such as "loglevel=7"' },
    stack: {
      key: 'append',
      type: 'words',
      default: 'none',
      live: false,
      description: 'for the command line of its kernel',
    },
  },
  initrd: {
    kind: 'path',
    schema: {
      type: 'string',
      pattern: '^/[^\\0]*$',
      maxLength: 4096,
      description:
        "Archive of this machine that its kernel unpacks before the agent's, which is booted then. Default none",
      'x-hint': 'Give an absolute path.',
    },
    default: null,
    cli: { option: 'initrd', value: 'FILE', complete: 'file', help: "an initramfs, unpacked before the agent's" },
    stack: {
      key: 'initrd',
      type: 'path',
      default: 'none',
      live: false,
      description: "an initramfs (cpio), unpacked before the agent's",
    },
  },
  cold: {
    kind: 'flag',
    schema: { type: 'boolean', description: 'Boot even where a template clone is possible' },
    default: false,
    cli: { option: 'cold', help: 'boot even where a template clone is possible' },
    stack: {
      key: 'cold',
      type: 'true or false',
      default: 'false',
      live: false,
      description: 'boot even where a template clone is possible',
    },
  },
} as const satisfies Readonly<Record<string, FieldRow>>;

type Fields = typeof FIELDS;
export type FieldKey = keyof Fields;

type Value<F extends FieldRow> = F extends { kind: 'flag' }
  ? boolean
  : F extends { kind: 'duration' | 'count' }
    ? number
    : F extends { kind: 'labels' }
      ? Readonly<Record<string, string>>
      : F extends { kind: 'texts' }
        ? readonly string[]
        : F extends { words: readonly (infer W)[] }
          ? W
          : string;

/** These fields of a request, as sent. */
export type FieldRequest = { -readonly [K in FieldKey]?: Value<Fields[K]> | undefined };
/** The same of a spec; null where that is the default. */
export type FieldSpec = { [K in FieldKey]: Value<Fields[K]> | (Fields[K] extends { default: null } ? null : never) };

/** The rows, by the key in the request. */
export const fieldRows: readonly (readonly [FieldKey, FieldRow])[] = Object.entries(FIELDS) as [FieldKey, FieldRow][];

/** What the spec has of them where the request says nothing; those that resolve.ts decides are absent. */
export const fieldDefaults = Object.fromEntries(
  fieldRows.flatMap(([key, field]) => (field.default === undefined ? [] : [[key, field.default]])),
) as Partial<FieldSpec>;

/** `NAME=TEXT`, or `NAME` with an empty text. */
export function labelOf(text: string): [name: string, text: string] {
  const at = text.indexOf('=');
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
