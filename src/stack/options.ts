/**
 * Every option of a stack file, once: the parser takes its keys from here, docs/stack.md its table, polykernel.schema.json
 * its shape, and the planner what can change without a restart.
 */
import { NAME_PATTERN } from '../core/name.ts';
import { USER_PATTERN } from '../sys/user-text.ts';

type JsonSchema = Readonly<Record<string, unknown>>;

export interface Option {
  /** From the top of the file; `*` stands for a name, `[]` for an item of a list. */
  path: string;
  /** What may stand there, for people. */
  type: string;
  /** Default, for people; `required` where there is none. */
  default: string;
  /** Whether a change takes effect without a restart of the kernel. */
  live: boolean;
  description: string;
  schema: JsonSchema;
}

const size: JsonSchema = {
  type: ['string', 'integer'],
  pattern: '^\\s*\\d+(\\.\\d+)?\\s?([kKmMgGtT]([iI][bB])?|[bB])?\\s*$',
  minimum: 1,
};
const cpuList: JsonSchema = {
  type: ['string', 'integer'],
  pattern: '^\\s*\\d+(-\\d+)?(\\s*,\\s*\\d+(-\\d+)?)*\\s*$',
  minimum: 0,
};
const duration: JsonSchema = {
  type: ['string', 'integer'],
  pattern: '^\\s*((\\d+(\\.\\d+)?(d|h|m|s|ms))+|0)\\s*$',
  maximum: 0,
};
/** What looks like a number or true is a text where a text is wanted. */
const text: JsonSchema = { type: ['string', 'number', 'boolean'], minLength: 1 };
const whole: JsonSchema = { type: 'integer', minimum: 0 };
const pciAddress: JsonSchema = {
  type: 'string',
  pattern: '^\\s*([0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\\.[0-7]\\s*$',
};
const port: JsonSchema = { type: 'integer', minimum: 1, maximum: 65_535 };
const perNode: JsonSchema = {
  type: 'object',
  minProperties: 1,
  propertyNames: { pattern: '^\\d+$' },
  additionalProperties: size,
};
const label: JsonSchema = { ...text, pattern: NAME_PATTERN };
/** The properties of an object stand in the table themselves. */
const object: JsonSchema = { type: 'object' };

type Row = [path: string, type: string, fallback: string, live: boolean, description: string, schema: JsonSchema];

