/** What is written about the commands of `pk`, made from the commands themselves: src/cli/{index,names}.json, docs/commands.md, tables of docs/docker.md. */
import { NOUNS } from '../src/cli/commands.ts';
import type { Entry } from '../src/cli/kit/catalog.ts';
import type { Described } from '../src/cli/kit/command.ts';
import { commandHelp } from '../src/cli/kit/command-help.ts';
import { habits } from '../src/cli/kit/habits.ts';

/** All commands by name, in the order in which help shows them. */
export async function catalog(): Promise<Record<string, Entry>> {
  const found: Record<string, Entry> = {};
  for (const [noun, load] of Object.entries(NOUNS)) {
    for (const [name, loadCommand] of Object.entries((await load()).COMMANDS)) {
      const { run, arguments: _, ...described } = (await loadCommand()).command;
      // In an order of its own, so that no code around a command changes the file.
      const sorted = Object.entries(described).sort(([a], [b]) => (a < b ? -1 : 1));
      found[name] = { noun, ...(Object.fromEntries(sorted) as unknown as Described) };
    }
  }
  return found;
}

/** src/cli/index.json: a line for each command. */
export function catalogText(commands: Readonly<Record<string, Entry>>): string {
  const lines = Object.entries(commands).map(([name, entry]) => `  ${JSON.stringify(name)}: ${JSON.stringify(entry)}`);
  return `{\n${lines.join(',\n')}\n}\n`;
}

/** src/cli/names.json: the noun of each command. */
export function namesText(commands: Readonly<Record<string, Entry>>): string {
  return `${JSON.stringify(Object.fromEntries(Object.entries(commands).map(([name, { noun }]) => [name, noun])), undefined, 1)}\n`;
}

/** docs/commands.md: a table of all commands, then the help of each. */
export function commandsPage(commands: Readonly<Record<string, Entry>>): string {
  const all = Object.entries(commands);
  const nouns = [...new Set(all.map(([, { noun }]) => noun))];
  const rows = all.map(([name, { summary }]) => `| [\`pk ${name}\`](#pk-${name.replace(' ', '-')}) | ${summary} |`);
  const sections = nouns.flatMap((noun) => [
    `## ${noun[0]!.toUpperCase()}${noun.slice(1)}`,
    '',
    ...all.filter(([, entry]) => entry.noun === noun).flatMap(([name, entry]) => section(name, entry)),
  ]);
  return [
    '# Commands',
    '',
    'What `pk COMMAND --help` says of each. Written by `scripts/command-reference.ts` from `src/cli`: do not edit.',
    '',
    ...['| command | |', '| --- | --- |', ...rows, ''],
    ...sections,
  ].join('\n');
}

function section(name: string, entry: Entry): string[] {
  return [`### pk ${name}`, '', '```', commandHelp(name, entry).trimEnd(), '```', ''];
}

const BEGIN = '<!-- habits: written by scripts/command-reference.ts -->';
const END = '<!-- end of habits -->';

/** docs/docker.md with what to type instead renewed. */
export function withHabits(page: string): string {
  const [before, after] = [page.split(BEGIN)[0]!, page.split(END)[1]!];
  const cell = (text: string) => text.replaceAll('|', '\\|');
  const rows = Object.entries(habits.options).flatMap(([name, options]) =>
    [...Map.groupBy(Object.keys(options), (option) => options[option]!)].map(
      ([hint, names]) => `| \`${name}\` | ${names.map((each) => `\`${each}\``).join(', ')} | ${cell(hint)} |`,
    ),
  );
  const words = [...Map.groupBy(Object.keys(habits.words), (word) => habits.words[word]!)].map(
    ([hint, names]) => `| ${names.map((each) => `\`${each}\``).join(', ')} | ${cell(hint)} |`,
  );
  const tables = [
    ...['| command | option | |', '| --- | --- | --- |', ...rows, ''],
    ...['| command | |', '| --- | --- |', ...words],
  ];
  return `${before}${BEGIN}\n${tables.join('\n')}\n${END}${after}`;
}
