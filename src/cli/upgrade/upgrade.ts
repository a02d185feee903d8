/** `pk upgrade`: one instance, or all; what is said of it before and after. */
import { resolve } from 'node:path';
import { type Client, connect } from '../../client/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { parseDuration } from '../../sys/units.ts';
import type { Rollout, RolloutRequest, UpgradeReport, UpgradeRequest } from '../../upgrade/contract.ts';
import { type Command, type Invocation, JSON_OPTION } from '../kit/command.ts';
import { withProgress } from '../kit/long-work.ts';
import { print, printJson } from '../kit/output.ts';
import { interruptible } from '../kit/signals.ts';

const ROLLBACK_WATCH_MS = 30_000;

export const command: Command = {
  summary: 'run an instance on another kernel image, root or command',
  usage: '[OPTION]... NAME [--] [COMMAND [ARGUMENT]...]',
  description:
    'Behind a service a second kernel is started beside it, and gets the requests while the instance itself is stopped and started\n' +
    'anew. Any other instance is down in between. A failure on the way leaves all as it was.',
  options: {
    image: { value: 'NAME', complete: 'image', help: 'kernel image' },
    rootfs: { value: 'PATH', complete: 'file', help: 'root file system' },
    all: { help: 'all that run and can have that image' },
    'at-most': { value: 'N', help: 'with --all: so many at once (default 1)' },
    status: { help: 'what became of the last --all' },
    stop: { help: 'begin no other upgrade of --all, and take back those under way' },
    drain: { value: 'TIME', help: 'how long open connections may take to end before they are cut (default 30s)' },
    watch: {
      value: 'TIME',
      help: 'how long it must stay well before it counts (default 2s; with --auto-rollback 30s)',
    },
    'auto-rollback': { help: 'watch it for longer: its crashes, its check, the promises of its services' },
    'dry-run': { help: 'say what would be done, and do nothing' },
    json: JSON_OPTION,
  },
  arguments: [0, Number.POSITIVE_INFINITY],
  commandFrom: 1,
  complete: 'instance',
  examples: [
    ['pk upgrade web --image debian:amd64@new', 'without a gap, when a service leads to it'],
    ['pk upgrade --all --image debian:amd64@new --at-most 2', 'two at once; goes on when pk is interrupted'],
  ],
  async run(invocation) {
    const [name, ...words] = invocation.positionals;
    const isJson = invocation.flag('json');
    if (invocation.flag('status') || invocation.flag('stop')) {
      const client = await connect();
      return await tell(await (invocation.flag('stop') ? client.stopRollout() : client.rollout()), isJson);
    }
    const isAll = invocation.flag('all');
    if ((name === undefined) !== isAll)
      throw new PolykernelError('invalid', isAll ? 'a name is given beside --all' : 'it is not said which instance', {
        field: 'NAME',
        hint: 'Name one instance, or give --all.',
      });
    const request = requestOf(invocation, words[0] === '--' ? words.slice(1) : words);
    if (isAll && request.image === undefined && request.root === undefined)
      throw new PolykernelError('invalid', 'it is not said what all are to be upgraded to', {
        field: '--image',
        hint: 'Name an image: pk upgrade --all --image debian:uml',
      });
    const interrupt = interruptible();
    const { signal } = interrupt;
    try {
      const client = await interrupt.unlessInterrupted(connect({ signal }));
      if (name === undefined) {
        const { command: _, ...all } = request;
        const atMost = invocation.integer('at-most', 1) ?? 1;
        return await tell(await withProgress((say) => rollOut(client, { ...all, atMost }, say, signal)), isJson);
      }
      const report = await withProgress((say) => client.upgrade(name, request, say, signal));
      if (isJson) await printJson(report);
      else await print(textOf(report, request.dryRun ?? false));
      return 0;
    } catch (error) {
      if (!signal.aborted) throw error;
      process.stderr.write(
        isAll
          ? 'pk: what was begun goes on without you: see pk upgrade --status; pk upgrade --stop ends it.\n'
          : 'pk: interrupted; what was done is taken back.\n',
      );
      return interrupt.code();
    } finally {
      interrupt.release();
    }
  },
};

/** Goes on with the next daemon when this one ends. */
async function rollOut(
  client: Client,
  request: RolloutRequest,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<Rollout> {
  try {
    return await client.rollOut(request, say, signal);
  } catch (error) {
    if (signal.aborted || !(error instanceof PolykernelError) || error.code !== 'unavailable') throw error;
    const next = await connect({ signal });
    const now = await next.rollout();
    return now.state === 'running' ? await rollOut(next, request, say, signal) : now;
  }
}

/** Throws what failed. */
async function tell(rollout: Rollout, isJson: boolean): Promise<number> {
  const { done, left, under, failure, skipped, state, request } = rollout;
  if (isJson) await printJson(rollout);
  else {
    for (const report of done) await print(textOf(report, request.dryRun ?? false));
    for (const { name, why } of skipped) await print(`${name} is left as it is: ${why}\n`);
    if (under.length > 0) await print(`under way: ${under.join(', ')}\n`);
    if (left.length > 0) await print(`not begun: ${left.join(', ')}\n`);
    if (state === 'stopped') await print('It was stopped.\n');
    if (state === 'done' && done.length === 0) await print('Nothing to do: no other instance that runs can have it.\n');
  }
  if (failure !== null) throw PolykernelError.fromJSON(failure.error);
  return 0;
}

function requestOf(invocation: Invocation, command: string[]): UpgradeRequest {
  const image = invocation.value('image');
  const root = invocation.value('rootfs');
  const watch = invocation.value('watch');
  const drain = invocation.value('drain');
  const watchMs =
    watch !== undefined
      ? parseDuration(watch, '--watch')
      : invocation.flag('auto-rollback')
        ? ROLLBACK_WATCH_MS
        : undefined;
  return {
    ...(image !== undefined && { image }),
    ...(root !== undefined && { root: root === 'host' ? root : resolve(root) }),
    ...(command.length > 0 && { command }),
    ...(watchMs !== undefined && { watchMs }),
    ...(drain !== undefined && { drainMs: parseDuration(drain, '--drain') }),
    dryRun: invocation.flag('dry-run'),
  };
}

/** What is told of one that is done, or with `isDry` would be. */
export function textOf(
  { name, way, why, steps, downMs, isPaused, cutConnections, services }: UpgradeReport,
  isDry: boolean,
): string {
  const reason = way === 'pause' ? `${name} is down in between: ${why}\n` : '';
  if (isDry) return reason + steps.map(({ text, undo }) => `would ${text}    (undo: ${undo})\n`).join('');
  if (isPaused && downMs === null) return `${name} is left as it is: it runs so already\n`;
  const down = isPaused
    ? `it was down for ${downMs} ms`
    : way === 'beside'
      ? 'without a pause'
      : 'from its next start on';
  const served = services.map(
    ({ service, requests, errors }) => `; ${service}: ${requests} requests, ${errors} failed`,
  );
  const cut = cutConnections > 0 ? `; ${cutConnections} open connections were cut` : '';
  return `${name} is upgraded, ${down}${served.join('')}${cut}\n`;
}