const ROWS: readonly Row[] = [
  ['name', 'name', "the directory's", false, 'name of the stack; another name is another stack', label],
  ['pool', 'map', 'the pool there is', true, 'what the host gives up', object],
  ['pool.cpus', 'CPU list', 'required', true, 'CPUs of the pool', cpuList],
  ['pool.shared', 'CPU list', 'none', true, 'those of them that several kernels may share', cpuList],
  [
    'pool.memory',
    'size, or map of NUMA node to size',
    "the CPUs' share",
    true,
    'memory of the pool',
    { anyOf: [size, perNode] },
  ],
  [
    'pool.devices',
    'list of PCI addresses',
    'none',
    true,
    'PCI functions of the pool',
    { type: 'array', items: pciAddress },
  ],
  ['kernels', 'map of name to kernel', 'required', true, 'the kernels, by instance name', object],
  [
    'kernels.*.driver',
    'auto, uml or qemu',
    'auto',
    false,
    'how the kernel is run',
    { enum: ['auto', 'uml', 'qemu', 'fake'] },
  ],
  ['kernels.*.image', 'name', "the driver's", false, 'kernel image', text],
  [
    'kernels.*.root',
    'host, or path',
    'host',
    false,
    "root file system: the host's files, a directory, tar, squashfs or ext4 file",
    text,
  ],
  [
    'kernels.*.command',
    'list of words, or text for sh -c',
    'required',
    false,
    'the workload',
    { anyOf: [text, { type: 'array', items: { type: ['string', 'number', 'boolean'] }, minItems: 1 }] },
  ],
  [
    'kernels.*.environment',
    'map of name to text',
    'none',
    false,
    "variables of the workload; not the caller's",
    { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } },
  ],
  [
    'kernels.*.volumes',
    'list of SOURCE:TARGET[:ro|suid] or maps',
    'none',
    false,
    'host directories and files to share',
    { type: 'array' },
  ],
  ['kernels.*.volumes[].source', 'path', 'required', false, 'on this machine', text],
  ['kernels.*.volumes[].target', 'absolute path', 'required', false, 'in the guest', text],
  ['kernels.*.volumes[].readOnly', 'true or false', 'false', false, 'the guest cannot write', { type: 'boolean' }],
  [
    'kernels.*.volumes[].maySetId',
    'true or false',
    'false',
    false,
    'its files may become set-uid and set-gid; for root alone',
    { type: 'boolean' },
  ],
  [
    'kernels.*.network',
    'none, private or egress',
    'private with publish, else none',
    false,
    'what it can reach: its own loopback, the other instances in the private network, or these and out of this machine',
    { enum: ['none', 'private', 'egress'] },
  ],
  [
    'kernels.*.publish',
    'list of [ADDRESS:]HOST:GUEST',
    'none',
    false,
    'TCP ports of this machine that lead to it',
    { type: 'array', items: { type: ['string', 'integer'], pattern: '^\\s*(\\d+(\\.\\d+){3}:)?\\d+(:\\d+)?\\s*$' } },
  ],
  ['kernels.*.cwd', 'absolute path', '/', false, 'working directory in the guest', text],
  [
    'kernels.*.user',
    'USER[:GROUP]',
    '0',
    false,
    'user in the guest: numbers, or names of its own passwd and group',
    { type: ['string', 'integer', 'boolean'], pattern: USER_PATTERN, minimum: 0 },
  ],
  ['kernels.*.hostname', 'host name', 'the name', false, 'host name in the guest', text],
  [
    'kernels.*.restart',
    'no, on-failure[:N] or always',
    'no',
    true,
    'what to do when the workload or the kernel ends',
    { type: 'string', pattern: '^(no|always|on-failure(:[1-9]\\d{0,5})?)$' },
  ],
  ['kernels.*.readyTimeout', 'duration', '60s', true, 'how long it may take to be ready', duration],
  ['kernels.*.stopGrace', 'duration', '10s', true, 'how long a stop waits before it kills', duration],
  [
    'kernels.*.cold',
    'true or false',
    'false',
    false,
    'boot even where a template clone is possible',
    { type: 'boolean' },
  ],
  [
    'kernels.*.replicas',
    'number',
    'one, without a number',
    true,
    'so many alike, named NAME-1, NAME-2 and so on',
    { type: 'integer', minimum: 1, maximum: 4096 },
  ],
  ['kernels.*.tenant', 'name', 'none', false, 'whose it is: only instances of one tenant meet', label],
  ['kernels.*.cpus', 'number', '1', false, 'CPUs of a kernel without a partition', { type: 'integer', minimum: 1 }],
  ['kernels.*.memory', 'size', '256MiB', false, 'memory of a kernel without a partition', size],
  ['kernels.*.partition', 'map', 'none', false, 'what it owns of the pool; without one it owns nothing', object],
  [
    'kernels.*.partition.cpus',
    'number, CPU list in quotes, or map',
    '1',
    true,
    'CPUs nobody else has; live while their number stays the same',
    { anyOf: [{ type: 'integer', minimum: 1 }, { type: 'string', pattern: cpuList.pattern }, object] },
  ],
  ['kernels.*.partition.cpus.count', 'number', 'required', false, 'how many', { type: 'integer', minimum: 1 }],
  ['kernels.*.partition.cpus.numa', 'number', 'any', true, 'the NUMA node they must be on', whole],
  [
    'kernels.*.partition.cpus.smt',
    'whole-core or any',
    'whole-core',
    true,
    "whether siblings on a core may be others'",
    { enum: ['whole-core', 'any'] },
  ],
  [
    'kernels.*.partition.cpus.cache',
    'any or shared-l3',
    'any',
    true,
    'whether all must be on one L3',
    { enum: ['any', 'shared-l3'] },
  ],
  ['kernels.*.partition.cpus.near', 'PCI address', 'none', true, 'on the NUMA node of this device', pciAddress],
  [
    'kernels.*.partition.cpus.shared',
    'number',
    'none',
    true,
    'instead of a count: part in shared CPUs, such as 0.5; live while it rounds up to the same number',
    { type: 'number', exclusiveMinimum: 0 },
  ],
  [
    'kernels.*.partition.cpus.weight',
    'number',
    '100',
    true,
    'weight among those that share, 1 to 10000',
    { type: 'integer', minimum: 1, maximum: 10_000 },
  ],
  ['kernels.*.partition.memory', 'size, or map', '256MiB', false, 'memory nobody else has', { anyOf: [size, object] }],
  ['kernels.*.partition.memory.size', 'size', 'required', false, 'how much, on the nodes of the CPUs', size],
  ['kernels.*.partition.memory.node', 'number', "the CPUs'", false, 'the NUMA node it must be on', whole],
  [
    'kernels.*.partition.memory.nodes',
    'map of NUMA node to size',
    'none',
    false,
    'instead of a size: so much on each node',
    perNode,
  ],
  [
    'kernels.*.partition.memory.hugePages',
    'size',
    'none',
    false,
    'size of the pages it is made of, such as 2MiB',
    size,
  ],
  [
    'kernels.*.partition.devices',
    'list of PCI addresses or maps',
    'none',
    false,
    'PCI functions nobody else has',
    { type: 'array' },
  ],
  [
    'kernels.*.partition.devices[].class',
    'network, nvme, storage, gpu, accelerator or usb',
    'required',
    false,
    'instead of an address: any of this kind',
    { enum: ['network', 'nvme', 'storage', 'gpu', 'accelerator', 'usb'] },
  ],
  ['kernels.*.partition.devices[].count', 'number', '1', false, 'how many', { type: 'integer', minimum: 1 }],
  [
    'kernels.*.partition.devices[].function',
    'any, virtual or physical',
    'any',
    false,
    'SR-IOV virtual functions, or physical ones',
    { enum: ['any', 'virtual', 'physical'] },
  ],
  ['channels', 'map of name to channel', 'none', true, 'rings of shared memory between kernels', object],
  ['channels.*.from', 'name of a kernel, or host', 'host', false, 'who sends; a change makes it anew', label],
  ['channels.*.to', 'name of a kernel, or host', 'host', false, 'who receives; a change makes it anew', label],
  ['channels.*.size', 'size', '1MiB', false, 'for messages under way, a power of two; a change makes it anew', size],
  ['services', 'map of name to service', 'none', true, 'ports of this machine that lead to several kernels', object],
  ['services.*.port', 'port', 'required', true, 'TCP port of this machine', port],
  ['services.*.bind', 'address', '127.0.0.1', true, 'IP address of this machine', text],
  [
    'services.*.targets',
    'list of KERNEL or KERNEL:PORT',
    'required',
    true,
    'who gets the requests; a kernel with replicas stands for all of them',
    { type: 'array', items: text, minItems: 1 },
  ],
  ['services.*.mode', 'http or tcp', 'http', true, 'balance requests or connections', { enum: ['http', 'tcp'] }],
  [
    'services.*.balance',
    'random2, roundrobin or leastconn',
    'random2',
    true,
    'random2: the less loaded of two picked at random',
    { enum: ['random2', 'roundrobin', 'leastconn'] },
  ],
  ['services.*.check', 'path', 'it accepts connections', true, 'a healthy kernel answers it with 200 to 399', text],
  ['services.*.slo', 'map', 'none', true, 'what is promised', object],
  [
    'services.*.slo.latency',
    'pPERCENT=TIME',
    'none',
    true,
    'so many per cent of the requests take at most so long, such as p99=20ms',
    { type: 'string', pattern: '^p\\d{1,2}(\\.\\d{1,3})?=\\d{1,9}(\\.\\d{1,3})?(ms|s)$' },
  ],
  [
    'services.*.slo.availability',
    'number',
    'none',
    true,
    'so many per cent of the requests are answered, without a status of 500 and above',
    { type: 'number', minimum: 1, maximum: 99.9999 },
  ],
];

