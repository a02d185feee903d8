/** One kernel of a stack file. */
import { resolve } from 'node:path';
import { checkCreateRequest } from '../instance/schema.ts';
import { PolykernelError } from '../sys/errors.ts';
import { keysOf } from './options.ts';
import type { StackContext } from './parse.ts';
import { readPartition } from './parse-partition.ts';
import { readDuration, readSize } from './parse-values.ts';
import type { KernelDefinition } from './stack.ts';
import type { Place, YamlReader } from './yaml-reader.ts';

type Create = KernelDefinition['create'];
type Entries = Map<string, Place>;

const DRIVERS = ['auto', 'uml', 'qemu', 'fake'] as const;

export function readKernel(
  reader: YamlReader,
  name: string,
  place: Place,
  context: StackContext,
): KernelDefinition | undefined {
  const entries = reader.map(place, keysOf('kernels.*'));
  if (entries === undefined) return undefined;
  const problems = reader.problems.length;
  const create = readCreate(reader, place, entries, context);
  const partition = entries.get('partition');
  const tenant = entries.get('tenant');
  for (const key of ['cpus', 'memory']) {
    const both = entries.get(key);
    if (both !== undefined && partition !== undefined)
      reader.problem(
        both,
        `${key} is given beside a partition, which says that already`,
        `Leave ${key} out, or the partition.`,
      );
  }
  const definition: KernelDefinition = {
    name,
    create,
    partition: partition === undefined ? null : (readPartition(reader, partition) ?? null),
    tenant: (tenant && reader.text(tenant)) ?? null,
  };
  if (reader.problems.length === problems) checkRest(reader, place, definition);
  return definition;
}

function readCreate(reader: YamlReader, place: Place, entries: Entries, context: StackContext): Create {
  const value = <T>(key: string, read: (place: Place) => T | undefined): T | undefined => {
    const found = entries.get(key);
    return found && read(found);
  };
  const text = (found: Place) => reader.text(found);
  const root = value('root', text);
  const user = value('user', (found) => readUser(reader, found));
  const command = value('command', (found) => readCommand(reader, found));
  if (!entries.has('command'))
    reader.problem(place, 'command is missing', 'Say what it runs: command: ["node", "server.js"]');
  const create: { [Key in keyof Create]: Create[Key] | undefined } = {
    command: command ?? ['true'],
    driver: value('driver', (found) => reader.word(found, DRIVERS)),
    image: value('image', text),
    root: root === undefined || root === 'host' ? undefined : resolve(context.directory, root),
    env: value('environment', (found) => readEnvironment(reader, found)),
    volumes: value('volumes', (found) => readVolumes(reader, found, context)),
    cwd: value('cwd', text),
    uid: user?.uid,
    gid: user?.gid,
    hostname: value('hostname', text),
    restart: value('restart', text),
    readyTimeoutMs: value('readyTimeout', (found) => readDuration(reader, found)),
    stopGraceMs: value('stopGrace', (found) => readDuration(reader, found)),
    cold: value('cold', (found) => reader.boolean(found)),
    cpus: value('cpus', (found) => reader.number(found, 1, 4096)),
    memoryBytes: value('memory', (found) => readSize(reader, found)),
  };
  return Object.fromEntries(Object.entries(create).filter(([, each]) => each !== undefined)) as Create;
}

/** A text goes to the shell, as people expect of it; a list is run as it is. */
function readCommand(reader: YamlReader, place: Place): string[] | undefined {
  const hint = 'Write a list such as ["node", "server.js"], or a text for the shell.';
  if (reader.isList(place)) {
    const words = reader.list(place, hint)?.map((item) => reader.text(item, 'a word') ?? '');
    return words?.length === 0 ? reader.problem(place, 'must have at least one word', hint) : words;
  }
  const text = reader.text(place, 'a list of words, or a text', hint);
  return text === undefined ? undefined : ['/bin/sh', '-c', text];
}

function readEnvironment(reader: YamlReader, place: Place): Record<string, string> | undefined {
  const entries = reader.map(place);
  return entries && Object.fromEntries([...entries].map(([name, value]) => [name, reader.text(value) ?? '']));
}

function readUser(reader: YamlReader, place: Place): { uid: number; gid: number } | undefined {
  const text = reader.text(place, 'a user id');
  if (text === undefined) return undefined;
  const match = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text);
  if (match === null)
    return reader.problem(place, `is ${JSON.stringify(text)}, not a user id`, 'Write numbers: 1000, or "1000:1000".');
  return { uid: Number(match[1]), gid: Number(match[2] ?? 0) };
}

function readVolumes(reader: YamlReader, place: Place, { directory }: StackContext): Create['volumes'] {
  return reader.list(place)?.flatMap((item) => {
    if (reader.isMap(item)) {
      const entries = reader.map(item, keysOf('kernels.*.volumes[]'));
      const [source, target, readOnly] = ['source', 'target', 'readOnly'].map((key) => entries?.get(key));
      if (source === undefined || target === undefined) {
        reader.problem(item, `${source === undefined ? 'source' : 'target'} is missing`);
        return [];
      }
      const [from, to] = [reader.text(source), reader.text(target)];
      if (from === undefined || to === undefined) return [];
      return [
        { source: resolve(directory, from), target: to, readOnly: (readOnly && reader.boolean(readOnly)) ?? false },
      ];
    }
    const hint = 'Write SOURCE:TARGET or SOURCE:TARGET:ro, such as ./data:/data:ro.';
    const text = reader.text(item, 'SOURCE:TARGET', hint);
    const match = text === undefined ? null : /^([^:]+):(\/[^:]*)(?::(ro|rw))?$/.exec(text);
    if (match !== null)
      return [{ source: resolve(directory, match[1]!), target: match[2]!, readOnly: match[3] === 'ro' }];
    if (text !== undefined) reader.problem(item, `is ${JSON.stringify(text)}, not SOURCE:TARGET`, hint);
    return [];
  });
}

/** Names that the API gives another way. */
const FIELDS: readonly (readonly [RegExp, string])[] = [
  [/^env\b/, 'environment'],
  [/^(uid|gid)$/, 'user'],
  [/^readyTimeoutMs$/, 'readyTimeout'],
  [/^stopGraceMs$/, 'stopGrace'],
  [/^memoryBytes$/, 'memory'],
];

/** What the API would refuse, said at its place in the file. */
function checkRest(reader: YamlReader, place: Place, { name, create, partition, tenant }: KernelDefinition): void {
  try {
    checkCreateRequest({ ...create, name, ...(partition && { partition }), ...(tenant !== null && { tenant }) });
  } catch (error) {
    if (!(error instanceof PolykernelError)) throw error;
    const field = FIELDS.reduce((text, [from, to]) => text.replace(from, to), error.field ?? '');
    reader.problemAt(field === '' ? place.path : `${place.path}.${field}`, error.message, error.hint);
  }
}
