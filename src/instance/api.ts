/** Instances in the API: what is asked, what is answered, and the routes. */
import { del, download, get, lines, post, routes, upload } from '../core/route.ts';
import {
  count,
  flag,
  id,
  listOf,
  mapOf,
  named,
  nothing,
  numbers,
  oneOf,
  orNull,
  record,
  request,
  text,
  texts,
  time,
  typed,
} from '../core/schema.ts';
import type { Schema } from '../core/validate.ts';
import { capabilities, networkKind, realPlacement } from '../driver/schema.ts';
import { partitionRequestSchema } from '../ledger/request.ts';
import { partition } from '../ledger/schema.ts';
import { channelUsesSchema } from './channel-use.ts';
import type { InstanceDetails } from './details.ts';
import { type FieldKey, fieldRows } from './fields.ts';
import type { LogLine } from './log-line.ts';
import { guestPath, killRequest, logQuery, prewarmRequest, stopRequest } from './requests.ts';
import { type CreateRequest, createRequestSchema, publishSchema, volumeSchema } from './schema.ts';
import type {
  Bounds,
  Elastic,
  InstanceExit,
  InstanceSpec,
  InstanceStatus,
  InstanceTrial,
  Placement,
  Size,
} from './spec.ts';

export { prewarmRequest };

const exit = named(
  'InstanceExit',
  record<InstanceExit>(
    {
      reason: oneOf('exit', 'signal', 'panic', 'died', 'not-ready', 'failed', 'hung', 'unhealthy', 'stopped', 'killed'),
      exitCode: count,
      message: text,
      hint: text,
      at: time,
    },
    ['hint'],
  ),
);

export const placement = named(
  'Placement',
  record<Placement>({
    partition,
    vcpuCpus: { ...numbers, description: 'Host CPU of each vCPU' },
    reasons: { ...texts, description: 'Why there' },
  }),
);

/** Of the plain fields, by their rows. */
const fieldAnswers = Object.fromEntries(
  fieldRows.map(([key, field]) => {
    const value =
      field.kind === 'flag'
        ? flag
        : field.kind === 'duration' || field.kind === 'count'
          ? count
          : field.kind === 'labels'
            ? mapOf(text)
            : field.kind === 'texts'
              ? texts
              : text;
    return [key, field.default === null ? orNull(value) : value];
  }),
) as Record<FieldKey, Schema>;

const bounds = record<Bounds>({ min: count, max: count });
const elastic = record<Elastic>({ cpus: orNull(bounds), memoryBytes: orNull(bounds) });
export const size = record<Size>({
  cpus: { type: 'number', description: 'Of shared CPUs its part' },
  memoryBytes: count,
});

const spec = named(
  'InstanceSpec',
  record<InstanceSpec>({
    ...fieldAnswers,
    name: text,
    command: texts,
    env: mapOf(text),
    cwd: text,
    autoRemove: flag,
    cwdOptional: flag,
    user: text,
    driver: text,
    driverReason: text,
    cpus: count,
    memoryBytes: count,
    elastic: orNull(elastic),
    root: text,
    volumes: listOf(volumeSchema),
    attached: flag,
    tty: flag,
    merged: flag,
    rows: count,
    columns: count,
    partition: orNull(partitionRequestSchema),
    stack: orNull(text),
    channels: channelUsesSchema,
    network: networkKind,
    publish: publishSchema,
  }),
);

const statusFields = {
  id,
  spec,
  size: { ...size, description: 'What its kernel has of its machine now, or begins with at its next start' },
  state: oneOf('created', 'starting', 'running', 'paused', 'stopping', 'stuck', 'exited', 'backoff'),
  takingOver: { ...flag, description: "Its kernel runs, an earlier daemon's, and has not answered this one yet" },
  bootId: orNull(text),
  kernelRelease: orNull(text),
  pid: orNull({ type: 'integer' }),
  cloned: orNull(flag),
  imageDigest: orNull(text),
  createdAt: time,
  startedAt: orNull(time),
  workingDirectory: orNull(text),
  readyMs: { ...orNull({ type: 'integer' }), description: 'Spawn to ready of the last start, in milliseconds' },
  restarts: count,
  exit: orNull(exit),
  restartAt: orNull(time),
  address: { ...orNull(text), description: 'IPv4 address in the private network' },
  placement: { ...orNull(placement), description: 'What it owns of the pool, and where its vCPUs run' },
};
const status = named('InstanceStatus', record<InstanceStatus>(statusFields));

