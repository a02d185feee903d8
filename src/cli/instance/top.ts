/** The terminal part of `pk top`; top-view.ts says what is on the screen. */
import { type Client, connect } from '../../client/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { parseDuration } from '../../sys/units.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { fullScreen } from '../kit/full-screen.ts';
import { askAgain } from '../kit/next-daemon.ts';
import { complain, print, printJson } from '../kit/output.ts';
import { join } from '../kit/terminal.ts';
import { explainEnd } from './guest-command.ts';
import { statsTable } from './stats-text.ts';
import { draw, HISTORY, initialState, keysOf, sorted, type TopState, update, withKey, withStats } from './top-view.ts';

const LEAST_MS = 200;
const MOVE_SHOWN_SECONDS = 60;

export const command: Command = {
  summary: 'what instances use, live; with a name, its processes',
  usage: '[OPTION]... [NAME [PS-OPTION]...]',
  description:
    'Keys: q ends, left and right choose the column to sort by, r turns the order round, up and down select.\n' +
    'The columns are those of pk stats; the curve is HOST, up to all its vCPUs. Without a terminal the table once.\n' +
    'With NAME the processes of that instance, as its own ps shows them with these options (default -ef).',
  options: {
    once: { help: 'the table once' },
    interval: { value: 'DURATION', help: 'between two looks (default 1s)' },
    json: JSON_OPTION,
  },
  arguments: [0, Number.POSITIVE_INFINITY],
  commandAfter: 1,
  complete: 'instance',
  examples: [
    ['pk top', 'until q'],
    ['pk top --once', 'the table'],
    ['pk top web', 'the processes in web'],
    ['pk top web -o pid,rss,args', 'some columns of them'],
  ],
  async run(invocation) {
    const intervalMs = interval(invocation.value('interval'));
    const client = await connect();
    const [name, ...psOptions] = invocation.positionals;
    if (name !== undefined) return processes(client, name, psOptions);
    if (invocation.flag('json')) await printJson(await client.stats());
    else if (invocation.flag('once') || !isScreen())
      await print(statsTable(sorted(withStats(initialState(), await client.stats(), ''))));
    else await watch(client, intervalMs);
    return 0;
  },
};

/** As docker does it: the guest's own ps, with the options given to it. */
async function processes(client: Client, name: string, psOptions: readonly string[]): Promise<number> {
  const command = ['ps', ...(psOptions.length > 0 ? psOptions : ['-ef'])];
  const exit = await join(await client.exec(name, { command, user: '0' }), { tty: false, stdin: false, plain: true });
  if (exit.exitCode === 127) complain(`the root of ${name} has no ps; pk stats ${name} says what it uses`);
  else explainEnd(exit);
  return exit.exitCode;
}

const isScreen = (): boolean =>
  process.stdin.isTTY === true && process.stdout.isTTY === true && process.env.TERM !== 'dumb';

function interval(text = '1s'): number {
  const milliseconds = parseDuration(text, '--interval');
  if (milliseconds >= LEAST_MS && milliseconds <= 3_600_000) return milliseconds;
  throw new PolykernelError('invalid', `--interval: ${JSON.stringify(text)} is not between 200ms and 1h`, {
    field: '--interval',
    value: text,
    hint: 'Instances are measured twice a second; 1s is enough.',
  });
}

/** Until it is quit. Rejects when the daemon does not answer. */
async function watch(first: Client, intervalMs: number): Promise<void> {
  let client = first;
  let state = await firstState(client, intervalMs);
  let shown: readonly string[] | undefined;
  const ended = Promise.withResolvers<void>();
  const redraw = () => {
    if (!screen.ready()) return;
    const lines = draw(state, screen.size());
    screen.write(update(shown, lines));
    shown = lines;
  };
  const onKeys = (text: string) => {
    for (const key of keysOf(text)) {
      const next = withKey(state, key);
      if (next === 'quit') return ended.resolve();
      state = next;
    }
    redraw();
  };
  const screen = fullScreen(onKeys, () => {
    shown = undefined;
    redraw();
  });
  let timer: NodeJS.Timeout | undefined;
  const look = async () => {
    const [stats, moved] = await askAgain(client, async (from) => {
      client = from;
      return [await from.stats(), await latestMove(from)] as const;
    });
    state = { ...withStats(state, stats, clock()), moved };
    redraw();
    timer = setTimeout(() => look().catch(ended.reject), intervalMs);
  };
  try {
    redraw();
    look().catch(ended.reject);
    await ended.promise;
  } finally {
    clearTimeout(timer);
    screen.release();
  }
}

/** What balancing did last, and why; undefined when that was a while ago. */
async function latestMove(client: Client): Promise<string | undefined> {
  const last = (await client.decisions({ since: MOVE_SHOWN_SECONDS })).findLast(({ outcome }) => outcome === 'kept');
  const [taker] = last?.kernels ?? [];
  return last && `${last.at.slice(11, 19)} UTC  ${last.move}${taker === undefined ? '' : `: ${taker.why}`}`;
}

/** With the course of the last looks there would have been. */
async function firstState(client: Client, intervalMs: number): Promise<TopState> {
  const stats = await client.stats();
  const since = { since: `${HISTORY * intervalMs}ms`, step: `${intervalMs}ms` };
  const running = stats.filter(({ host }) => host !== null).slice(0, 50);
  const history = new Map<string, readonly (number | null)[]>();
  for (const { id, name } of running) {
    const series = await client.statsSeries(name, since).catch(() => undefined);
    history.set(id, series?.values.hostCpu ?? []);
  }
  return { ...initialState(), stats, history, time: clock() };
}

const clock = (): string => new Date().toTimeString().slice(0, 8);
