import { ownArguments } from '../src/sys/node.ts';

/** The arguments of a program that `npm run` starts. With --help among them it says how it is used, and ends. */
export function argumentsOrHelp(usage: string): string[] {
  const given = ownArguments();
  if (!given.includes('--help') && !given.includes('-h')) return given;
  console.log(usage);
  process.exit(0);
}