const details = named(
  'InstanceDetails',
  record<InstanceDetails>({
    ...statusFields,
    apicIds: {
      ...listOf(record<InstanceDetails['apicIds'][number]>({ id: count, apicId: count })),
      description: 'Its CPUs as firmware names them',
    },
    real: { ...orNull(realPlacement), description: 'Where its kernel really is, read from the host kernel' },
    capabilities: orNull(capabilities),
    paths: record<InstanceDetails['paths']>({ directory: text, consoleLog: text, log: text }),
  }),
);

const logLine = named(
  'LogLine',
  record<LogLine>(
    {
      t: { ...text, description: 'ISO 8601 UTC; empty for the console' },
      s: oneOf('out', 'err'),
      d: { ...text, description: 'Its text' },
      b: { ...text, description: 'Its bytes in base64, where they are no text' },
    },
    ['d', 'b'],
  ),
);

const treeName = { type: 'string', pattern: '^[^\\0/]+$', maxLength: 255 } as const;

export const instanceApi = routes('instances', {
  list: get('/v1/instances', {
    summary: 'All instances, values of their environments hidden',
    list: 'instances',
    answer: status,
  }),
  /** Returns once the instance is recorded; booting goes on (see `wait` and `events`). */
  create: post('/v1/instances', {
    summary: 'Create an instance and begin to start it',
    body: typed<CreateRequest>(named('CreateRequest', createRequestSchema)),
    answer: status,
    status: 201,
  }),
  tryOut: post('/v1/instances/try', {
    summary: 'What would become of it; nothing is made',
    description: 'Refused as its creation would be.',
    body: typed<CreateRequest>(named('CreateRequest', createRequestSchema)),
    answer: named('InstanceTrial', record<InstanceTrial>({ spec, placement: statusFields.placement })),
  }),
  inspect: get('/v1/instances/:name', { summary: 'One instance in full', answer: details }),
  remove: del('/v1/instances/:name', {
    summary: 'Remove an instance',
    description: 'A running one only with force, which kills it.',
    query: request({ force: flag }),
  }),
  /** Resolves once the kernel is ready and the workload started. */
  start: post('/v1/instances/:name/start', {
    summary: 'Start it; answers once its workload was executed',
    body: nothing,
    answer: status,
  }),
  stop: post('/v1/instances/:name/stop', {
    summary: 'SIGTERM, and after the grace the kernel is killed',
    body: stopRequest,
    answer: status,
  }),
  /** Without `signal`, or with 9, the kernel is killed; any other signal number goes to the workload. */
  kill: post('/v1/instances/:name/kill', {
    summary: 'Kill the kernel, or send a signal to the workload',
    body: killRequest,
    answer: status,
  }),
  pause: post('/v1/instances/:name/pause', { summary: 'Stop its time', body: nothing, answer: status }),
  resume: post('/v1/instances/:name/resume', { summary: 'Let its time go on', body: nothing, answer: status }),
  restart: post('/v1/instances/:name/restart', { summary: 'Stop and start it', body: stopRequest, answer: status }),
  /** Resolves once the instance is `exited`. */
  wait: get('/v1/instances/:name/wait', {
    summary: 'Answers once it has ended and no restart is due',
    answer: status,
  }),
  logs: lines('/v1/instances/:name/logs', {
    summary: 'Output of the workload or the console',
    description: 'One LogLine per line.',
    query: logQuery,
    answer: logLine,
  }),
  getFile: download('/v1/instances/:name/files', {
    tag: 'files',
    summary: 'Content of a file in the guest',
    query: request({ path: guestPath }, 'path'),
    produces: 'application/octet-stream',
  }),
  putFile: upload('/v1/instances/:name/files', {
    tag: 'files',
    summary: 'Write a file in the guest',
    query: request(
      { path: guestPath, mode: { type: 'string', pattern: '^0?[0-7]{3,4}$', description: 'Octal. Default 0644' } },
      'path',
    ),
  }),
  getTree: download('/v1/instances/:name/archive', {
    tag: 'files',
    summary: 'A file or directory of the guest as a tar archive',
    query: request(
      { path: guestPath, as: { ...treeName, description: 'What it is called in there. Default `.`' } },
      'path',
    ),
    produces: 'application/x-tar',
  }),
  putTree: upload('/v1/instances/:name/archive', {
    tag: 'files',
    summary: 'Unpack a tar archive in the guest',
    description:
      'Where `path` is a directory it goes in there, where there is nothing that is made of it. No link there is followed.',
    query: request(
      {
        path: guestPath,
        as: { ...treeName, description: 'The name that it has in a directory. Default none: what is in it' },
        directory: { ...flag, description: 'Refuse a `path` that is no directory' },
        owners: { ...flag, description: "Keep owners and set-id bits. Default: root's, and none" },
      },
      'path',
    ),
  }),
});