export const OPTIONS: readonly Option[] = ROWS.map(([path, type, fallback, live, description, schema]) => ({
  path,
  type,
  default: fallback,
  live,
  description,
  schema,
}));

/** Items of these lists may also be a text, and so may the options that `anyOf` says it of. */
const TEXT_ITEMS: Readonly<Record<string, JsonSchema>> = {
  'kernels.*.volumes': text,
  'kernels.*.partition.devices': pciAddress,
};

/** The keys that may stand below `path`. */
export function keysOf(path: string): string[] {
  const prefix = path === '' ? '' : `${path}.`;
  return OPTIONS.flatMap((option) => {
    const rest = option.path.startsWith(prefix) ? option.path.slice(prefix.length) : '';
    return /^[a-zA-Z]+$/.test(rest) ? [rest] : [];
  });
}

/** Whether a change of `path`, below a kernel (`environment.MODE`, `restart`), takes effect without a restart. */
export function liveChange(path: string): boolean {
  const words = path.split('.');
  for (let length = words.length; length > 0; length--) {
    const option = OPTIONS.find((each) => each.path === `kernels.*.${words.slice(0, length).join('.')}`);
    if (option !== undefined) return option.live;
  }
  return false;
}

/** The stack file as JSON Schema (draft 2020-12), for editors: shapes and words; what depends on more the parser checks. */
export function stackJsonSchema(): JsonSchema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Polykernel stack file',
    ...schemaOf(''),
  };
}

