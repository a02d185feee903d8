/** One kernel of a stack file. */
import { join, resolve } from 'node:path';
import { keysOf } from '../core/stack-options.ts';
import type { Place, YamlReader } from '../core/yaml-reader.ts';
import { readDuration, readSize, readWord } from '../core/yaml-values.ts';
import { driverWords } from '../driver/registry.ts';
import { PUBLISH_FORM, PUBLISH_HINT, parsePublished } from '../network/contract.ts';
import { PolykernelError, withoutField } from '../sys/errors.ts';
import { USER_HINT } from '../sys/user-text.ts';
import { parseVolume, type VolumeText } from '../sys/volume-text.ts';
import { checkCreateRequest, checkInstanceName } from './contract.ts';
import type { KernelDefinition, StackContext } from './definition.ts';
import type { FieldRow } from './field-row.ts';
import { fieldRows, labelOf } from './fields.ts';
import { readPartition } from './parse-partition.ts';
import { kernelOptions } from './stack-options.ts';
import { checkWhole, functionsOf } from './whole.ts';

type Create = KernelDefinition['create'];
type Volume = VolumeText;
type Entries = Map<string, Place>;

/** As many as there can be kernels in a file. */
const MOST_REPLICAS = 4096;
const VOLUME_HINT = 'Write SOURCE:TARGET, SOURCE:TARGET:ro or SOURCE:TARGET:suid, such as ./data:/data:ro.';
const LABEL_HINT = 'Use lower-case letters, digits and inner dashes, such as acme.';

/** The kernels that an entry stands for: one of its name, or so many replicas. Empty when it cannot be read. */
export function readKernel(reader: YamlReader, name: string, place: Place, context: StackContext): KernelDefinition[] {
  const entries = reader.map(place, keysOf(kernelOptions.options, 'kernels.*'));
  if (entries === undefined) return [];
  const before = reader.problems.length;
  const healthcheck = entries.get('healthcheck');
  if (healthcheck !== undefined) {
    const parts = reader.map(healthcheck, keysOf(kernelOptions.options, 'kernels.*.healthcheck'));
    if (parts !== undefined && !parts.has('command'))
      reader.problem(healthcheck, 'command is missing', 'Say what tells it: {command: "wget -qO- localhost"}');
    for (const [key, at] of parts ?? []) entries.set(`healthcheck.${key}`, at);
  }
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
  const owner = tenant && readWord(reader, tenant);
  if (owner !== undefined) isAccepted(reader, tenant!, { tenant: owner }, 'tenant', LABEL_HINT);
  const kernel = {
    entry: name,
    create,
    partition: partition === undefined ? null : (readPartition(reader, partition) ?? null),
    tenant: owner ?? null,
    ...hiddenKeys(reader, entries),
  };
  if (reader.problems.length === before) checkParts(reader, place, kernel);
  const names = replicaNames(reader, name, entries);
  const only = names.length > 1 ? ofOneKernel(kernel) : undefined;
  if (only === undefined) return names.map((each) => ({ name: each, ...kernel }));
  reader.problemAt(`${place.path}.${only.path}`, `${only.what}, and there are ${names.length} replicas`, only.hint);
  return [{ name, ...kernel }];
}

/** What its parts say against each other, once each is right for itself. */
function checkParts(reader: YamlReader, place: Place, { create, partition }: Omit<KernelDefinition, 'name'>): void {
  try {
    checkWhole({ ...create, ...(partition && { partition }) });
  } catch (error) {
    if (!(error instanceof PolykernelError)) throw error;
    const field = (error.field ?? '').replace('memoryBytes', 'memory');
    reader.problemAt(`${place.path}.${field}`, withoutField(error), error.hint);
  }
}

/** Keys of changes in which values of variables would be seen; those of the environment never are. */
function hiddenKeys(reader: YamlReader, entries: Entries): { hidden?: string[] } {
  const hidden = [...entries].flatMap(([key, place]) => (reader.hasVariables(place) ? [key] : []));
  return hidden.length > 0 ? { hidden } : {};
}

/** What only one kernel can have. */
function ofOneKernel({ create, partition }: Pick<KernelDefinition, 'create' | 'partition'>) {
  // A port that is chosen is another one for each.
  if (create.publish?.some(({ hostPort }) => hostPort !== 0)) {
    const hint =
      'Make a service with them as targets: it spreads what comes to one port. Or leave the port here out: "80".';
    return { path: 'publish', what: 'a port of this machine leads to one kernel', hint };
  }
  if (partition?.cpus.kind === 'exact')
    return { path: 'partition.cpus', what: 'CPUs have one owner', hint: 'Give a number of CPUs instead of a list.' };
  const what = 'a function has one owner';
  if (partition?.devices.some(({ kind }) => kind === 'address'))
    return { path: 'partition.devices', what, hint: 'Ask for a class instead of an address.' };
  if (functionsOf(create).length > 0)
    return { path: 'devices', what, hint: 'Ask for any of a kind instead of an address: vf:network.' };
  return undefined;
}

