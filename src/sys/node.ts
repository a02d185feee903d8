/**
 * Starting our own programs by Node. Node acts on some of its options wherever they stand among its arguments (--env-file,
 * and even behind `--` --experimental-config-file, both of which can load code): so a launcher puts ARGUMENT_MARK before each
 * argument of the caller, and the program takes it off. The shell's part is in bin/polykernel and scripts/node.sh.
 *
 * What every command of `pk` loads takes Node's larger modules with process.getBuiltinModule(): an `import` reads all their exports,
 * and the getters among these load much that nobody asked for (2 ms for node:util, 2 to 5 ms for node:fs, 50 ms for node:http).
 */

const ARGUMENT_MARK = '=';

const setFlag = (flag: string): void => process.getBuiltinModule('node:v8').setFlagsFromString(flag);

/** Flags of every program of ours: a half of what compileInForeground() is for, which V8 takes at its start alone. */
export const NODE_FLAGS = ['--no-concurrent-recompilation'];

/** Without it V8 collects all garbage after every 10 MB of buffers, however short-lived: half of what a stream costs. */
const BUFFERS_FLAG = '--external-memory-accounted-in-global-limit';

/**
 * From now on buffers are the most of what this program makes. Not at its start: with any such flag on, V8 takes nothing of what was
 * compiled before, Node's own modules neither (12 ms, 2 MiB).
 */
export const expectStreams = (): void => setFlag(BUFFERS_FLAG);

/** Through a program that does more than pass on streams, before that is the most of what it does. */
const MANY_BYTES = 4 * 2 ** 20;
let streamed = 0;

/** While much passes, what it left is collected each time that so much has: V8 would let a hundred megabytes of it come together. */
const YOUNG_BYTES = 2 * 2 ** 20;
let collectYoung: (() => void) | undefined;

/** So many bytes of a stream have come through: once there are many, the program is told of expectStreams(), and what they leave is collected. */
export function countStreamed(bytes: number): void {
  const before = streamed;
  streamed += bytes;
  if (streamed < MANY_BYTES) return;
  if (before < MANY_BYTES) expectStreams();
  if (Math.floor(before / YOUNG_BYTES) === Math.floor(streamed / YOUNG_BYTES)) return;
  collectYoung ??= withCollector((collect) => () => void collect({ type: 'minor', execution: 'sync' }));
  collectYoung();
}

/**
 * Collects all garbage; as a `last-resort` as V8 does before it would run out of memory: what is left is moved together, which frees three
 * times as much, and compiled code that was not used of late is dropped.
 */
export function collectGarbage(flavor: 'regular' | 'last-resort'): void {
  withCollector((collect) => collect({ type: 'major', execution: 'sync', flavor }));
}

/** --expose-gc, which a context takes when it is made, is put back at once, for what is said at expectStreams(). */
function withCollector<T>(work: (collect: NodeJS.GCFunction) => T): T {
  setFlag('--expose-gc');
  try {
    return work(process.getBuiltinModule('node:vm').runInNewContext('gc'));
  } finally {
    setFlag('--no-expose-gc');
  }
}

/**
 * From now on V8 compiles nothing in the background. Its threads for that may wait for the main thread to collect garbage, which
 * one that ends never does: after much work process.exit() hung for ever (nodejs/node#54918). So this is for a program that has
 * worked for long, or will, some time before it ends. Not at its start: what V8 has stored of our code is for its usual flags.
 */
export function compileInForeground(): void {
  for (const flag of ['--no-maglev', '--no-concurrent-sparkplug']) setFlag(flag);
}

/** Flags that keep the daemon small; its garbage is short-lived and its heap a few megabytes. */
export const DAEMON_FLAGS = ['--max-semi-space-size=1', '--disable-warning=ExperimentalWarning'];

/** Argument vector that runs `entry`, a file of ours, with `args`; `flags` are for Node. The entry reads ownArguments(). */
export function nodeCommand(entry: string, args: readonly string[], flags: readonly string[] = []): string[] {
  return [process.execPath, ...NODE_FLAGS, ...flags, '--', entry, ...args.map((text) => ARGUMENT_MARK + text)];
}

/** What the launcher was asked to pass on. Ends the program with status 2 when it was started in another way. */
export function ownArguments(argv: readonly string[] = process.argv): string[] {
  const given = argv.slice(2);
  const bare = given.find((text) => !text.startsWith(ARGUMENT_MARK));
  if (bare === undefined) return given.map((text) => text.slice(ARGUMENT_MARK.length));
  process.stderr.write(
    `polykernel: ${argv[1]} was started directly (with ${JSON.stringify(bare)}): Node would act on some arguments itself\n` +
      '    Use bin/pk, or `sh scripts/node.sh FILE ARGUMENT...` for another file.\n',
  );
  process.exit(2);
}
