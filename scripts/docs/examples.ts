/**
 * The examples of a Markdown file, as `npm run test:docs` runs them. Every fenced block in `console` or `sh` is one, each of `yaml` a stack
 * file. Comments right above a block say what is different about it:
 *
 *     <!-- not run: WHY -->              nothing of it
 *     <!-- not run `COMMAND`: WHY -->    no line that begins so
 *     <!-- first: COMMAND -->            run before it: what a reader would have
 *     <!-- wait `COMMAND`: CONDITION --> before that line, until this command of the shell succeeds
 */
import { spawnSync } from 'node:child_process';

export interface Step {
  /** Of the file, from 1. */
  line: number;
  command: string;
  /** What the file says it prints, line by line; empty: nothing is said. */
  shown: string[];
  /** Why it is not run. */
  skipped: string | null;
  /** Condition in the shell for which it waits. */
  wait: string | null;
}

export interface Example {
  file: string;
  line: number;
  language: 'console' | 'sh' | 'yaml';
  first: string[];
  steps: Step[];
  /** What stands in it. */
  text: string;
  skipped: string | null;
}

const MARK = /^<!-- (?:(?:not run|(?<wait>wait))(?: `(?<command>[^`]+)`)?: (?<why>.+)|first: (?<first>.+)) -->$/;
const LANGUAGES = ['console', 'sh', 'yaml'] as const;

/** Throws when a comment looks like a mark and is none. */
export function examplesOf(file: string, markdown: string): Example[] {
  const lines = markdown.split('\n');
  const examples: Example[] = [];
  for (let at = 0; at < lines.length; at++) {
    const fence = /^```(\w*)$/.exec(lines[at]!);
    if (fence === null) continue;
    const end = lines.indexOf('```', at + 1);
    const language = LANGUAGES.find((name) => name === fence[1]);
    if (language !== undefined) examples.push(exampleAt(file, lines, language, at, end));
    at = end;
  }
  return examples;
}

function exampleAt(file: string, lines: string[], language: Example['language'], at: number, end: number): Example {
  const marks = marksAbove(file, lines, at);
  const body = lines.slice(at + 1, end);
  const read = { console: consoleSteps, sh: shellSteps, yaml: () => [] }[language];
  const steps = read(body, at + 2);
  for (const step of steps)
    step.skipped =
      marks.find(({ command, wait }) => command !== undefined && !wait && step.command.startsWith(command))?.why ??
      null;
  for (const step of steps)
    step.wait = marks.find((mark) => mark.wait && step.command.startsWith(mark.command!))?.why ?? null;
  const idle = marks.find(({ command }) => command !== undefined && !steps.some((s) => s.command.startsWith(command)));
  if (idle !== undefined) throw new Error(`${file}:${at + 1}: no line begins with \`${idle.command}\``);
  const skipped = marks.find(({ command, why }) => command === undefined && why !== undefined)?.why ?? null;
  const first = marks.flatMap((mark) => mark.first ?? []);
  return { file, line: at + 1, language, first, steps, text: body.join('\n'), skipped };
}

function marksAbove(file: string, lines: string[], fence: number) {
  const marks: Partial<Record<'command' | 'why' | 'first' | 'wait', string | undefined>>[] = [];
  for (let at = fence - 1; /^<!-- (not run|first|wait)/.test(lines[at] ?? ''); at--) {
    const mark = MARK.exec(lines[at]!);
    if (mark === null) throw new Error(`${file}:${at + 1}: not a mark: ${lines[at]}`);
    marks.unshift(mark.groups!);
  }
  return marks;
}

/** `$ ` or `# ` (root) begins a command, all else is what the one before prints. */
function consoleSteps(body: readonly string[], firstLine: number): Step[] {
  const steps: Step[] = [];
  for (const [index, text] of body.entries()) {
    const command = /^[$#] (.*)$/.exec(text)?.[1];
    if (command !== undefined) steps.push({ line: firstLine + index, command, shown: [], skipped: null, wait: null });
    else steps.at(-1)?.shown.push(text);
  }
  return steps;
}

/** A command is as many lines as the shell needs to understand it. */
function shellSteps(body: readonly string[], firstLine: number): Step[] {
  const steps: Step[] = [];
  let gathered: string[] = [];
  for (const [index, text] of body.entries()) {
    gathered.push(text);
    const command = gathered.join('\n');
    const isWhole = !text.endsWith('\\') && spawnSync('bash', ['-n', '-c', command]).status === 0;
    if (!isWhole) continue;
    if (command.trim() !== '')
      steps.push({ line: firstLine + index + 1 - gathered.length, command, shown: [], skipped: null, wait: null });
    gathered = [];
  }
  if (gathered.length > 0) throw new Error(`line ${firstLine}: the shell does not understand ${gathered.join('\n')}`);
  return steps;
}
