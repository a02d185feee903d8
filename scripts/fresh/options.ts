/** What `npm run test:setup` is asked for: everything, or one system, user and step of it. */
import { parseArgs } from 'node:util';
import { closest } from '../../src/sys/closest.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { SYSTEMS } from './systems.ts';

export const USERS = ['root', 'user'] as const;
/** In their order. `again`: `npm start` when all is there. */
export const STEPS = ['start', 'again', 'check', 'test'] as const;
export type User = (typeof USERS)[number];
export type Step = (typeof STEPS)[number];

export interface Run {
  system: string;
  as: User;
  steps: readonly Step[];
}

export const USAGE = `usage: npm run test:setup -- [--only SYSTEM] [--as USER] [--step STEP]... [--fresh]
  SYSTEM: ${SYSTEMS.map(({ name }) => name).join(', ')}; USER: ${USERS.join(', ')}; STEP: ${STEPS.join(', ')}
  Without --step all but test, and test once: as root on ${SYSTEMS.at(-1)!.name}. Each other step comes behind start.
  --fresh forgets the systems and downloads that earlier runs kept in the cache.`;

/** The runs that `args` ask for. Throws `invalid` naming the option. */
export function readRuns(args: readonly string[]): { runs: Run[]; fresh: boolean } {
  const { values } = parse(args);
  const systems = SYSTEMS.map(({ name }) => name);
  const only = values.only === undefined ? systems : [among('--only', systems, values.only)];
  const users = values.as === undefined ? USERS : [among('--as', USERS, values.as)];
  const asked = values.step?.map((step) => among('--step', STEPS, step));
  const stepsOf = (system: string, as: User): readonly Step[] => {
    if (asked !== undefined) return STEPS.filter((step) => step === 'start' || asked.includes(step));
    return STEPS.filter((step) => step !== 'test' || (as === 'root' && system === systems.at(-1)));
  };
  const runs = only.flatMap((system) => users.map((as) => ({ system, as, steps: stepsOf(system, as) })));
  return { runs, fresh: values.fresh === true };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const options = { only: text, as: text, step: { ...text, multiple: true }, fresh: { type: 'boolean' } } as const;
  try {
    return parseArgs({ args: [...args], options });
  } catch (error) {
    throw new PolykernelError('invalid', (error as Error).message, { hint: USAGE });
  }
}

function among<Word extends string>(option: string, words: readonly Word[], given: string): Word {
  const word = words.find((each) => each === given);
  if (word !== undefined) return word;
  const near = closest(given, words);
  throw new PolykernelError('invalid', `${option}: "${given}" is none of ${words.join(', ')}`, {
    field: option,
    hint: near === undefined ? USAGE : `Did you mean ${near}?`,
  });
}