function schemaOf(path: string): JsonSchema {
  const properties = Object.fromEntries(
    keysOf(path).map((key) => {
      const below = path === '' ? key : `${path}.${key}`;
      const option = OPTIONS.find((each) => each.path === below)!;
      return [key, { description: `${option.description}. Default: ${option.default}`, ...filled(option) }];
    }),
  );
  const required = Object.keys(properties).filter((key) => ALWAYS_REQUIRED.has(path === '' ? key : `${path}.${key}`));
  return {
    type: 'object',
    additionalProperties: false,
    properties,
    ...(required.length > 0 && { required }),
    ...EITHER[path],
  };
}

/** What stands instead of something else, and what it does not go with. */
const EITHER: Readonly<Record<string, JsonSchema>> = {
  'kernels.*': { dependentSchemas: { partition: { properties: { cpus: false, memory: false } } } },
  'kernels.*.partition.cpus': {
    oneOf: [{ required: ['count'], properties: { weight: false } }, { required: ['shared'] }],
    dependentSchemas: {
      shared: { properties: { count: false, numa: false, smt: false, cache: false, near: false } },
    },
  },
  'kernels.*.partition.memory': {
    oneOf: [{ required: ['size'] }, { required: ['nodes'], properties: { node: false } }],
  },
};

/** `count` and `size` are not among them: `shared` and `nodes` may stand instead. */
const ALWAYS_REQUIRED = new Set([
  'kernels',
  'pool.cpus',
  'kernels.*.command',
  'kernels.*.volumes[].source',
  'kernels.*.volumes[].target',
  'kernels.*.partition.devices[].class',
  'services.*.port',
  'services.*.targets',
]);

/** The option's own schema with what the table says of the options below it. */
function filled({ path, schema }: Option): JsonSchema {
  if (path === 'kernels') {
    return { type: 'object', minProperties: 1, propertyNames: label, additionalProperties: schemaOf('kernels.*') };
  }
  if (path === 'channels')
    return { type: 'object', propertyNames: label, additionalProperties: schemaOf('channels.*') };
  if (path === 'services')
    return { type: 'object', propertyNames: label, additionalProperties: schemaOf('services.*') };
  const items = TEXT_ITEMS[path];
  if (items !== undefined) return { type: 'array', items: { anyOf: [items, schemaOf(`${path}[]`)] } };
  if (keysOf(path).length === 0) return schema;
  if (schema === object) return schemaOf(path);
  const alternatives = schema.anyOf as readonly JsonSchema[];
  return { anyOf: alternatives.map((each) => (each === object ? schemaOf(path) : each)) };
}