function replicaNames(reader: YamlReader, name: string, entries: Entries): string[] {
  const at = entries.get('replicas');
  if (at === undefined) return [name];
  const count = reader.number(at, 1, MOST_REPLICAS) ?? 1;
  const names = Array.from({ length: count }, (_, index) => `${name}-${index + 1}`);
  reader.attempt(at, () => checkInstanceName(names.at(-1)!));
  return names;
}

/** What cannot be read, or would be refused by the API, is told and left out. */
function readCreate(reader: YamlReader, place: Place, entries: Entries, context: StackContext): Create {
  const create: { -readonly [Key in keyof Create]: Create[Key] } = { command: [] };
  const option = <Key extends keyof Create>(name: string, key: Key, read: (at: Place) => Create[Key]): void => {
    const at = entries.get(name);
    const value = at && read(at);
    if (value !== undefined && isAccepted(reader, at!, { [key]: value }, key)) create[key] = value;
  };
  const word = (at: Place) => readWord(reader, at);
  option('command', 'command', (at) => readCommand(reader, at) as Create['command']);
  if (!entries.has('command'))
    reader.problem(place, 'command is missing', 'Say what it runs: command: ["node", "server.js"]');
  option('driver', 'driver', (at) => reader.word(at, driverWords));
  option('root', 'root', (at) => {
    const root = word(at);
    return root === undefined || root === 'host' ? undefined : hostPath(root, context);
  });
  option('environment', 'env', (at) => readEnvironment(reader, at));
  option('volumes', 'volumes', (at) => readVolumes(reader, at, context));
  option('cwd', 'cwd', word);
  option('cpus', 'cpus', (at) => reader.number(at, 1, 4096));
  option('memory', 'memoryBytes', (at) => readSize(reader, at));
  option('elastic', 'elastic', (at) => readElastic(reader, at));
  option('publish', 'publish', (at) => readPublish(reader, at));
  option('user', 'user', (at) => reader.text(at, 'a user', USER_HINT));
  for (const [key, field] of fieldRows)
    if (key !== 'tenant')
      option(field.stack.key, key, (at) => readField(reader, at, field, context) as Create[typeof key]);
  // Together they may be too long where neither is.
  const { command, env } = create;
  if (command.length > 0 && env !== undefined) isAccepted(reader, entries.get('command')!, { command, env }, '');
  return create;
}

/** The tenant is none of these: a definition has it beside what it creates. */
function readField(reader: YamlReader, at: Place, { kind, words, schema }: FieldRow, context: StackContext): unknown {
  switch (kind) {
    case 'path': {
      const path = readWord(reader, at);
      return path === undefined ? undefined : hostPath(path, context);
    }
    case 'flag':
      return reader.boolean(at);
    case 'word':
      return reader.word(at, words!);
    case 'duration':
      return readDuration(reader, at, schema.minimum);
    case 'count':
      return reader.number(at, schema.minimum ?? 0, schema.maximum ?? Number.MAX_SAFE_INTEGER);
    case 'labels':
      return readLabels(reader, at);
    case 'texts':
      return readTexts(reader, at);
    case 'text':
      return readWord(reader, at);
  }
}

function readTexts(reader: YamlReader, place: Place): string[] | undefined {
  const hint = 'Write a list of texts.';
  return reader.list(place, hint)?.flatMap((item) => reader.text(item, 'a text', hint) ?? []);
}

/** As Compose takes them: a map, or a list of `NAME=TEXT`. */
function readLabels(reader: YamlReader, place: Place): Record<string, string> | undefined {
  const hint = 'Write {NAME: TEXT}, or a list of NAME=TEXT.';
  if (!reader.isList(place)) {
    const all = [...(reader.map(place) ?? [])].map(([name, at]) => [name, reader.text(at, 'a text', hint)]);
    return Object.fromEntries(all.filter(([, text]) => text !== undefined));
  }
  const all = reader.list(place, hint)?.flatMap((item) => {
    const text = reader.text(item, 'NAME=TEXT', hint);
    return text === undefined ? [] : [labelOf(text)];
  });
  return all && Object.fromEntries(all);
}

/**
 * Whether the API would take these fields; what it refuses is a problem at `place`, or at the part of it that the error
 * names beyond `field`.
 */
function isAccepted(reader: YamlReader, place: Place, fields: object, field: string, hint?: string): boolean {
  try {
    checkCreateRequest({ command: ['true'], ...fields });
    return true;
  } catch (error) {
    if (!(error instanceof PolykernelError)) throw error;
    const below = field !== '' && error.field?.startsWith(field) ? error.field.slice(field.length) : '';
    reader.problemAt(`${place.path}${below}`, withoutField(error).replace(/^env: /, ''), error.hint ?? hint);
    return false;
  }
}

/** A text goes to the shell, as people expect of it; a list is run as it is. */
function readCommand(reader: YamlReader, place: Place): string[] | undefined {
  const hint = 'Write a list such as ["node", "server.js"], or a text for the shell.';
  if (reader.isList(place)) {
    const words = reader.list(place, hint)?.map((item) => reader.text(item, 'a word') ?? '');
    return words?.length === 0 ? reader.problem(place, 'must have at least one word', hint) : words;
  }
  const text = readWord(reader, place, 'a list of words, or a text', hint);
  return text === undefined ? undefined : ['/bin/sh', '-c', text];
}

