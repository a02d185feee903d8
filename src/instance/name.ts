/** Names of instances: which are not allowed, and names for those who give none. */
import { checkName } from '../core/name.ts';
import { PolykernelError } from '../sys/errors.ts';

/** The name of this machine itself, where it is an end of a channel: no instance may have it. */
export const HOST = 'host';
/** What is nobody's, where CPUs and memory move: no instance may have that name either. */
export const POOL = 'pool';
const MEANINGS: Readonly<Record<string, string>> = {
  [HOST]: 'this machine itself, as an end of channels',
  [POOL]: 'what nobody owns, where CPUs and memory move',
};

const ADJECTIVES =
  'amber bold brisk calm clear crisp eager early even fair fast fine fresh gentle glad golden grand green happy keen kind late light lively lucky mellow merry mild neat new nimble noble open plain proud quick quiet rapid ready royal sharp silent silver simple smooth snug soft solid spry steady still sturdy sunny swift tidy true vivid warm wise young';
const NOUNS =
  'acorn anchor arch aspen badger barley basin beacon birch bison bridge brook cedar cliff clover comet coral crane creek dune eagle elm ember falcon fern finch fjord forge fox garnet glade grove harbor hare hawk hazel heron hill island jade kestrel lark laurel lynx maple marsh meadow mill moss oak ocean otter owl pebble pine plover pond quartz raven reed ridge river robin rook sage sparrow spruce stone swan tern thistle trout vale willow wren';

/** As checkName(), for the name of an instance. */
export function checkInstanceName(name: string, field = 'name'): string {
  if (!Object.hasOwn(MEANINGS, name)) return checkName(name, field);
  throw new PolykernelError('invalid', `${field} ${JSON.stringify(name)} means ${MEANINGS[name]}`, {
    field,
    value: name,
    hint: `Choose another name, such as "${name}-1".`,
  });
}

/** A free adjective-noun name. `random` gives numbers in [0, 1); after many clashes a number is appended, so it ends. */
export function generateName(taken: (name: string) => boolean, random: () => number): string {
  const adjectives = ADJECTIVES.split(' ');
  const nouns = NOUNS.split(' ');
  const pick = (words: string[]) => words[Math.floor(random() * words.length)]!;
  for (let attempt = 0; ; attempt++) {
    const name = `${pick(adjectives)}-${pick(nouns)}${attempt < 8 ? '' : `-${attempt - 7}`}`;
    if (!taken(name)) return name;
  }
}
