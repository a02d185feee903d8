/** Names of instances: what is allowed, and names for those who give none. */
import { HOST } from '../channel/index.ts';
import { PolykernelError } from '../sys/errors.ts';

/** A DNS label (RFC 1123), so that a name can be a host name. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

const ADJECTIVES =
  'amber bold brisk calm clear crisp eager early even fair fast fine fresh gentle glad golden grand green happy keen kind late light lively lucky mellow merry mild neat new nimble noble open plain proud quick quiet rapid ready royal sharp silent silver simple smooth snug soft solid spry steady still sturdy sunny swift tidy true vivid warm wise young';
const NOUNS =
  'acorn anchor arch aspen badger barley basin beacon birch bison bridge brook cedar cliff clover comet coral crane creek dune eagle elm ember falcon fern finch fjord forge fox garnet glade grove harbor hare hawk hazel heron hill island jade kestrel lark laurel lynx maple marsh meadow mill moss oak ocean otter owl pebble pine plover pond quartz raven reed ridge river robin rook sage sparrow spruce stone swan tern thistle trout vale willow wren';

/** Throws `invalid` unless `name` is 1 to 63 of [a-z0-9-], with no dash at either end. Returns it. */
export function checkName(name: string, field = 'name'): string {
  if (NAME.test(name)) return name;
  const reason =
    name === ''
      ? 'is empty'
      : name.length > 63
        ? `has ${name.length} characters; the most is 63`
        : `${JSON.stringify(name)} is not a valid name`;
  throw new PolykernelError('invalid', `${field} ${reason}`, {
    field,
    value: name.slice(0, 100),
    hint: `Use lower-case letters, digits and inner dashes, such as ${JSON.stringify(suggestion(name))}.`,
  });
}

/** The same for the name of an instance, which must not be that of the host as an end of channels. */
export function checkInstanceName(name: string, field = 'name'): string {
  if (name !== HOST) return checkName(name, field);
  throw new PolykernelError(
    'invalid',
    `${field} ${JSON.stringify(name)} means this machine itself, as an end of channels`,
    {
      field,
      value: name,
      hint: `Choose another name, such as "${HOST}-1".`,
    },
  );
}

function suggestion(name: string): string {
  const tidy = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  return tidy === '' ? 'web-1' : tidy;
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