/** As Compose takes them: a map, or a list of `NAME=VALUE`. A name alone is refused: the caller's environment never enters. */
function readEnvironment(reader: YamlReader, place: Place): Record<string, string> | undefined {
  const accepted = (name: string, value: string, at: Place) =>
    isAccepted(reader, at, { env: { [name]: value } }, '') ? [[name, value] as const] : [];
  const variables = reader.isList(place)
    ? (reader.list(place) ?? []).flatMap((item) => {
        const text = reader.text(item, 'NAME=VALUE', 'Write {NAME: VALUE}, or a list of NAME=VALUE.');
        if (text === undefined) return [];
        const end = text.indexOf('=');
        if (end > 0) return accepted(text.slice(0, end), text.slice(end + 1), item);
        reader.problem(item, 'must be NAME=VALUE', 'A variable of the environment of pk is passed on by NAME=$NAME.');
        return [];
      })
    : [...(reader.map(place) ?? [])].flatMap(([name, at]) => {
        const value = reader.text(at, 'a text', 'Write a value, such as "" for none.');
        return value === undefined ? [] : accepted(name, value, at);
      });
  // Unlike an assignment, this makes __proto__ a variable like any other.
  return Object.fromEntries(variables);
}

function readElastic(reader: YamlReader, place: Place): Create['elastic'] {
  const parts = reader.map(place, keysOf(kernelOptions.options, 'kernels.*.elastic'));
  const bounds = (key: 'cpus' | 'memory', read: (at: Place) => number | undefined) => {
    const at = parts?.get(key);
    const ends = at && reader.map(at, keysOf(kernelOptions.options, `kernels.*.elastic.${key}`));
    if (at === undefined || ends === undefined) return undefined;
    const [least, most] = [ends.get('min'), ends.get('max')];
    if (least === undefined || most === undefined)
      return reader.problem(at, 'needs min and max', 'Write {min: 1, max: 4}, or sizes for memory.');
    const [min, max] = [read(least), read(most)];
    return min === undefined || max === undefined ? undefined : { min, max };
  };
  const cpus = bounds('cpus', (at) => reader.number(at, 0.001, 4096, true));
  const memoryBytes = bounds('memory', (at) => readSize(reader, at));
  return { ...(cpus && { cpus }), ...(memoryBytes && { memoryBytes }) };
}

function readPublish(reader: YamlReader, place: Place): Create['publish'] {
  return reader.list(place, PUBLISH_HINT)?.flatMap((item) => {
    const text = reader.text(item, PUBLISH_FORM, PUBLISH_HINT);
    if (text === undefined) return [];
    const parsed = parsePublished(text);
    if ('ports' in parsed) return parsed.ports;
    reader.problem(item, `is ${JSON.stringify(text)}: ${parsed.reason}`, PUBLISH_HINT);
    return [];
  });
}

/** A path of this machine: below the file's directory, or with `~/` below the caller's home, as Compose has it. */
function hostPath(path: string, { directory, variables }: StackContext): string {
  const home = variables?.HOME;
  return home !== undefined && /^~(?:\/|$)/.test(path) ? join(home, path.slice(1)) : resolve(directory, path);
}

function readVolumes(reader: YamlReader, place: Place, context: StackContext): Create['volumes'] {
  return reader.list(place, VOLUME_HINT)?.flatMap((item) => {
    const volume = reader.isMap(item) ? readVolumeMap(reader, item) : readVolumeText(reader, item);
    if (volume === undefined) return [];
    const whole = { ...volume, source: hostPath(volume.source, context) };
    return isAccepted(reader, item, { volumes: [whole] }, 'volumes[0]') ? [whole] : [];
  });
}

function readVolumeText(reader: YamlReader, place: Place): Volume | undefined {
  const text = reader.text(place, 'SOURCE:TARGET', VOLUME_HINT);
  if (text === undefined) return undefined;
  return parseVolume(text) ?? reader.problem(place, `is ${JSON.stringify(text)}, not SOURCE:TARGET`, VOLUME_HINT);
}

function readVolumeMap(reader: YamlReader, place: Place): Volume | undefined {
  const entries = reader.map(place, keysOf(kernelOptions.options, 'kernels.*.volumes[]'));
  const [source, target] = ['source', 'target'].map((key) => {
    const at = entries?.get(key);
    return at
      ? readWord(reader, at)
      : reader.problem(place, `${key} is missing`, 'Write {source: ./data, target: /data}.');
  });
  const readOnly = entries?.get('readOnly');
  const isReadOnly = readOnly ? reader.boolean(readOnly) : false;
  const setId = entries?.get('maySetId');
  const maySetId = setId ? reader.boolean(setId) : false;
  if (source === undefined || target === undefined || isReadOnly === undefined || maySetId === undefined)
    return undefined;
  return { source, target, readOnly: isReadOnly, ...(maySetId ? { maySetId } : {}) };
}
