/** Help on all commands, on those of a group, and on set-up. */
import { CATALOG } from './catalog.ts';

/** Handled by bin/polykernel, before Node is known to be there. */
const SETUP_SUMMARY = 'install what this machine lacks (idempotent)';

const NAME_COLUMNS = Math.max(...Object.keys(CATALOG).map((name) => name.length)) + 2;

export function overview(): string {
  const entries = [...Object.entries(CATALOG).map(([name, entry]) => [name, entry.summary]), ['setup', SETUP_SUMMARY]];
  return [
    'pk gives any command a Linux kernel of its own.',
    '',
    'Usage: pk COMMAND [OPTION]... [ARGUMENT]...',
    '',
    ...entries.map(([name, summary]) => `  ${name!.padEnd(NAME_COLUMNS)}${summary}`),
    '',
    'Examples:',
    '  pk run -- uname -a',
    '  pk run --driver qemu --cpus 2 --memory 512M -- nproc',
    '  pk run -d --name web --restart on-failure -- node server.js',
    '',
    '`pk COMMAND --help` explains one command. `pk` is short for `polykernel`.',
    '',
  ].join('\n');
}

/** Help on a word that is no command by itself: `image`, which groups some, and `setup`, which needs no Node. */
export function topicHelp(topic: string): string {
  if (topic === 'setup') return `pk setup: ${SETUP_SUMMARY}\n\nUsage: pk setup [--quiet] [--skip-images] [--tests]\n`;
  const entries = Object.entries(CATALOG).filter(([name]) => name.startsWith(`${topic} `));
  return [
    `Usage: pk ${topic} COMMAND [OPTION]... [ARGUMENT]...`,
    '',
    ...entries.map(([name, entry]) => `  ${name.padEnd(NAME_COLUMNS)}${entry.summary}`),
    '',
    `\`pk ${topic} COMMAND --help\` explains one of them.`,
    '',
  ].join('\n');
}
